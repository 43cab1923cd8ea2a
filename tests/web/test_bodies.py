"""Bodies of both framings: where they end, how big they may be, and how long they may take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import h11
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.web.world import IMPATIENT, HttpClient, Running, multipart, open_front, pieces_of, said_at_the_end
from trio_moon.web.body_framing import ChunkedBody
from trio_moon.web.request_parser import BadRequest
from trio_moon.web.settings import FrontSettings

HEAD = b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
INFO = b"GET /server/info HTTP/1.1\r\nHost: x\r\n\r\n"


def chunks(body: bytes, size: int = 7, trailers: bytes = b"") -> bytes:
    """`body` in chunks of `size` bytes."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Running]:
    limits = replace(IMPATIENT, body_bytes=100_000, incomplete_bytes=300_000)
    async with open_front(tmp_path, FrontSettings(limits=limits, max_upload_size=1 << 20)) as running:
        yield running


async def test_a_body_in_chunks_is_read_and_the_connection_goes_on(http: HttpClient) -> None:
    await http.send(HEAD + b"\r\n" + chunks(b'{"a": "' + b"x" * 5000 + b'"}'))
    assert (await http.reply()).json() == {"result": {"a": "x" * 5000}}
    assert (await http.ask("GET", "/server/info")).status == 200


async def test_what_follows_the_chunks_is_the_next_request(live: Running) -> None:
    http = HttpClient(await live.connect())
    await http.send((HEAD + b"\r\n" + chunks(b'{"n": 1}', 3, b"Digest: x\r\n") + INFO) * 3)
    for _ in range(3):
        assert (await http.reply()).json() == {"result": {"n": 1}}
        assert (await http.reply()).json() == {"result": {"state": "ready"}}


async def test_chunks_may_come_byte_by_byte(live: Running) -> None:
    http = HttpClient(await live.connect())
    for byte in HEAD + b"\r\n" + chunks(b'{"n": 1}', 3) + INFO:
        await http.send(bytes((byte,)))
    assert (await http.reply()).json() == {"result": {"n": 1}}
    assert (await http.reply()).status == 200


async def test_a_hundred_continue_is_given_to_chunks(live: Running) -> None:
    http = HttpClient(await live.connect())
    await http.send(HEAD + b"Expect: 100-continue\r\n\r\n")
    assert (await http.reply()).status == 100
    await http.send(chunks(b"{}"))
    assert (await http.reply()).status == 200


@pytest.mark.parametrize("size", [100, 70_000, 600_000])
async def test_an_upload_may_come_in_chunks(front: Running, size: int) -> None:
    body, content_type = multipart(("file", "x.gcode", bytes(range(256)) * (size // 256)), ("print", None, b"true"))
    head = b"POST /server/files/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    head += b"Content-Type: " + content_type.encode() + b"\r\n"
    http = HttpClient(await front.connect())
    await http.send(head + b"Expect: 100-continue\r\n\r\n")
    assert (await http.reply()).status == 100
    await http.send(chunks(body, 10_000) + INFO)
    reply = await http.reply()
    assert reply.status == 201
    assert reply.json()["sizes"] == {"x.gcode": size // 256 * 256}
    assert front.world.uploads[0].files["x.gcode"] == bytes(range(256)) * (size // 256)
    assert (await http.reply()).json() == {"result": {"state": "ready"}}


async def test_an_upload_in_chunks_has_the_same_limits(small: Running) -> None:
    body, content_type = multipart(("file", "x.gcode", bytes(3 << 20)))
    head = b"POST /server/files/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    head += b"Content-Type: " + content_type.encode() + b"\r\n\r\n"
    http = HttpClient(await small.connect())
    with suppress(trio.BrokenResourceError):
        await http.send(head + chunks(body, 60_000))
    assert (await http.reply()).status == 413
    http = HttpClient(await small.connect())
    await http.send(head + b"5\r\nhello\r\nrubbish\r\n")
    assert (await http.reply()).status == 400
    stuck = await small.connect()
    await stuck.send_all(head + chunks(body, 1000)[:5000])
    assert b"HTTP/1.1 408 " in await said_at_the_end(stuck)
    with trio.fail_after(5):
        for upload in small.world.uploads:
            await upload.gone.wait()
    assert [upload.abandoned for upload in small.world.uploads] == [1, 1, 1]


async def test_a_body_in_chunks_has_the_same_limits(small: Running) -> None:
    for hostile, status in (
        (b"186a1\r\n", 413),
        (chunks(b"x" * 100_001, 1000), 413),
        (b"0\r\n" + b"A: b\r\n" * 5000 + b"\r\n", 431),
        (b"5" + b"0" * 20 + b"\r\n", 400),
        (b"2;" + b"a" * 2000, 400),
    ):
        http = HttpClient(await small.connect())
        with suppress(trio.BrokenResourceError):
            await http.send(HEAD + b"\r\n" + hostile)
        assert (await http.reply()).status == status, hostile[:20]
        assert await http.closed()
    stuck = await small.connect()
    await stuck.send_all(HEAD + b"\r\n5\r\n{")
    assert b"HTTP/1.1 408 " in await said_at_the_end(stuck)


async def test_chunks_pay_from_the_common_budget(small: Running) -> None:
    waiting = [HttpClient(await small.connect()) for _ in range(5)]
    for http in waiting:
        await http.send(HEAD + b"\r\n" + chunks(b" " * 90_000)[:-5])
        await trio.sleep(0.05)
    replies = [await http.reply() for http in waiting]
    assert 429 in [reply.status for reply in replies]
    assert (await HttpClient(await small.connect()).ask("GET", "/server/info")).status == 200
    http = HttpClient(await small.connect())
    await http.send(HEAD + b"\r\n" + chunks(b'{"a": "' + b" " * 80_000 + b'"}'))
    assert (await http.reply()).status == 200


@pytest.mark.parametrize("path", [b"/nowhere", b"/server/info"])
async def test_a_refused_body_in_chunks_is_skipped_if_it_is_short(live: Running, path: bytes) -> None:
    http = HttpClient(await live.connect())
    head = HEAD.replace(b"/server/echo", path) + b"\r\n"
    await http.send(head + chunks(b"x" * 1000) + INFO)
    assert (await http.reply()).status in (404, 405)
    assert (await http.reply()).status == 200
    await http.send(head)
    assert (await http.reply()).status in (404, 405)
    await http.send(chunks(b"x" * 1000))
    await http.send(INFO)
    assert (await http.reply()).status == 200
    await http.send(head)
    assert (await http.reply()).status in (404, 405)
    with suppress(trio.BrokenResourceError):
        await http.send(chunks(b"x" * 100_000, 5000))
    assert await http.closed()


@given(st.binary(max_size=100), st.integers(1, 40), st.lists(st.integers(0), max_size=8))
def test_chunks_are_joined_wherever_they_are_cut(body: bytes, size: int, cuts: list[int]) -> None:
    framing = ChunkedBody()
    wire = chunks(body, size, b"A: b\r\n") + INFO
    assert b"".join(framing.feed(piece) for piece in pieces_of(wire, cuts)) == body
    assert framing.ended
    assert framing.rest == INFO
    assert framing.size == len(body)


tokens = st.sampled_from([b"\r\n", b"\r\n", b"0", b"1", b"a", b"1", b"A", b";x=y", b"\n", b"\r", b"A: b", b" ", b"\0"])


ends = st.sampled_from([b"", b"0\r\n\r\n", b"\r\n0\r\n\r\n", b"\r\n0;x\r\nA: b\r\n\r\nrest"])


@given(
    st.lists(st.one_of(tokens, tokens, st.binary(max_size=2)), max_size=20), ends, st.lists(st.integers(0), max_size=5)
)
def test_what_we_take_for_chunks_is_read_so_by_h11_too(pieces: list[bytes], end: bytes, cuts: list[int]) -> None:
    wire = b"".join(pieces) + end
    framing, body = ChunkedBody(), b""
    try:
        for piece in pieces_of(wire, cuts):
            body += framing.feed(piece)
    except BadRequest:
        return
    other = h11.Connection(h11.SERVER)
    other.receive_data(HEAD + b"\r\n" + wire)
    heard, ended = b"", False
    try:
        while (event := other.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Data):
                heard += event.data
            ended = ended or isinstance(event, h11.EndOfMessage)
    except h11.RemoteProtocolError:  # it may know earlier that this can't end well
        assert not framing.ended
        return
    assert (heard, ended) == (body, framing.ended)
    assert not ended or other.trailing_data[0] == framing.rest
