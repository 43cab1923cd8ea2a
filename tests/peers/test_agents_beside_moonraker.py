"""The same life of an agent with Moonraker and with us, each on a simulated printer of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.integration.service import configure, running
from tests.peers.moonraker import StartMoonraker
from tests.peers.side_by_side import Side, Wire, with_json
from tests.until import until
from trio_moon.testing import SimulatedKlipper

pytestmark = pytest.mark.peer

AGENT: dict[str, object] = {"client_name": "obico", "version": "2", "type": "agent", "url": "http://obico"}
OTHER: dict[str, object] = {**AGENT, "client_name": "watcher", "type": "web"}
Said = list[tuple[str, Any]]

BY_CALLERS: list[tuple[str, dict[str, object]]] = [
    ("connection.send_event", {"event": "x"}),
    ("connection.register_remote_method", {"method_name": "x"}),
    ("server.connection.identify", AGENT),
    ("server.extensions.request", {"agent": "nobody", "method": "m"}),
    ("server.extensions.request", {"agent": "watcher", "method": "m"}),
    ("server.extensions.request", {"agent": "obico"}),
    ("server.extensions.request", {"agent": "obico", "method": "m", "arguments": "text"}),
]
BY_THE_AGENT: list[tuple[str, dict[str, object]]] = [
    ("server.connection.identify", AGENT),
    ("connection.send_event", {}),
    ("connection.send_event", {"event": "connected"}),
    ("connection.send_event", {"event": "disconnected", "data": {}}),
    ("connection.send_event", {"event": "e", "data": {"a": 1}}),
    ("connection.send_event", {"event": "e", "data": [1]}),
    ("connection.send_event", {"event": "e", "data": "text"}),
    ("connection.send_event", {"event": "e", "data": 0}),
    ("connection.send_event", {"event": "e", "data": False}),
    ("connection.send_event", {"event": "e", "data": None}),
    ("connection.register_remote_method", {}),
    ("connection.register_remote_method", {"method_name": "take_picture"}),
    ("connection.register_remote_method", {"method_name": "take_picture"}),
    ("connection.register_remote_method", {"method_name": "process_gcode_response"}),
    ("connection.register_remote_method", {"method_name": "process_status_update"}),
    ("connection.register_remote_method", {"method_name": "shutdown_machine"}),
]
SUCCESSOR: list[tuple[str, dict[str, object]]] = [
    ("server.connection.identify", AGENT),
    ("connection.register_remote_method", {"method_name": "take_picture"}),
]
ARGUMENTS: list[dict[str, object]] = [{"arguments": value} for value in ({"x": 1}, [], {}, [1])]
ANSWERS: list[dict[str, object]] = [
    {"result": {"a": [1, None]}},
    {"result": 0},
    {"result": ""},
    {"result": None},
    {"result": 1, "error": {"code": 1}},
    {"error": {"code": -5, "message": "no", "data": [1]}},
    {"error": "text"},
    {"error": None},
]


async def life(side: Side, klipper: SimulatedKlipper) -> Said:
    """What everybody is told, in order; texts of refusals and ids are left out."""
    said: Said = []
    async with side.websocket() as other, side.websocket() as silent, side.websocket() as second:
        await other.ask("server.connection.identify", OTHER)
        async with side.websocket() as agent:
            said.append(("identified", _outcome(await agent.ask("server.connection.identify", AGENT))))
            for wire, name in ((other, "other"), (silent, "silent")):
                said.append((f"{name} hears", await _news(wire)))
            for wire in (other, second):
                for method, params in BY_CALLERS:
                    said.append((f"{method} {params}", _outcome(await wire.ask(method, params))))
            for method, params in BY_THE_AGENT:
                said.append((f"{method} {params}", _outcome(await agent.ask(method, params))))
                if method == "connection.send_event" and "result" in said[-1][1]:
                    said.append(("other hears", await _news(other)))
            said.append(("listed", await other.ask("server.extensions.list")))
            await _asked(side, agent, other, said)
            await until(lambda: "take_picture" in klipper.remote_methods)
            for news in ({"a": 1, "b": [None]}, {}):
                await klipper.call_remote("take_picture", **news)
                said.append(("called", await _next(agent, "take_picture")))
            await klipper.restart()
            await until(lambda: "take_picture" in klipper.remote_methods)
            await klipper.call_remote("take_picture", again=True)
            said.append(("called after a restart", await _next(agent, "take_picture")))
            own = [message for message in agent.news if message.get("method") == "notify_agent_event"]
            said.append(("the agent itself hears", own))
            await other.say(
                {
                    "jsonrpc": "2.0",
                    "method": "server.extensions.request",
                    "id": 7,
                    "params": {"agent": "obico", "method": "slow"},
                }
            )
            await _next(agent, "slow")
        while (message := await other.receive()).get("id") != 7:
            other.news.append(message)
        said.append(("left", message))
        said.append(("other hears", await _news(other)))
        async with side.websocket() as agent:
            for method, params in SUCCESSOR:
                said.append(("successor", _outcome(await agent.ask(method, params))))
            await klipper.call_remote("take_picture", successor=True)
            said.append(("called", await _next(agent, "take_picture")))
    return said


async def _asked(side: Side, agent: Wire, other: Wire, said: Said) -> None:
    for arguments in ({}, *ARGUMENTS):
        for answer in ANSWERS:
            await other.say(
                {
                    "jsonrpc": "2.0",
                    "method": "server.extensions.request",
                    "id": 7,
                    "params": {"agent": "obico", "method": "m", **arguments},
                }
            )
            question = await _next(agent, "m")
            await agent.say({"jsonrpc": "2.0", "result": "not asked", "id": 123456})
            await agent.say({"jsonrpc": "2.0", **answer, "id": question.pop("id")})
            await agent.say({"jsonrpc": "2.0", "result": "twice", "id": 123456})
            while (message := await other.receive()).get("id") != 7:
                other.news.append(message)
            said.append((f"{arguments} {answer}", (question, message)))
    for answer in ANSWERS:
        seen: list[Any] = []

        async def ask(seen: list[Any] = seen) -> None:
            body = {"agent": "obico", "method": "m", "arguments": {"http": True}}
            seen.append(await side.http(with_json("POST", "/server/extensions/request", body)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            question = await _next(agent, "m")
            await agent.say({"jsonrpc": "2.0", **answer, "id": question["id"]})
        told = seen[0].body if seen[0].status == 200 else seen[0].body["error"]["code"]
        said.append((f"HTTP {answer}", (seen[0].status, told)))


def _outcome(answer: dict[str, Any]) -> object:
    if "error" in answer:
        return {"refused": answer["error"]["code"]}
    return {"result": answer["result"] if isinstance(answer["result"], str) else sorted(answer["result"])}


async def _next(wire: Wire, method: str) -> dict[str, Any]:
    while True:
        for index, message in enumerate(wire.news):
            if message.get("method") == method:
                return wire.news.pop(index)
        wire.news.append(await wire.receive())


async def _news(wire: Wire) -> Any:
    """The next news of an agent, if it has come before the answer to a call."""
    await wire.ask("server.info")
    told = [message for message in wire.news if message.get("method") == "notify_agent_event"]
    wire.news = [message for message in wire.news if message.get("method") != "notify_agent_event"]
    return told


async def test_an_agent_lives_alike(tmp_path: Path, nursery: trio.Nursery, real_moonraker: StartMoonraker) -> None:
    socket, gcodes = tmp_path / "theirs.sock", tmp_path / "gcodes"
    gcodes.mkdir()
    klipper = SimulatedKlipper(socket, gcodes=gcodes, startup_time=0.2)
    await nursery.start(klipper.run)
    moonraker = await real_moonraker(socket)
    theirs = await _when_ready(Side("Moonraker", moonraker.url, moonraker.data_path), klipper)
    paths = configure(tmp_path / "ours")
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, startup_time=0.2)
    await nursery.start(klipper.run)
    async with running(paths) as (_, client):
        ours = await _when_ready(Side("ours", client.url, paths.root), klipper)
    assert ours == theirs


async def _when_ready(side: Side, klipper: SimulatedKlipper) -> Said:
    with trio.fail_after(60):
        while True:
            async with httpx.AsyncClient(base_url=side.url, timeout=30, trust_env=False) as client:
                if (await client.get("/server/info")).json()["result"]["klippy_state"] == "ready":
                    break
            await trio.sleep(0.1)
    return await life(side, klipper)
