"""Agents, as Obico and OctoEverywhere are: macros call them, and others hear of them."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.features.letterbox import Letterbox
from tests.integration.service import Client, RpcSocket, configure, running
from tests.until import until
from trio_moon.features.agents import Agents
from trio_moon.features.agents.agent import MOST_WAITING
from trio_moon.features.agents.service import MOST_METHODS
from trio_moon.kit.json_codec import encode
from trio_moon.model.errors import BadParams
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import ClientInfo, Session
from trio_moon.testing import SimulatedKlipper

OBICO = {"client_name": "obico", "version": "2", "type": "agent", "url": "http://obico"}


@asynccontextmanager
async def bench(folder: Path, sections: str = "") -> AsyncIterator[tuple[SimulatedKlipper, Client]]:
    paths = configure(folder, sections)
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, startup_time=0.1)
    async with trio.open_nursery() as nursery:
        await nursery.start(klipper.run)
        async with running(paths) as (app, client):
            await until(lambda: app.printer.state == "ready")
            yield klipper, client
        nursery.cancel_scope.cancel()


async def an_agent(socket: RpcSocket) -> RpcSocket:
    await socket.call("server.connection.identify", **OBICO)
    await socket.call("connection.register_remote_method", method_name="obico_remote_event")
    return socket


async def test_macros_call_an_agent_and_its_successor(tmp_path: Path) -> None:
    async with bench(tmp_path) as (klipper, client):
        async with client.websocket() as connection:
            agent = await an_agent(connection)
            for taken in ("obico_remote_event", "shutdown_machine", "process_gcode_response"):
                refused = await agent.ask("connection.register_remote_method", method_name=taken)
                assert refused["error"]["message"] == f"Remote method ({taken}) already registered"
            await klipper.call_remote("obico_remote_event", message="hello")
            assert (await agent.hear("obico_remote_event"))["params"] == {"message": "hello"}
            await klipper.restart()
            await until(lambda: "obico_remote_event" in klipper.remote_methods)
            await klipper.call_remote("obico_remote_event")
            called = await agent.hear("obico_remote_event")
            assert called == {"jsonrpc": "2.0", "method": "obico_remote_event"}
        await until_alone(client)
        async with client.websocket() as connection:
            agent = await an_agent(connection)
            await klipper.call_remote("obico_remote_event", message="again")
            assert (await agent.hear("obico_remote_event"))["params"] == {"message": "again"}


async def until_alone(client: Client) -> None:
    with trio.fail_after(30):
        while (await client.result("/server/extensions/list"))["agents"]:
            await trio.sleep(0.02)


async def test_others_hear_what_an_agent_tells(tmp_path: Path) -> None:
    async with bench(tmp_path) as (_, client), client.websocket() as first, client.websocket() as other:
        agent = await an_agent(first)
        [listed] = (await client.result("/server/extensions/list"))["agents"]
        assert listed == {"name": "obico", "version": "2", "type": "agent", "url": "http://obico"}
        told: list[dict[str, Any]] = list((await other.hear("notify_agent_event"))["params"])
        for more in ({"data": {"a": 1}}, {}):
            assert await agent.call("connection.send_event", event="popup", **more) == "ok"
            told += (await other.hear("notify_agent_event"))["params"]
        assert told == [
            {"agent": "obico", "event": "connected", "data": listed},
            {"agent": "obico", "event": "popup", "data": {"a": 1}},
            {"agent": "obico", "event": "popup"},
        ]
        assert "reserved" in (await agent.ask("connection.send_event", event="connected"))["error"]["message"]
        for method, params in (
            ("connection.send_event", {"event": "x"}),
            ("connection.register_remote_method", {"method_name": "x"}),
        ):
            assert "agent" in (await other.ask(method, **params))["error"]["message"]
        assert not [news for news in agent.news if news["method"] == "notify_agent_event"]
        taken = await other.ask("server.connection.identify", **OBICO)
        assert taken["error"]["message"] == "Agent 'obico' already registered and connected"
        await other.call("server.connection.identify", **{**OBICO, "client_name": "octo"})
        assert (await agent.hear("notify_agent_event"))["params"][0]["agent"] == "octo"
        await agent.socket.aclose()
        assert (await other.hear("notify_agent_event"))["params"] == [{"agent": "obico", "event": "disconnected"}]


REQUEST: dict[str, Any] = {"agent": "obico", "method": "m", "arguments": {"a": 1}}


async def begin(caller: RpcSocket, number: int, **more: object) -> None:
    """Ask the agent, and leave the answer for `outcome`."""
    message = {"method": "server.extensions.request", "params": {**REQUEST, **more}, "id": f"r{number}"}
    await caller.socket.send_message(encode(message).decode())


async def outcome(caller: RpcSocket, number: int) -> dict[str, Any]:
    told = [news for news in caller.news if news.get("id") == f"r{number}"]
    with trio.fail_after(30):
        while not told:
            message: dict[str, Any] = await caller._receive()
            (told if message.get("id") == f"r{number}" else caller.news).append(message)
    return told[0]


async def say(agent: RpcSocket, **answer: object) -> None:
    await agent.socket.send_message(encode({"jsonrpc": "2.0", **answer}).decode())


async def test_an_agent_answers_what_others_ask_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as (_, client), client.websocket() as first, client.websocket() as other:
        agent = await an_agent(first)
        refusal = {"code": -1, "message": "no"}
        answers: list[tuple[dict[str, object], dict[str, object]]] = [
            ({"result": [1, {}]}, {"result": [1, {}]}),
            ({"result": "x" * 900_000}, {"result": "x" * 900_000}),
            ({"result": 10**30}, {"result": 10**30}),
            ({"error": refusal}, {"error": {"code": 424, "message": "Agent obico RPC error", "data": refusal}}),
        ]
        for number, (answer, told) in enumerate(answers):
            await begin(other, number)
            question = await agent.hear("m")
            assert question["params"] == {"a": 1}
            await say(agent, id=question["id"], **answer)
            said = await outcome(other, number)
            assert {name: said[name] for name in said if name in ("result", "error")} == told
        for agent_name in ("nobody", "watcher", ""):
            assert (await other.ask("server.extensions.request", agent=agent_name, method="m"))["error"]["code"] == 400
        async with trio.open_nursery() as nursery:  # it may ask itself, too, and HTTP is asked alike

            async def by_http() -> None:
                answer = await client.post("/server/extensions/request", json=REQUEST)
                assert (answer.status_code, answer.json()) == (200, {"result": "pong"})

            nursery.start_soon(by_http)
            await begin(agent, 50)
            for _ in range(2):
                await say(agent, id=(await agent.hear("m"))["id"], result="pong")
            assert (await outcome(agent, 50))["result"] == "pong"


async def test_only_the_agent_that_was_asked_answers_and_only_once(tmp_path: Path) -> None:
    async with (
        bench(tmp_path) as (_, client),
        client.websocket() as first,
        client.websocket() as other,
        client.websocket() as second,
    ):
        agent = await an_agent(first)
        await second.call("server.connection.identify", **{**OBICO, "client_name": "octo"})
        await begin(other, 1)
        number = (await agent.hear("m"))["id"]
        for liar in (other, second):
            await say(liar, id=number, result="a lie")
            await liar.call("server.info")
        for wrong in (number + 1, -1, str(number), 0.5, None, 10**30, "x" * 10_000):
            await say(agent, id=wrong, result="wrong")
        broken: list[object] = [True, [number], {}]
        for each in broken:
            await say(agent, id=each, result="broken")
        batch = [{"id": number, "result": "right"}, {"id": number, "error": 1}]
        await agent.socket.send_message(encode(batch).decode())
        await say(agent, id=number, result="twice")
        assert (await outcome(other, 1))["result"] == "right"
        await agent.call("server.info")
        assert [news["error"]["code"] for news in agent.news if "error" in news] == [-32600] * 3


async def test_an_agent_that_never_answers_holds_little_and_nothing_for_ever(tmp_path: Path) -> None:
    async with bench(tmp_path) as (_, client), client.websocket() as first:
        agent = await an_agent(first)
        async with client.websocket() as other:
            for number in range(MOST_WAITING + 1):
                await begin(other, number)
            refused = await outcome(other, MOST_WAITING)
            assert refused["error"]["code"] == 429
            assert (await client.post("/server/extensions/request", json=REQUEST)).status_code == 429
            assert (await other.call("server.info"))["klippy_state"] == "ready"
        asked = [await agent.hear("m") for _ in range(MOST_WAITING)]
        async with client.websocket() as other:
            await until(partial(_has_place, other))
            await say(agent, id=asked[0]["id"], result="too late")
            await say(agent, id=(await agent.hear("m"))["id"], result="in time")
            assert (await outcome(other, 1))["result"] == "in time"


async def test_http_callers_who_leave_free_their_places(tmp_path: Path) -> None:
    body = encode(REQUEST)
    head = f"POST /server/extensions/request HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    async with bench(tmp_path) as (_, client), client.websocket() as first, client.websocket() as other:
        agent = await an_agent(first)
        streams = []
        for _ in range(MOST_WAITING):
            stream = await trio.open_tcp_stream("127.0.0.1", int(client.url.rpartition(":")[2]))
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await stream.send_all(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
            await agent.hear("m")
            streams.append(stream)
        assert (await other.ask("server.extensions.request", **REQUEST))["error"]["code"] == 429
        for stream in streams:
            await stream.aclose()
        await until(partial(_has_place, other))
        await say(agent, id=(await agent.hear("m"))["id"], result=1)
        assert (await outcome(other, 1))["result"] == 1


async def _has_place(caller: RpcSocket) -> bool:
    """Whether a request, r1, was passed on."""
    await begin(caller, 1)
    await caller.ask("server.extensions.request", agent="nobody", method="m")  # begun behind it
    refused = [news for news in caller.news if news.get("id") == "r1"]
    caller.news.clear()
    return not refused


async def test_whoever_waits_for_an_agent_that_leaves_is_told(tmp_path: Path) -> None:
    async with bench(tmp_path) as (_, client), client.websocket() as other:
        for number, last_words in enumerate((None, "x" * (17 << 20))):
            async with client.websocket() as first:
                agent = await an_agent(first)
                await begin(other, number)
                question = await agent.hear("m")
                if last_words is not None:  # too big a message ends the connection
                    with suppress(ConnectionClosed):
                        await say(agent, id=question["id"], result=last_words)
                    with pytest.raises(ConnectionClosed):
                        await agent.hear("nothing")
            told = await outcome(other, number)
            assert told["error"] == {"code": 500, "message": "Client Socket Disconnected"}
        await until_alone(client)


async def test_a_thousand_registrations_end_with_the_agent(tmp_path: Path) -> None:
    async with bench(tmp_path) as (klipper, client), client.websocket() as greedy:
        await greedy.call("server.connection.identify", **{**OBICO, "client_name": "greedy"})
        codes = []
        for number in range(1000):
            answer = await greedy.ask("connection.register_remote_method", method_name=f"m{number}")
            codes.append(answer["error"]["code"] if "error" in answer else 200)
        assert codes == [200] * MOST_METHODS + [429] * (1000 - MOST_METHODS)
        async with client.websocket() as connection:
            agent = await an_agent(connection)
            await greedy.socket.aclose()
            assert (await agent.hear("notify_agent_event"))["params"] == [{"agent": "greedy", "event": "disconnected"}]
            await klipper.call_remote("m1")  # Klipper doesn't know yet
            await klipper.restart()
            await until(lambda: "obico_remote_event" in klipper.remote_methods)
            assert not {"m0", "m1", "m99"} & set(klipper.remote_methods)
            await agent.call("connection.register_remote_method", method_name="m1")
            await klipper.call_remote("m1", a=1)
            assert (await agent.hear("m1"))["params"] == {"a": 1}


async def test_strangers_are_no_agents_and_who_logs_out_is_none_any_more(tmp_path: Path) -> None:
    async with (
        bench(tmp_path, "[authorization]\nforce_logins: yes\n") as (klipper, client),
        client.websocket() as other,
        client.websocket() as connection,
    ):
        for name, someone in (("ann", other), ("bob", connection)):
            await someone.call("access.post_user", username=name, password="correct horse")
            await someone.call("access.login", username=name, password="correct horse")
        agent = await an_agent(connection)
        async with client.websocket() as stranger:
            await _no_agent(stranger, client)
            await _logged_out(agent, other, klipper)
            for heard in (agent, stranger):
                assert (await heard.ask("server.info"))["error"]["message"] == "Unauthorized"
                assert not {"obico_remote_event", "notify_agent_event"} & {news.get("method") for news in heard.news}


async def _no_agent(stranger: RpcSocket, client: Client) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("server.connection.identify", {**OBICO, "client_name": "stranger"}),
        ("connection.send_event", {"event": "x"}),
        ("connection.register_remote_method", {"method_name": "x"}),
        ("server.extensions.list", {}),
        ("server.extensions.request", REQUEST),
    ]
    for method, params in calls:
        assert (await stranger.ask(method, **params))["error"]["message"] == "Unauthorized"
    assert (await client.get("/server/extensions/list")).status_code == 401
    assert (await client.post("/server/extensions/request", json=REQUEST)).status_code == 401


async def _logged_out(agent: RpcSocket, other: RpcSocket, klipper: SimulatedKlipper) -> None:
    await begin(other, 1)
    question = await agent.hear("m")
    await agent.call("access.logout")
    assert (await outcome(other, 1))["error"]["code"] == 500
    await say(agent, id=question["id"], result="late")
    assert (await other.call("server.extensions.list"))["agents"] == []
    assert (await other.ask("server.extensions.request", **REQUEST))["error"]["code"] == 400
    await klipper.call_remote("obico_remote_event", secret=1)
    assert "error" in await agent.ask("connection.send_event", event="x")


async def test_who_has_left_already_does_not_become_an_agent(tmp_path: Path) -> None:
    identify = encode([{"method": "server.connection.identify", "params": OBICO, "id": 1}])
    text = struct.pack("!BBH4x", 0x81, 0x80 | 126, len(identify)) + identify  # masked with zeros
    close = struct.pack("!BB4xH", 0x88, 0x82, 1000)
    async with bench(tmp_path) as (_, client):
        stream = await trio.open_tcp_stream("127.0.0.1", int(client.url.rpartition(":")[2]))
        async with stream:
            upgrade = b"GET /websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            await stream.send_all(upgrade + key + text + close)
            with trio.fail_after(30):
                while await stream.receive_some(65536):
                    pass
        async with client.websocket() as connection:
            await until_alone(client)
            await an_agent(connection)


async def test_a_session_that_has_ended_takes_no_name(tmp_path: Path) -> None:
    audience, letterbox = Audience(), Letterbox()
    agents = Agents(Printer(tmp_path / "none.sock", audience), audience)
    client, session = ClientInfo("obico", "2", "agent", ""), Session(letterbox)
    audience.join(session)
    audience.leave(session)
    agents.forget(session)
    with pytest.raises(BadParams):
        agents.admit(session, client)
    audience.join(session)
    agents.admit(session, client)
