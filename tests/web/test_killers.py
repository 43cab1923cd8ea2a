"""Inputs that once ended a server or might: only their own connection may suffer, on every lane."""

from __future__ import annotations

import logging
import re
from contextlib import suppress

import pytest
import trio

from tests.web.world import HttpClient, Running, WsClient, all_that_comes, client_frame

UPGRADE_HEAD = (
    b"GET /websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
)
FORM = b"POST /server/files/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=%b\r\n"

KILLERS: dict[str, bytes] = {
    # these three end a whole trio worker of Hypercorn 0.18
    "bytes behind an upgrade": UPGRADE_HEAD + b"\r\n\x00",
    "an upgrade with a body": UPGRADE_HEAD + b"Content-Length: 5\r\n\r\nhello",
    "a subprotocol that is not ascii": UPGRADE_HEAD + b"Sec-WebSocket-Protocol: \xff\xfe\r\n\r\n",
    "an upgrade with a chunked body": UPGRADE_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "an upgrade by POST": UPGRADE_HEAD.replace(b"GET", b"POST") + b"\r\n",
    "an upgrade in HTTP/1.0": UPGRADE_HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n",
    "an upgrade elsewhere": UPGRADE_HEAD.replace(b"/websocket", b"/server/info") + b"\r\n\x81\x00",
    "an upgrade to h2c": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAAA\r\n\r\n",
    "http/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
    "tls on the plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
    "zeros": bytes(1000),
    "line ends": b"\r\n" * 1000,
    "a line without an end": b"GET /" + b"a" * 100_000,
    "a head without an end": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000,
    "too many lines": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n",
    "bare line feeds": b"GET /server/info HTTP/1.1\nHost: x\n\n",
    "no host": b"GET /server/info HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /server/info HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two origins": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nOrigin: http://x\r\n\r\n",
    "two keys of a websocket": UPGRADE_HEAD + b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
    "a folded header": b"GET /server/info HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "a space before the colon": b"GET /server/info HTTP/1.1\r\nHost : x\r\n\r\n",
    "a header with a zero": b"GET /server/info HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    "another version": b"GET /server/info HTTP/9.9\r\nHost: x\r\n\r\n",
    "another protocol": b"GET /server/info RTSP/1.0\r\nHost: x\r\n\r\n",
    "no version": b"GET /server/info\r\n\r\n",
    "an unknown verb": b"BREW /server/info HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example:80\r\n\r\n",
    "options for everything": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "an absolute target": b"GET http://evil.example/server/info HTTP/1.1\r\nHost: x\r\n\r\n",
    "an absolute target without a host": b"GET http:///server/info HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path that is not utf-8": b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path with raw bytes": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path with a zero": b"GET /server/files/a%00b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path that climbs": b"GET /trio_moon/../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path that climbs in disguise": b"GET /trio_moon/..%2f..%2f..%2fetc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "a query that is not utf-8": b"GET /server/echo?a=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    "a query of many fields": b"GET /server/echo?" + b"a&" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a huge integer": b"GET /server/echo?a:int=" + b"9" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a negative length": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello",
    "a length with a sign": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
    "an endless length": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 60 + b"\r\n\r\n",
    "a length and chunks": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "a length of many digits": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nContent-Length: "
    + b"0" * 5000
    + b"2\r\n\r\n{}",
    "two codings": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /server/echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunks": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    "chunks of ten exabytes": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"8ac7230489e80000\r\nhello",
    "an expectation": b"POST /server/echo HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nContent-Length: 0\r\n\r\n",
    "an upload without a boundary": FORM.replace(b"; boundary=%b", b"") + b"Content-Length: 5\r\n\r\nhello",
    "an upload with an empty boundary": FORM % b"" + b"Content-Length: 5\r\n\r\nhello",
    "an upload with a long boundary": FORM % (b"x" * 5000) + b"Content-Length: 5\r\n\r\nhello",
    "an upload with a foreign boundary": FORM % b"\xff\xfe" + b"Content-Length: 5\r\n\r\nhello",
    "a boundary in pieces without number": FORM.replace(b"=%b", b"*" + b"9" * 5000 + b"=x")
    + b"Content-Length: 0\r\n\r\n",
    "a name in pieces without number": FORM % b"x"
    + b"Content-Length: 5060\r\n\r\n--x\r\nContent-Disposition: form-data; name*"
    + b"9" * 4995
    + b"=x\r\n\r\n--x--\r\n",
    "an upload of nothing": FORM % b"x" + b"Content-Length: 0\r\n\r\n",
    "an upload without parts": FORM % b"x" + b"Content-Length: 7\r\n\r\n--x--\r\n",
    "an upload that is cut": FORM % b"x" + b"Content-Length: 12\r\n\r\n--x\r\nConten\r\n",
    "a part with endless headers": FORM % b"x" + b"Content-Length: 50005\r\n\r\n--x\r\n" + b"a" * 50_000,
    "a range of letters": b"GET /server/files/f HTTP/1.1\r\nHost: x\r\nRange: bytes=a-b\r\n\r\n",
    "many ranges": b"GET /server/files/f HTTP/1.1\r\nHost: x\r\nRange: bytes=" + b"0-0," * 1000 + b"\r\n\r\n",
    "a bad date": b"GET /server/files/f HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: Fri, 99 Foo 0000\r\n\r\n",
}

FRAMES: dict[str, tuple[bytes, int]] = {
    "an unmasked frame": (b"\x81\x05hello", 1002),
    "a reserved bit": (b"\xc1\x80abcd", 1002),
    "a reserved opcode": (client_frame(b"", 3), 1002),
    "a reserved control opcode": (client_frame(b"", 11), 1002),
    "a fragmented ping": (client_frame(b"", 9, fin=False), 1002),
    "a long ping": (client_frame(b"x" * 126, 9), 1002),
    "a continuation of nothing": (client_frame(b"x", 0), 1002),
    "a text within a text": (client_frame(b"{", fin=False) + client_frame(b"{}"), 1002),
    "a long length for a short frame": (b"\x81\xfe\x00\x05abcdhello", 1002),
    "a longer length for a short frame": (b"\x81\xff" + (5).to_bytes(8, "big") + b"abcdhello", 1002),
    "a negative length": (b"\x81\xff" + b"\xff" * 8 + b"abcd", 1002),
    "a terabyte": (b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"abcd", 1009),
    "a terabyte behind a piece": (client_frame(b"{", fin=False) + b"\x80\xff" + (1 << 40).to_bytes(8, "big"), 1009),
    "text that is not utf-8": (client_frame(b"\xff\xfe"), 1007),
    "pieces that are not utf-8": (client_frame(b"\xc3", fin=False) + client_frame(b"(", 0), 1007),
    "a close of one byte": (client_frame(b"\x03", 8), 1002),
    "a close with a code nobody may send": (client_frame(b"\x03\xed", 8), 1002),
    "a close with a reason that is not utf-8": (client_frame(b"\x03\xe8\xff", 8), 1007),
    "a good close": (client_frame(b"\x03\xe9bye", 8), 1001),
    "a close without a code": (client_frame(b"", 8), 1000),
}


async def is_well(front: Running) -> bool:
    http = HttpClient(await front.connect())
    return (await http.ask("GET", "/server/info")).status == 200


async def test_hostile_requests_hurt_nobody_else(front: Running, caplog: pytest.LogCaptureFixture) -> None:
    bystander = await WsClient.open(front)
    (front.world.folder / "f").write_bytes(b"file")
    said: dict[str, bytes] = {}

    async def attack(name: str) -> None:
        stream = await front.connect()
        with suppress(trio.BrokenResourceError):
            await stream.send_all(KILLERS[name])
        said[name] = await all_that_comes(stream)

    async with trio.open_nursery() as nursery:
        for name in KILLERS:
            nursery.start_soon(attack, name)
    failed = {name: heard for name, heard in said.items() if re.match(rb"HTTP/1.1 5(?!01)", heard)}
    assert not failed
    told = {name: heard for name, heard in said.items() if b"Traceback" in heard or b"root:" in heard}
    assert not told
    assert await is_well(front)
    assert (await bystander.call("server.info"))["result"] == {"state": "ready"}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_most_hostile_requests_get_a_clear_answer(live: Running) -> None:
    for name in (
        "zeros",
        "another protocol",
        "no version",
        "two codings",
        "a length of many digits",
        "no host",
        "two hosts",
        "two origins",
        "two keys of a websocket",
        "an upgrade in HTTP/1.0",
        "an absolute target without a host",
        "two lengths",
        "a length and chunks",
        "a negative length",
    ):
        stream = await live.connect()
        await stream.send_all(KILLERS[name])
        heard = await all_that_comes(stream)
        assert heard.startswith(b"HTTP/1.1 400 "), (name, heard)
        assert b'"message"' in heard


@pytest.mark.parametrize("name", FRAMES)
async def test_a_hostile_frame_is_answered_with_the_right_code(live: Running, name: str) -> None:
    data, code = FRAMES[name]
    client = await WsClient.open(live)
    await client.http.send(data)
    assert await client.close_code() == code
    assert await client.http.closed()
    assert await is_well(live)


async def test_hostile_frames_hurt_nobody_else(front: Running) -> None:
    bystander = await WsClient.open(front)

    async def attack(name: str) -> None:
        client = await WsClient.open(front)
        await client.http.send(FRAMES[name][0] + b"rubbish")
        await all_that_comes(client.http.stream)

    async with trio.open_nursery() as nursery:
        for name in FRAMES:
            nursery.start_soon(attack, name)
    assert await is_well(front)
    assert (await bystander.call("server.info"))["result"] == {"state": "ready"}


MESSAGES: dict[str, tuple[str, int | None]] = {
    "no json": ("{", -32700),
    "nothing": ("", -32700),
    "a number": ("5", -32600),
    "null": ("null", -32600),
    "an empty batch": ("[]", -32600),
    "deep nesting": ("[" * 100_000, -32700),
    "deep nesting that ends": ("[" * 100_000 + "]" * 100_000, -32700),
    "no method": ('{"jsonrpc":"2.0","id":1}', -32600),
    "a method that is a number": ('{"jsonrpc":"2.0","method":5,"id":1}', -32600),
    "an id that is an object": ('{"jsonrpc":"2.0","method":"server.info","id":{}}', -32600),
    "another version": ('{"jsonrpc":"1.0","method":"server.info","id":1}', -32600),
    "params that are a list": ('{"jsonrpc":"2.0","method":"server.info","params":[1],"id":1}', -32602),
    "an unknown method": ('{"jsonrpc":"2.0","method":"__class__","id":1}', -32601),
    "a big number": ('{"jsonrpc":"2.0","method":"server.number","params":{"number":' + "9" * 5000 + '},"id":1}', None),
    "a half surrogate": ('{"jsonrpc":"2.0","method":"server.echo\\ud800","id":1}', None),
}


@pytest.mark.parametrize("name", MESSAGES)
async def test_a_hostile_message_gets_an_error_and_the_session_goes_on(front: Running, name: str) -> None:
    text, code = MESSAGES[name]
    client = await WsClient.open(front)
    await client.send(text)
    error = (await client.message())["error"]
    assert code is None or error["code"] == code
    assert error["code"] != 500
    assert (await client.call("server.info", 77))["result"] == {"state": "ready"}


async def test_a_bug_of_ours_is_logged_on_every_lane(front: Running, caplog: pytest.LogCaptureFixture) -> None:
    http = HttpClient(await front.connect())
    assert (await http.ask("GET", "/server/bug")).status == 500
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        "GET /server/bug failed"
    ]
