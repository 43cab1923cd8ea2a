"""Whatever bytes come, the parsers answer with their own errors only; and ours reads as wsproto does."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from tests.web.world import World, client_frame, multipart, pieces_of
from trio_moon.model.errors import BadParams, RequestError
from trio_moon.rpc.arguments import parse_body, parse_query
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.rpc.request_head import RequestHead
from trio_moon.web.downloads import parse_range
from trio_moon.web.frame_reader import FrameReader
from trio_moon.web.frames import TEXT, Violation
from trio_moon.web.multipart import MultipartReader, boundary_of
from trio_moon.web.request_parser import BadRequest, parse_head

WORDS = """GET |POST|HEAD|X| |/|/server/info|?a=1|%ff|%00|http://a/b|*|#| HTTP/1.1| HTTP/1.0|Host: x|Host:|:|5|-|+
Content-Length: |Transfer-Encoding: |chunked|gzip|, |Connection: |close|Upgrade|Upgrade: websocket
Expect: 100-continue|X-Forwarded-For: 1.2.3.4"""
tokens = st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\0", b"\xff", *re.split(rb"[|\n]", WORDS.encode())])


@given(st.lists(st.one_of(tokens, st.binary(max_size=3)), max_size=30))
@example([b"GET", b" ", b"/", b" HTTP/1.1", b"\r\n", b"Host: x", b"\r\n", b"Expect: 100-continue", b"\r\n"])
def test_any_head_is_parsed_or_refused(pieces: list[bytes]) -> None:
    with suppress(BadRequest):
        parsed = parse_head(b"".join(pieces) + b"\r\n\r\n", "127.0.0.1", max_lines=100)
        assert parsed.body_length >= 0
        parsed.head.path.encode()


def read_by_us(chunks: list[bytes]) -> tuple[list[tuple[int, bytes]], int | None]:
    reader, heard = FrameReader(lambda size: None), list[tuple[int, bytes]]()
    message = b""
    for chunk in chunks:
        try:
            for opcode, payload, ended in reader.feed(chunk):
                data = payload.encode() if isinstance(payload, str) else payload
                if opcode == TEXT:
                    message += data
                    if ended:
                        heard.append((TEXT, message))
                        message = b""
                else:
                    heard.append((opcode, data))
                    if opcode == 8:
                        return heard, None
        except Violation as error:
            return heard, error.code
    return heard, None


def read_by_wsproto(chunks: list[bytes]) -> tuple[list[tuple[int, bytes]], int | None]:
    protocol, heard = FrameProtocol(client=False, extensions=[]), list[tuple[int, bytes]]()
    message = b""
    for chunk in chunks:
        try:
            protocol.receive_bytes(chunk)
            for frame in protocol.received_frames():
                if frame.opcode is Opcode.CLOSE:
                    assert isinstance(frame.payload, tuple)
                    code = int(frame.payload[0])
                    heard.append((8, (1000 if code == 1005 else code).to_bytes(2, "big")))
                    return heard, None
                assert not isinstance(frame.payload, tuple)
                payload = frame.payload.encode() if isinstance(frame.payload, str) else bytes(frame.payload)
                if frame.opcode.iscontrol():
                    heard.append((int(frame.opcode), payload))
                    continue
                message += payload
                if frame.frame_finished and frame.message_finished:
                    heard.append((TEXT, message))
                    message = b""
        except ParseFailed as error:
            return heard, int(error.code)
    return heard, None


frames = st.builds(
    client_frame,
    st.one_of(st.binary(max_size=200), st.text(max_size=70), st.just(b"x" * 66_000), st.just(b"y" * 126)),
    st.sampled_from([1, 1, 1, 1, 2, 0, 8, 9, 10, 3]),
    fin=st.sampled_from([True, True, True, False]),
    mask=st.binary(min_size=4, max_size=4),
)


@given(
    st.lists(st.one_of(frames, frames, frames, st.binary(max_size=4)), max_size=8), st.lists(st.integers(0), max_size=6)
)
def test_frames_are_read_as_wsproto_reads_them(sent: list[bytes], cuts: list[int]) -> None:
    chunks = pieces_of(b"".join(sent), cuts)
    ours, theirs = read_by_us(chunks), read_by_wsproto(chunks)
    too_early = theirs[1] == 1007 and ours == (theirs[0], None)  # wsproto looks into frames that aren't complete yet
    assert ours == theirs or too_early


class Sink:
    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []

    def add_field(self, name: str, value: str) -> None:
        self.heard.append((name, value))

    def start_file(self, name: str, filename: str) -> None:
        self.heard.append((name, filename))
        self.heard.append(("data", b""))

    def write(self, data: bytes | memoryview) -> None:
        before = self.heard[-1][1]
        assert isinstance(before, bytes)
        self.heard[-1] = ("data", before + data)

    def end_file(self) -> None:
        pass


FORM_WORDS = """--b|--b--|-|Content-Disposition: |form-data|; name="file"|; name=|; filename="f"|; filename*=UTF-8''%ff
; filename*=x'y'z|data|: |;|\\|\""""
form_pieces = st.sampled_from([b"\r\n", b"\r", b"\n", b"\0", b"\xff", *re.split(rb"[|\n]", FORM_WORDS.encode())])


@given(st.lists(st.one_of(form_pieces, st.binary(max_size=3)), max_size=40), st.lists(st.integers(0), max_size=5))
@example([b"--b\r\n", b"Content-Disposition: ", b"form-data", b'; name="file"', b"; filename*=x'y'z", b"\r\n\r\n"], [])
def test_any_form_is_read_or_refused(pieces: list[bytes], cuts: list[int]) -> None:
    reader = MultipartReader("multipart/form-data; boundary=b", Sink())
    with suppress(RequestError):
        for chunk in pieces_of(b"".join(pieces), cuts):
            reader.feed(chunk)
        reader.finish()


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("filename*=utf-8''K%C3%A4se", "Käse"),
        ("filename*=iso-8859-1''K%E4se", "Käse"),
        ("filename=plain; filename*=utf-8''K%C3%A4se", "plain"),
        ("filename=a; filename=b", "a"),
        ('filename="a;b\\\\c\\"d"', 'a;b\\c"d'),
        ("FileName = a b ; x", "a b"),
        ('filename="a', '"a'),
        ("filename=", ""),
        ("filename*=unicode_escape''%5Cud800", "\\ud800"),
        ("filename*=utf-7''+2AA-", "+2AA-"),
        ("filename*=utf-8''%ED%A0%80", "\ufffd" * 3),
    ],
)
def test_a_filename_in_other_words_is_text(written: str, name: str) -> None:
    sink = Sink()
    with closing(MultipartReader("multipart/form-data; boundary=b", sink)) as reader:
        reader.feed(f"--b\r\nContent-Disposition: form-data; name=file; {written}\r\n\r\nG28\r\n--b--\r\n".encode())
        reader.finish()
    assert sink.heard == [("file", name), ("data", b"G28")]


def test_parameters_are_read_in_a_time_that_their_length_gives() -> None:
    for text in (
        'a="' + ";" * 30_000,
        'a="' + '\\";' * 10_000,
        "a" * 30_000,
        ";" * 30_000,
        'a=";' * 8000,
        " " * 30_000,
    ):
        took = []
        for _ in range(3):  # the garbage of all tests before may be collected during one
            began = time.process_time()
            with suppress(BadParams):
                boundary_of(f"multipart/form-data; {text}")
            took.append(time.process_time() - began)
        assert min(took) < 0.1  # Python's mail parser took half a second


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "file"]),
            st.sampled_from([None, "x.gcode", "ä ö.gcode", "a;b.gcode", "a\\b.gcode"]),
            st.text(alphabet="G1\r\n-b ä", max_size=50),
        ),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.integers(0), max_size=8),
)
def test_a_form_arrives_as_it_was_written_however_it_is_cut(
    parts: list[tuple[str, str | None, str]], cuts: list[int]
) -> None:
    body, content_type = multipart(
        *((name, filename and filename.replace("\\", "\\\\"), data.encode()) for name, filename, data in parts),
        boundary="bound",
    )
    sink = Sink()
    reader = MultipartReader(content_type, sink)
    for chunk in pieces_of(body, cuts):
        reader.feed(chunk)
    reader.finish()
    expected: list[tuple[str, object]] = []
    for name, filename, data in parts:
        is_file = name == "file" and filename is not None
        expected += [(name, filename), ("data", data.encode())] if is_file else [(name, data)]
    assert sink.heard == expected


@given(
    st.binary(max_size=60),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain", "x"]),
)
def test_any_body_becomes_arguments_or_is_refused(body: bytes, content_type: str) -> None:
    with suppress(BadParams):
        json.dumps(parse_body(content_type, body))


@given(st.text(alphabet='ab&=%:intfloajsn0123456789[]{}"ä', max_size=40))
def test_any_query_becomes_arguments_or_is_refused(query: str) -> None:
    with suppress(BadParams):
        assert isinstance(parse_query(query), dict)


@given(st.one_of(st.text(alphabet="bytes=-,0123456789 ", max_size=30), st.text(max_size=10)), st.integers(0, 100))
def test_any_range_lies_inside_or_is_refused(text: str, size: int) -> None:
    chosen = parse_range(text, size)
    if chosen is not None:
        start, length = chosen
        assert length == 0 or 0 <= start < start + length <= size


members = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
calls = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.one_of(st.just("2.0"), members),
        "method": st.one_of(st.sampled_from(["server.info", "server.number", "server.echo"]), members),
        "params": st.one_of(st.dictionaries(st.sampled_from(["number", "x"]), members, max_size=2), members),
        "id": st.one_of(st.integers(), members),
    },
)


@given(st.one_of(calls, members, st.lists(calls, max_size=3)))
async def test_any_message_is_answered_properly_or_not_at_all(message: object) -> None:
    world = World(Path())
    caller = Caller(Transport.WEBSOCKET, "127.0.0.1", "_TRUSTED_USER_")
    answer = await world.jsonrpc.answer(json.dumps(message), caller)
    if answer is None:
        return
    decoded = json.loads(answer)
    for one in decoded if isinstance(decoded, list) else [decoded]:
        assert ("result" in one) != ("error" in one)
        if "error" in one:
            assert one["error"]["code"] in (-32700, -32600, -32601, -32602, 400)


def test_the_head_of_a_proxy_keeps_every_address() -> None:
    head: RequestHead = parse_head(
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\r\n", None, max_lines=9
    ).head
    assert head.headers["x-forwarded-for"] == "1.1.1.1, 2.2.2.2"
