"""A whole service as its own process, and strangers who send rubbish: clear answers, nothing leaks, it goes on."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.integration.hostile_requests import HARMLESS, REQUESTS, mutated, post, upload
from tests.integration.house import HOST, INFO, UPGRADE, House, open_house

pytestmark = pytest.mark.slow

VALUES: tuple[object, ...] = (
    *(None, True, -1, 2**63, 10**40, 1e308, -0.5, "", "\0", "x" * 100_000, "../../etc/passwd", "//", "💥", "9" * 5000),
    *([], [None], {}, {"a": {"b": None}}, "1e999", "{{", "' OR 1=1"),
)
NAMES: tuple[str, ...] = (
    "root",
    "path",
    "filename",
    "source",
    "dest",
    "limit",
    "start",
    "namespace",
    "key",
    "value",
    "name",
    "uid",
)
NAMES += ("spool_id", "request_method", "objects", "script", "username", "password", "url", "items", "tool", "body")
DESTRUCTIVE = ("server.restart", "machine.")


@pytest.fixture
async def house(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[House]:
    async with open_house(tmp_path, nursery) as opened:
        yield opened


async def test_hostile_requests_get_a_clear_answer_or_the_end(house: House) -> None:
    said: dict[str, bytes] = {}
    few = trio.CapacityLimiter(24)

    async def attack(name: str, tls: bool) -> None:
        async with few:
            said[f"{name}, by TLS" if tls else name] = await house.say(REQUESTS[name], tls=tls)

    before = house.descriptors
    async with house.watched() as watch, trio.open_nursery() as nursery:
        for number, name in enumerate(REQUESTS):
            nursery.start_soon(attack, name, number % 4 == 3)
    assert len(said) > 500
    for name, heard in said.items():
        statuses = [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", heard)]
        assert statuses, name
        assert max(statuses) < 500, (name, heard)
        assert b"Traceback" not in heard, name
        refused = max(statuses) >= 400 or (name.startswith("call: ") and b'"error":{' in heard)
        assert (
            refused or name.removesuffix(", by TLS").removeprefix("slicer's ") in HARMLESS or name.startswith("range ")
        ), (name, heard)
    assert watch.longest < 5  # 20 ms on a machine that does nothing else
    assert not list(house.process.paths.root.parent.glob("x.gcode"))
    await house.lets_go(before)
    await house.is_unharmed()


async def test_spoiled_requests_never_find_a_mistake_of_ours(house: House) -> None:
    choose = random.Random(4)
    short = [data for data in REQUESTS.values() if len(data) < 20_000]
    few = trio.CapacityLimiter(16)
    mistakes: list[tuple[bytes, bytes]] = []

    async def attack(data: bytes, tls: bool) -> None:
        async with few:
            heard = await house.say(data, patience=0.2, tls=tls)
            if re.search(rb"HTTP/1.1 5(?!03)|Traceback|-32603", heard):
                mistakes.append((data, heard))

    before = house.descriptors
    async with house.watched() as watch, trio.open_nursery() as nursery:
        for number in range(500):
            nursery.start_soon(attack, mutated(choose.choice(short), choose), number % 4 == 3)
    assert not mistakes
    assert watch.longest < 5
    await house.lets_go(before)
    await house.is_unharmed()


async def test_every_method_refuses_wrong_arguments_in_words(house: House) -> None:
    listed = await trio.run_process(
        [*_command("methods"), "-d", str(house.process.paths.root)], capture_stdout=True, check=True
    )
    methods = {line.split()[-1] for line in listed.stdout.decode().splitlines()} - {"-"}
    methods = {name for name in methods if not name.startswith(DESTRUCTIVE)}
    assert len(methods) > 50
    choose = random.Random(6)
    async with house.client.websocket() as socket:
        for name in sorted(methods):
            for value in VALUES:
                arguments = {each: choose.choice(VALUES) for each in NAMES} if choose.random() < 0.5 else {}
                answer = await socket.ask(name, **{**arguments, choose.choice(NAMES): value})
                error = answer.get("error", {"code": 0})
                assert error["code"] not in (500, -32603), (name, answer)
    await house.is_unharmed()


async def test_thousands_of_bad_requests_leave_nothing_behind(house: House) -> None:
    choose = random.Random(1)
    few = trio.CapacityLimiter(16)
    inputs = list(REQUESTS.values())

    async def attack() -> None:
        async with few:
            stream: trio.abc.Stream = await (house.connect_tls() if choose.random() < 0.1 else house.connect())
            with suppress(trio.BrokenResourceError):
                with trio.move_on_after(1):
                    await stream.send_all(choose.choice(inputs))
                with trio.move_on_after(choose.choice((0.0, 0.01, 0.05))):
                    await stream.receive_some()
            await trio.aclose_forcefully(stream)

    async def soak(count: int) -> int:
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(attack)
        return house.memory

    before = house.descriptors
    warm = await soak(1000)
    assert await soak(2000) - warm < 24 * 1024  # about 5 MiB, usually
    await house.lets_go(before)
    await house.is_unharmed()


async def test_what_large_messages_and_passwords_took_is_given_back(house: House) -> None:
    large = post(b"/server/jsonrpc", b"application/json", b'{"method": "' + b"x" * (6 << 20) + b'"}')
    login = post(b"/access/login", b"application/json", b'{"username": "x", "password": "x"}')
    before = house.memory
    for _ in range(4):
        async with trio.open_nursery() as nursery:
            for request in (login, login, large, login):
                nursery.start_soon(house.say, request)
    assert house.memory - before < 20 * 1024  # 2 to 7 MiB, usually
    await house.is_unharmed()


async def test_the_service_ends_soon_in_the_middle_of_it_all(house: House) -> None:
    begun = (
        upload(b"x.gcode").replace(b"Content-Length: ", b"Content-Length: 9"),  # more is to come
        b"POST /server/database/item HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
        INFO.replace(b"/server/info", b"/printer/gcode/script?script=G4+P60000").replace(b"GET", b"POST"),
        UPGRADE,
        b"GET / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    )

    async def ask_for_ever(data: bytes, tls: bool) -> None:
        while True:
            with suppress(OSError, trio.BrokenResourceError):
                await house.say(data, patience=1.0, tls=tls)
            await trio.sleep(0.01)

    async def hold(data: bytes) -> None:
        async with await house.connect() as stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(data)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for number, data in enumerate(random.Random(2).sample(list(REQUESTS.values()), 16)):
            nursery.start_soon(ask_for_ever, data, number % 4 == 3)
        for data in begun * 10:
            nursery.start_soon(hold, data)
        await trio.sleep(1.5)
        assert await house.process.end() < 4  # 1 s, usually; 2 s are promised
        nursery.cancel_scope.cancel()
    assert house.process.status == 0


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "trio_moon", name]
