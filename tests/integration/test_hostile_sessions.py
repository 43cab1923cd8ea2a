"""Websockets misused on a whole service, and a Klipper that floods or goes deaf."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.integration.hostile_bodies import CALLS, JSON, call
from tests.integration.house import UPGRADE, House, open_house
from trio_moon.kit.json_codec import encode

pytestmark = pytest.mark.slow

MASK = bytes(4)


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True) -> bytes:
    """A frame as clients send it, masked with zeros."""
    first, size = bytes((0x80 * fin | opcode,)), len(payload)
    if size < 126:
        return first + bytes((0x80 | size,)) + MASK + payload
    if size < 65536:
        return first + b"\xfe" + struct.pack("!H", size) + MASK + payload
    return first + b"\xff" + struct.pack("!Q", size) + MASK + payload


@pytest.fixture
async def house(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[House]:
    async with open_house(tmp_path, nursery) as opened:
        yield opened


async def test_hostile_messages_are_answered_with_errors_and_the_session_goes_on(house: House) -> None:
    harmless = ("no version", "a subscription without a session")
    async with house.watched() as watch, house.client.websocket() as socket:
        for name, message in {**JSON, **CALLS}.items():
            if b"\xff" in message:
                continue  # would end the session, rightly
            await socket.socket.send_message(message.decode())
            answer = json.loads(await socket.socket.get_message())
            while isinstance(answer, dict) and str(answer.get("method", "")).startswith("notify_"):
                answer = json.loads(await socket.socket.get_message())
            errors = answer if isinstance(answer, list) else [answer]
            assert name in harmless or all("error" in each for each in errors), (name, answer)
            assert all(each.get("error", {}).get("code") not in (500, -32603) for each in errors), (name, answer)
        assert (await socket.call("server.info"))["klippy_state"] == "ready"
    assert watch.longest < 5
    await house.is_unharmed()


async def test_a_message_in_pieces_of_one_byte_is_read(house: House) -> None:
    message = call("server.info", b"{}")
    pieces = frame(message[:1], fin=False) + b"".join(
        frame(message[at : at + 1], 0, fin=False) for at in range(1, len(message))
    )
    async with await house.connect() as stream:
        await stream.send_all(UPGRADE)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        for byte in pieces + frame(b"", 0):
            await stream.send_all(bytes((byte,)))
        heard = b""
        with trio.fail_after(20):
            while b'"klippy_state"' not in heard:
                heard += await stream.receive_some()
    await house.is_unharmed()


async def test_floods_of_a_client_that_does_not_read_cost_little(house: House) -> None:
    floods = (
        frame(b"x" * 120, 9) * 500,  # pings
        frame(b"", 0, fin=False) * 500,
        frame(call("server.info", b"{}")) * 500,
        frame(call("no.such.method", b"{}")) * 500,
        frame(call("printer.info", b"{}")) * 500,
        frame(call("printer.gcode.script", b'{"script": "G4 P1"}')) * 500,
        frame(call("server.connection.identify", b'{"client_name": "x"}')) * 500,
        frame(call("printer.objects.subscribe", b'{"objects": {"toolhead": null}}')) * 500,
        frame(b"[" + b",".join([call("server.config", b"{}")] * 500) + b"]") * 5,
    )

    async def shout(flood: bytes) -> None:
        with trio.move_on_after(4):
            while True:
                async with await house.connect() as stream:
                    with suppress(trio.BrokenResourceError):
                        await stream.send_all(UPGRADE)
                        while True:
                            await stream.send_all(flood)

    before, warm = house.descriptors, house.memory
    async with house.watched() as watch, trio.open_nursery() as nursery:
        for flood in floods * 3:
            nursery.start_soon(shout, flood)
    assert watch.longest < 8  # 0.3 s on a machine that does nothing else
    assert (house.memory - warm) / (len(floods) * 3) < 2048  # half a MiB each, usually
    await house.lets_go(before)
    await house.is_unharmed()


async def test_subscriptions_have_a_limit(house: House) -> None:
    async with house.client.websocket() as socket:
        many: dict[str, object] = {f"object{number}": None for number in range(10_000)}
        assert (await socket.ask("printer.objects.subscribe", objects=many))["error"]["code"] == 400
        few = dict(list(many.items())[:2000])
        assert "result" in await socket.ask("printer.objects.subscribe", objects=few)
        fields: dict[str, object] = {"toolhead": [f"field{number}" for number in range(10_000)]}
        answer = await socket.ask("printer.objects.subscribe", objects=fields)
        assert answer.get("error", {"code": 400})["code"] == 400
    await house.is_unharmed()


async def test_a_klipper_that_reads_nothing_is_waited_for_within_limits(house: House) -> None:
    house.klipper.faults.stop_reading = True
    script = "G4 P1 ;" + "x" * 20_000
    async with house.watched() as watch, house.client.websocket() as socket:
        warm = house.memory
        for number in range(1000):
            message = {
                "jsonrpc": "2.0",
                "method": "printer.gcode.script",
                "params": {"script": script},
                "id": number + 5000,
            }
            with trio.move_on_after(0.2) as full:
                await socket.socket.send_message(encode(message).decode())
            if full.cancelled_caught:
                break
        assert house.memory - warm < 64 * 1024
    assert watch.longest < 5
    house.klipper.faults.clear()
    await house.is_unharmed()


async def test_a_klipper_that_floods_delays_nobody_much(house: House) -> None:
    news = [
        {
            "method": "process_status_update",
            "params": {"eventtime": 2.0 + number, "status": {"toolhead": {"x": number}}},
        }
        for number in range(500)
    ]
    block = b"".join(encode(each) + b"\x03" for each in news)

    async def listen(*, task_status: trio.TaskStatus[None]) -> None:
        async with house.client.websocket() as socket:
            await socket.call("printer.objects.subscribe", objects={"toolhead": None})
            task_status.started()
            while True:
                await socket.socket.get_message()

    async def read_nothing(*, task_status: trio.TaskStatus[None]) -> None:
        async with await house.connect() as stream:
            await stream.send_all(
                UPGRADE + frame(call("printer.objects.subscribe", b'{"objects": {"toolhead": null}}'))
            )
            task_status.started()
            await trio.sleep_forever()

    async with house.watched() as watch, trio.open_nursery() as listeners:
        for _ in range(3):
            await listeners.start(listen)
            await listeners.start(read_nothing)
        warm = house.memory
        with trio.move_on_after(3):
            while True:  # ten thousand updates in a second
                house.klipper.send_raw(block)
                await trio.sleep(0.05)
        assert house.memory - warm < 16 * 1024
        listeners.cancel_scope.cancel()
    assert watch.longest < 8
    await house.is_unharmed()
