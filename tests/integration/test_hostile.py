"""A whole service as its own process, and strangers who send rubbish: clear answers, nothing leaks, it goes on."""

from __future__ import annotations

import os
import random
import re
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from tests.integration.service import Client, Process, configure
from trio_moon.kit.json_codec import encode
from trio_moon.testing import MockSpoolman, SimulatedKlipper

pytestmark = pytest.mark.slow

HOST = b"Host: 127.0.0.1\r\n"
UPGRADE = (
    b"GET /websocket HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
INFO = b"GET /server/info HTTP/1.1\r\n" + HOST + b"\r\n"


def post(path: bytes, content_type: bytes, body: bytes, *, chunked: bool = False) -> bytes:
    """A whole POST."""
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Type: " + content_type + b"\r\n"
    if chunked:
        return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(rest: bytes, more: bytes = b"") -> bytes:
    """A POST whose body is `rest` as it stands, which should be chunks."""
    head = b"POST /server/database/item HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    return head + more + b"Transfer-Encoding: chunked\r\n\r\n" + rest


def form(disposition: bytes, body: bytes = b"G28\n") -> bytes:
    """An upload of one part."""
    part = b"--x\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + body + b"\r\n--x--\r\n"
    return post(b"/server/files/upload", b"multipart/form-data; boundary=x", part)


CHUNK = b"2\r\n{}\r\n0\r\n\r\n"
WIRE: dict[str, bytes] = {
    "a length and chunks": chunked(CHUNK + INFO, b"Content-Length: 4\r\n"),
    "an endless chunk extension": chunked(b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n"),
    "a negative chunk": chunked(b"-2\r\n" + CHUNK),
    "a chunk in C": chunked(b"0x2\r\n" + CHUNK),
    "a chunk of the wrong length": chunked(b"1\r\n{}\r\n0\r\n\r\n"),
    "endless trailers": chunked(b"2\r\n{}\r\n0\r\n" + b"A: b\r\n" * 20_000),
    "rubbish behind chunks": chunked(CHUNK + b"\x00\xff rubbish"),
    "deep nesting in chunks": chunked(b"186a0\r\n" + b"[" * 100_000 + b"\r\n0\r\n\r\n"),
    "twenty thousand chunks": chunked(b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"),
    "chunks and h2c": chunked(CHUNK, b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: !\r\n"),
    "a websocket behind chunks": chunked(CHUNK) + UPGRADE + b"\x00\xff",
    "a subprotocol behind chunks": chunked(CHUNK)
    + UPGRADE.replace(b"Upgrade: w", b"Sec-WebSocket-Protocol: \xff\xfe\r\nUpgrade: w"),
    "a host of another site": INFO.replace(b"127.0.0.1", b"evil.example"),
    "an absolute target of another site": INFO.replace(b" /", b" http://evil.example/"),
    "an absolute target with a user": INFO.replace(b" /", b" http://u:p@127.0.0.1:99999/"),
    "a foreign origin": post(b"/printer/restart", b"application/json", b"{}").replace(
        HOST, HOST + b"Origin: http://evil.example\r\n"
    ),
    "an opaque origin": post(b"/printer/restart", b"application/json", b"{}").replace(HOST, HOST + b"Origin: null\r\n"),
    "text for JSON": post(b"/printer/restart", b"text/plain", b"{}"),
    "a stranger behind a proxy": INFO.replace(HOST, HOST + b"X-Forwarded-For: 8.8.8.8\r\n"),
    "a chain of proxies": INFO.replace(HOST, HOST + b"X-Forwarded-For: " + b"1.2.3.4," * 3000 + b"\r\n"),
    "a wrong key": INFO.replace(HOST, HOST + b"X-Api-Key: \xff\r\n"),
    "a token without signature": INFO.replace(HOST, HOST + b"Authorization: Bearer eyJhbGciOiJub25lIn0.e30.\r\n"),
    "a path that climbs": INFO.replace(b"/server/info", b"/server/files/gcodes/..%2f..%2fconfig/moonraker.conf"),
    "a path that starts twice": INFO.replace(b"/server/info", b"//etc/passwd"),
    "a long path": INFO.replace(b"info", b"a" * 30_000),
    "trace": INFO.replace(b"GET", b"TRACE"),
    "connect": INFO.replace(b"GET /server/info", b"CONNECT 127.0.0.1:22"),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "mail": b"EHLO x\r\n",
    "http/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "a part without a name": form(b"form-data; filename=x"),
    "a part that is none": form(b"\xff\xff"),
    "a file that climbs": form(b'form-data; name="file"; filename="../../../x.gcode"'),
    "a file with a zero": form(b'form-data; name="file"; filename="a\0b.gcode"'),
    "a name as long as a book": form(b'form-data; name="file"; filename="' + b"x" * 30_000 + b'"'),
    "a zip that is none": form(b'form-data; name="file"; filename="x.ufp"', b"junk"),
    "an upload cut short": form(b'form-data; name="file"; filename="x.gcode"').replace(b"--x--", b"-----"),
    "a slicer's file that climbs": form(b'form-data; name="file"; filename="../../x"').replace(
        b"/server/files/upload", b"/api/files/local"
    ),
    "a proxy request that climbs": post(
        b"/server/spoolman/proxy", b"application/json", b'{"request_method": "GET", "path": "/v1/../../x"}'
    ),
}

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


@dataclass(eq=False)
class House:
    process: Process
    client: Client
    klipper: SimulatedKlipper

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", int(self.client.url.rpartition(":")[2]))

    async def say(self, data: bytes, *, patience: float = 10.0) -> bytes:
        """What the service says to `data` until it closes, or is silent for a moment."""
        heard = b""
        async with await self.connect() as stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(data)
                while True:
                    with trio.move_on_after(0.3 if heard else patience) as silence:
                        got = await stream.receive_some()
                        heard += got
                    if silence.cancelled_caught or not got:
                        break
        return heard

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def memory(self) -> int:
        """Resident KiB."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1])

    async def is_unharmed(self) -> None:
        assert (await self.client.get("/server/info")).status_code == 200
        log = self.process.log.read_text(errors="replace")
        assert not [line for line in log.splitlines() if " ERROR " in line or "Traceback" in line]


@pytest.fixture
async def house(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[House]:
    spoolman = MockSpoolman()
    await nursery.start(spoolman.run)
    sections = f"[machine]\nprovider: none\n[spoolman]\nserver: {spoolman.url}\n[octoprint_compat]\n"
    paths = configure(tmp_path, sections)  # no notifier: importing Apprise would hide what clients cost
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, restart_pause=0.1)
    await nursery.start(klipper.run)
    process = Process(paths)
    try:
        yield House(process, await process.start(), klipper)
    finally:
        process.clean_up()


async def test_hostile_bytes_get_a_clear_answer_or_the_end(house: House) -> None:
    said: dict[str, bytes] = {}
    few = trio.CapacityLimiter(8)

    async def attack(name: str) -> None:
        async with few:
            said[name] = await house.say(WIRE[name])

    async with trio.open_nursery() as nursery:
        for name in WIRE:
            nursery.start_soon(attack, name)
    for name, heard in said.items():
        statuses = [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", heard)]
        assert statuses, name
        assert max(statuses) < 500, (name, heard)
        assert any(status >= 400 for status in statuses), (name, heard)
        assert b"Traceback" not in heard, name
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
    inputs = list(WIRE.values())

    async def attack() -> None:
        async with few:
            with suppress(trio.BrokenResourceError):
                async with await house.connect() as stream:
                    with trio.move_on_after(1):
                        await stream.send_all(choose.choice(inputs))
                    with trio.move_on_after(choose.choice((0.0, 0.01, 0.05))):
                        await stream.receive_some()

    async def soak(count: int) -> int:
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(attack)
        return house.memory

    warm = await soak(500)
    before = house.descriptors
    assert await soak(1500) - warm < 40 * 1024
    with trio.fail_after(30):
        while house.descriptors > min(before, 60):
            await trio.sleep(0.1)
    await house.is_unharmed()


async def test_clients_that_never_read_cost_little(house: House) -> None:
    call = encode({"jsonrpc": "2.0", "method": "server.config", "id": 1})
    flood = (b"\x81" + bytes((0x80 | len(call),)) + b"\0\0\0\0" + call) * 500

    async def shout() -> None:
        async with await house.connect() as stream:
            with suppress(trio.BrokenResourceError), trio.move_on_after(5):
                await stream.send_all(UPGRADE)
                while True:
                    await stream.send_all(flood)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(shout)
        await trio.sleep(2)
        warm = house.memory
        for _ in range(40):
            nursery.start_soon(shout)
        await trio.sleep(2)
        assert (house.memory - warm) / 40 < 1024
        assert (await house.client.get("/server/info")).status_code == 200
    await house.is_unharmed()


async def test_the_service_ends_soon_in_the_middle_of_it_all(house: House) -> None:
    async def storm(data: bytes) -> None:
        while True:
            with suppress(OSError, trio.BrokenResourceError):
                await house.say(data, patience=1.0)
            await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        for data in list(WIRE.values())[:12]:
            nursery.start_soon(storm, data)
        await trio.sleep(1)
        assert await house.process.end() < 10  # 2 s on a machine that does nothing else
        nursery.cancel_scope.cancel()
    assert house.process.status == 0


def _command(name: str) -> list[str]:

    return [sys.executable, "-m", "trio_moon", name]
