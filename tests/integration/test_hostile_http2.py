"""HTTP/2 and TLS misused, on a whole service: each connection suffers alone, and nothing stays behind."""

from __future__ import annotations

import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import hpack
import pytest
import trio

from tests.integration.house import House, open_house, tls_client

pytestmark = pytest.mark.slow

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, MORE = range(10)
END_STREAM, END_HEADERS = 1, 4
START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def head(*more: tuple[str, str], method: str = "GET", path: str = "/server/info", host: str = "127.0.0.1") -> bytes:
    """Compressed headers."""
    pseudo = [(":method", method), (":path", path), (":scheme", "https"), (":authority", host)]
    return bytes(hpack.Encoder().encode([*pseudo, *more]))


def ask(stream: int, *more: tuple[str, str], method: str = "GET", path: str = "/server/info") -> bytes:
    """A request without a body."""
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, head(*more, method=method, path=path))


def put(stream: int, body: bytes, *more: tuple[str, str], path: str = "/server/database/item") -> bytes:
    """A POST with as much of a body, which goes on."""
    kind = ("content-type", "application/json")
    return frame(HEADERS, END_HEADERS, stream, head(kind, *more, method="POST", path=path)) + frame(
        DATA, 0, stream, body
    )


OPEN = START + frame(SETTINGS, 0, 0)
NO_WINDOW = START + frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 0))
ODD = range(1, 10_000, 2)
HUGE = head(*((f"x-{number}", "y" * 1000) for number in range(200)))
FORM = ("content-type", "multipart/form-data; boundary=x")

ATTACKS: dict[str, bytes] = {
    "no start": bytes(100),
    "half a start": START[:10],
    "three hundred requests": OPEN + b"".join(ask(stream) for stream in ODD[:300]),
    "rapid resets": OPEN + b"".join(ask(stream) + frame(RESET, 0, stream, bytes(4)) for stream in ODD),
    "resets of slow calls": OPEN
    + b"".join(ask(stream, path="/printer/info") + frame(RESET, 0, stream, bytes(4)) for stream in ODD[:2000]),
    "settings": OPEN + frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 65535)) * 20_000,
    "settings of nonsense": START + frame(SETTINGS, 0, 0, struct.pack("!HI", 5, 1)),
    "settings in pieces": START + frame(SETTINGS, 0, 0, b"abc"),
    "pings": OPEN + frame(PING, 0, 0, b"12345678") * 50_000,
    "short pings": OPEN + frame(PING, 0, 0, b"1"),
    "priorities": OPEN + b"".join(frame(PRIORITY, 0, stream, b"\0\0\0\0\x10") for stream in ODD),
    "a priority of itself": OPEN + frame(PRIORITY, 0, 1, b"\0\0\0\1\x10"),
    "empty data": OPEN + put(1, b"") + frame(DATA, 0, 1) * 20_000,
    "data of nobody": OPEN + frame(DATA, 0, 1, b"x"),
    "padding that is too long": OPEN + put(1, b"") + frame(DATA, 8, 1, b"\xff"),
    "headers without end": OPEN
    + frame(HEADERS, END_STREAM, 1, head())
    + frame(MORE, 0, 1, b"\x00\x01a\x01b" * 2000) * 99,
    "headers between others": OPEN + frame(HEADERS, END_STREAM, 1, head()) + frame(PING, 0, 0, bytes(8)),
    "huge headers": OPEN
    + frame(HEADERS, END_STREAM, 1, HUGE[:16_000])
    + b"".join(frame(MORE, 0, 1, HUGE[at : at + 16_000]) for at in range(16_000, len(HUGE), 16_000))
    + frame(MORE, END_HEADERS, 1),
    "headers that unfold": OPEN + frame(HEADERS, 5, 1, head(("x", "y" * 3000)) + b"\xbe" * 10_000),
    "headers that can't be read": OPEN + frame(HEADERS, 5, 1, b"\xff" * 50),
    "a window that overflows": OPEN + ask(1) + frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"),
    "a window of nothing": OPEN + frame(WINDOW, 0, 0, bytes(4)),
    "no window for answers": NO_WINDOW + b"".join(ask(stream, path="/server/config") for stream in ODD[:30]),
    "a huge frame": OPEN + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 100_000,
    "unknown frames": OPEN + frame(77, 0, 0, b"x" * 1000) * 2000,
    "an even stream": OPEN + frame(HEADERS, 5, 2, head()),
    "a stream that goes back": OPEN + ask(5) + ask(3),
    "the same stream twice": OPEN + ask(1) + ask(1),
    "a promise": OPEN + frame(PUSH, 4, 1, bytes(4) + head()),
    "a goodbye and more": OPEN + frame(GOAWAY, 0, 0, bytes(8)) + ask(1),
    "a path with a zero": OPEN + ask(1, path="/server/files/%00"),
    "a path in raw bytes": OPEN + ask(1, path="/\u00ff"),
    "a path that climbs": OPEN + ask(1, path="/server/files/gcodes/..%2f..%2fconfig/moonraker.conf"),
    "a path without a slash": OPEN + ask(1, path="server/info"),
    "an empty path": OPEN + ask(1, path=""),
    "options for everything": OPEN + ask(1, path="*", method="OPTIONS"),
    "no path": OPEN + frame(HEADERS, 5, 1, bytes(hpack.Encoder().encode([(":method", "GET"), (":scheme", "https")]))),
    "a method with a zero": OPEN + ask(1, method="G\0T"),
    "a method in raw bytes": OPEN + ask(1, method="G\u00c9T"),
    "a method nobody has": OPEN + ask(1, method="BREW"),
    "trace": OPEN + ask(1, method="TRACE"),
    "a connection's header": OPEN + ask(1, ("connection", "close")),
    "a coding": OPEN + ask(1, ("transfer-encoding", "chunked")),
    "an upper header": OPEN + ask(1, ("X-Upper", "a")),
    "a line end in a header": OPEN + ask(1, ("a", "b\r\nc: d")),
    "two hosts": OPEN + ask(1, ("host", "evil.example")),
    "a foreign host": OPEN + frame(HEADERS, 5, 1, head(host="evil.example")),
    "a foreign origin": OPEN + ask(1, ("origin", "http://evil.example"), method="POST", path="/printer/restart"),
    "a wrong key": OPEN + ask(1, ("x-api-key", "\u00ff")),
    "a length that is too long": OPEN + put(1, b"{}", ("content-length", "5")) + frame(DATA, END_STREAM, 1),
    "a length of letters": OPEN + put(1, b"{}", ("content-length", "x")),
    "a length of many digits": OPEN + put(1, b"", ("content-length", "9" * 30)),
    "deep lists": OPEN + put(1, b"[" * 10_000) + frame(DATA, END_STREAM, 1),
    "trailers": OPEN + put(1, b"[]") + frame(HEADERS, 5, 1, bytes(hpack.Encoder().encode([("a", "b")]))),
    "unfinished uploads": OPEN
    + b"".join(
        frame(HEADERS, END_HEADERS, stream, head(FORM, method="POST", path="/server/files/upload"))
        for stream in ODD[:30]
    ),
    "a websocket": OPEN
    + frame(HEADERS, END_HEADERS, 1, head((":protocol", "websocket"), method="CONNECT", path="/websocket")),
    "a tunnel": OPEN
    + frame(HEADERS, 4, 1, bytes(hpack.Encoder().encode([(":method", "CONNECT"), (":authority", "127.0.0.1:22")]))),
}

MISUSED_HELLOS: dict[str, bytes] = {
    "nothing": b"",
    "zeros": bytes(2000),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "an empty record": b"\x16\x03\x01\x00\x00" * 1000,
    "a huge record": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "a hello that is cut": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "a hello of nonsense": b"\x16\x03\x01\x00\x80\x01\x00\x00\x7c\x03\x03" + bytes(range(124)),
    "ssl 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(60),
    "data before its time": b"\x17\x03\x03\x00\x10" + bytes(16),
}


@pytest.fixture
async def house(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[House]:
    async with open_house(tmp_path, nursery) as opened:
        yield opened


def frames_of(heard: bytes) -> list[tuple[int, bytes]]:
    """The frames' kinds and payloads."""
    found, at = [], 0
    while at + 9 <= len(heard):
        size = int.from_bytes(heard[at : at + 3], "big")
        found.append((heard[at + 3], heard[at + 9 : at + 9 + size]))
        at += 9 + size
    return found


async def attack(house: House, data: bytes) -> tuple[bytes, bool]:
    """What is said to `data`, and whether the connection was ended rather than left open."""
    stream = await house.connect_tls("h2")
    heard, ended = b"", False

    async def send() -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        silence = trio.CancelScope()
        while not ended and not silence.cancelled_caught:
            with trio.move_on_after(1.0) as silence, suppress(trio.BrokenResourceError):
                got = await stream.receive_some()
                heard += got
                ended = not got
                continue
            ended = not silence.cancelled_caught
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(stream)
    return heard, ended


async def test_misused_http2_is_refused_or_ended(house: House) -> None:
    said: dict[str, tuple[bytes, bool]] = {}
    few = trio.CapacityLimiter(8)

    async def one(name: str, data: bytes) -> None:
        async with few:
            said[name] = await attack(house, data)

    await attack(house, OPEN + ask(1))  # Hypercorn is loaded
    before, warm = house.descriptors, house.memory
    async with house.watched() as watch, trio.open_nursery() as nursery:
        for name, data in ATTACKS.items():
            nursery.start_soon(one, name, data)
    for name, (heard, ended) in said.items():
        kinds = Counter(kind for kind, _ in frames_of(heard))
        statuses = [payload[0] for kind, payload in frames_of(heard) if kind == HEADERS]
        served = name in ("unknown frames", "no window for answers", "a stream that goes back", "the same stream twice")
        assert ended or kinds[GOAWAY] or kinds[RESET] or served or 0x88 not in statuses, name  # 0x88 means 200
        assert b"Traceback" not in heard, name
    for name in ("rapid resets", "settings", "pings", "priorities", "empty data", "resets of slow calls"):
        errors = [int.from_bytes(payload[4:8], "big") for kind, payload in frames_of(said[name][0]) if kind == GOAWAY]
        assert errors == [11], name  # ENHANCE_YOUR_CALM
    assert watch.longest < 5  # 0.2 s on a machine that does nothing else
    await house.lets_go(before)
    assert house.memory - warm < 24 * 1024
    await house.is_unharmed()


async def test_handshakes_that_never_end_delay_nobody(house: House) -> None:
    hello = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        tls_client().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1").do_handshake()
    whole = hello.read()
    before = house.descriptors

    async def hold(data: bytes) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", house.tls_port) as stream:
            with suppress(trio.BrokenResourceError):
                for at in range(len(data)):  # byte by byte
                    await stream.send_all(data[at : at + 1])
                    await trio.sleep(0.001 if len(data) > 1000 else 0)
                await trio.sleep_forever()

    async def flood() -> None:
        for _ in range(20):
            with suppress(OSError, trio.BrokenResourceError):
                await trio.aclose_forcefully(await house.connect_tls())

    async with house.watched() as watch, trio.open_nursery() as nursery:
        for size in (0, 5, 100, len(whole)):
            for _ in range(30):
                nursery.start_soon(hold, whole[:size])
        async with trio.open_nursery() as floods:
            for _ in range(10):
                floods.start_soon(flood)
        for data in MISUSED_HELLOS.values():
            async with await trio.open_tcp_stream("127.0.0.1", house.tls_port) as stream:
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(data)
        with trio.fail_after(20):
            heard = await house.say(b"GET /server/info HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", tls=True)
        assert heard.startswith(b"HTTP/1.1 200 ")
        nursery.cancel_scope.cancel()
    assert watch.longest < 5
    await house.lets_go(before)
    await house.is_unharmed()
