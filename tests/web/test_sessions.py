"""What websockets and the unix socket promise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from tests.web.world import QUICK, UPGRADE, HttpClient, Running, WsClient, client_frame, open_front, said_at_the_end
from trio_moon.web.settings import FrontSettings


async def test_calls_over_the_websocket(front: Running) -> None:
    client = await WsClient.open(front)
    assert await client.call("server.info") == {"jsonrpc": "2.0", "result": {"state": "ready"}, "id": 1}
    assert (await client.call("server.nothing", 2))["error"]["code"] == -32601
    assert (await client.call("server.slow", 3, a=1))["result"] == {"a": 1}


async def test_a_waiting_call_does_not_hold_up_the_next(front: Running) -> None:
    client = await WsClient.open(front)
    await client.send(json.dumps({"jsonrpc": "2.0", "method": "server.hang", "id": 9}))
    assert (await client.call("server.number", 2, number=5))["result"] == 5


async def test_news_reach_every_session(front: Running) -> None:
    clients = [await WsClient.open(front) for _ in range(3)]
    for client in clients:
        await client.call("server.info")
    front.world.audience.announce("notify_text", "hello")
    for client in clients:
        assert await client.message() == {"jsonrpc": "2.0", "method": "notify_text", "params": ["hello"]}


async def test_a_session_ends_with_its_connection(front: Running) -> None:
    client = await WsClient.open(front)
    await client.call("server.info")
    assert len(front.world.audience) == 1
    await client.http.stream.aclose()
    with trio.fail_after(5):
        await front.world.session_ended.wait()
    assert len(front.world.audience) == 0


async def test_the_answer_comes_before_the_news_that_the_call_caused(live: Running) -> None:
    client = await WsClient.open(live)
    await client.send(json.dumps({"jsonrpc": "2.0", "method": "server.announce", "params": {"text": "x"}, "id": 1}))
    assert (await client.message())["result"] == "ok"
    assert (await client.message())["method"] == "notify_text"


async def test_calls_that_wait_begin_in_the_order_in_which_they_came(live: Running) -> None:
    client = await WsClient.open(live)
    calls = [json.dumps({"jsonrpc": "2.0", "method": "server.away", "id": n}) for n in range(50)]
    await client.http.send(b"".join(client_frame(call) for call in calls))
    assert [(await client.message())["id"] for _ in calls] == list(range(50))


async def test_many_calls_in_one_packet_are_all_answered(live: Running) -> None:
    client = await WsClient.open(live)
    calls = [
        json.dumps({"jsonrpc": "2.0", "method": "server.number", "params": {"number": n}, "id": n}) for n in range(50)
    ]
    await client.http.send(b"".join(client_frame(call) for call in calls))
    assert [(await client.message())["result"] for _ in calls] == list(range(50))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-websocket-version": "8"}, 426),
        ({"sec-websocket-key": "short"}, 400),
        ({"origin": "http://evil.example"}, 403),
        ({"x-api-key": "wrong"}, 401),
    ],
)
async def test_a_bad_upgrade_is_refused(live: Running, headers: dict[str, str], status: int) -> None:
    http = HttpClient(await live.connect())
    assert (await http.ask("GET", "/websocket", more={**UPGRADE, **headers})).status == status


async def test_the_unix_socket_speaks_the_same_calls(live: Running) -> None:
    stream = await live.connect_unix()
    buffer = b""

    async def message() -> Any:
        nonlocal buffer
        with trio.fail_after(5):
            while b"\x03" not in buffer:
                buffer += await stream.receive_some()
        frame, _, buffer = buffer.partition(b"\x03")
        return json.loads(frame)

    await stream.send_all(b'{"jsonrpc":"2.0","method":"server.info","id":1}\x03{"jsonrpc":"2.0","method":"serv')
    assert (await message())["result"] == {"state": "ready"}
    await stream.send_all(b'er.websocket.id","id":2}\x03rubbish\x03')
    assert (await message())["result"]["websocket_id"] > 0
    assert (await message())["error"]["code"] == -32700
    live.world.audience.announce("notify_text", "hello")
    assert (await message())["method"] == "notify_text"


async def test_a_message_on_the_unix_socket_that_is_too_long_is_the_last(tmp_path: Path) -> None:
    limits = replace(QUICK, message_bytes=1000)
    async with open_front(tmp_path, FrontSettings(limits=limits)) as front:
        for message in (b"x" * 1001, b"x" * 1001 + b"\x03"):
            stream = await front.connect_unix()
            await stream.send_all(message)
            assert await said_at_the_end(stream) == b""
