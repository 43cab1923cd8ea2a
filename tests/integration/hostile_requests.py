"""Some hundred requests that nobody should send, each with a name, and what may be answered to them."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.integration.hostile_bodies import CALLS, CHUNKS, FIELDS, FILENAMES, JSON, PARTS
from tests.integration.hostile_heads import HOSTS, LINES, RANGES, START_LINES, TARGETS
from tests.integration.house import HOST, INFO, UPGRADE

JSON_PATHS = (b"/server/database/item", b"/server/spoolman/spool_id", b"/server/spoolman/proxy", b"/server/files/move")
FORM_PATHS = (b"/server/files/upload", b"/api/files/local", b"/server/database/item")
HARMLESS = (
    "json: nothing to /server/spoolman/spool_id",  # means: no spool
    "json: space to /server/spoolman/spool_id",
    "start b'GET  /server/info  HTTP/1.1'",
    "host b''",
    "file b'..\\\\..\\\\x.gcode'",  # an odd name, but a name
    "file b'a\\nb.gcode'",
    "file b'\\xff\\xfe.gcode'",
    "file b'con\\r\\nX: y.gcode'",
    "field b'path' b'/etc'",  # below the root
    "call: no version",
)
"""What may be answered as if it were a proper request; also Ranges, which may be ignored."""


def post(path: bytes, content_type: bytes, body: bytes, *more: bytes) -> bytes:
    """A whole POST."""
    lines = b"".join(line + b"\r\n" for line in more)
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + lines + b"Content-Type: " + content_type + b"\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def upload(filename: bytes, *fields: tuple[bytes, bytes], path: bytes = b"/server/files/upload") -> bytes:
    """An upload of a short file."""
    parts = [(b"name=" + name, value) for name, value in fields]
    parts.append((b'name="file"; filename="' + filename + b'"', b"G28\n"))
    body = b"".join(b"--x\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % part for part in parts)
    return post(path, b"multipart/form-data; boundary=x", body + b"--x--\r\n")


def _odd_heads() -> Iterator[tuple[str, bytes]]:
    for target in TARGETS:
        yield f"target {target[:60]!r}", INFO.replace(b"/server/info", target)
    for target in TARGETS[:20]:
        yield f"DELETE {target[:60]!r}", INFO.replace(b"GET", b"DELETE").replace(b"/server/info", target)
    for host in HOSTS:
        yield f"host {host[:40]!r}", INFO.replace(b"127.0.0.1", host)
    for line in START_LINES:
        yield f"start {line[:60]!r}", line + b"\r\n" + HOST + b"\r\n"
    for line in LINES:
        request = post(b"/server/database/item", b"application/json", b"{}", line)
        if line.startswith((b"Content-Length", b"Transfer-Encoding")):
            request = request.replace(b"Content-Length: 2\r\n\r\n", b"\r\n")
        yield f"header {line[:60]!r}", request
    download = INFO.replace(b"server/info", b"server/files/config/moonraker.conf")
    for text in RANGES:
        yield f"range {text[:40]!r}", download.replace(HOST, HOST + b"Range: " + text + b"\r\n")


def _odd_bodies() -> Iterator[tuple[str, bytes]]:
    for name, body in JSON.items():
        for path in JSON_PATHS:
            yield f"json: {name} to {path.decode()}", post(path, b"application/json", body)
    for name, body in {**JSON, **CALLS}.items():
        yield f"call: {name}", post(b"/server/jsonrpc", b"application/json", body)
    for name, (content_type, body) in PARTS.items():
        for path in FORM_PATHS:
            yield f"parts: {name} to {path.decode()}", post(path, content_type, body)
    for filename in FILENAMES:
        yield f"file {filename[:40]!r}", upload(filename)
        yield f"slicer's file {filename[:40]!r}", upload(filename, path=b"/api/files/local")
    for field in FIELDS:
        yield f"field {field[0]!r} {field[1][:40]!r}", upload(b"h.gcode", field)
    for name, rest in CHUNKS.items():
        head = b"POST /server/database/item HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
        yield f"chunks: {name}", head + b"Transfer-Encoding: chunked\r\n\r\n" + rest


def _others() -> Iterator[tuple[str, bytes]]:
    restart = post(b"/printer/restart", b"application/json", b"{}")
    yield "a foreign origin", restart.replace(HOST, HOST + b"Origin: http://evil.example\r\n")
    yield "an opaque origin", restart.replace(HOST, HOST + b"Origin: null\r\n")
    yield "a websocket from a foreign origin", UPGRADE.replace(HOST, HOST + b"Origin: https://evil.example\r\n")
    yield "a websocket with a body", UPGRADE.replace(HOST, HOST + b"Content-Length: 5\r\n") + b"hello"
    yield "a websocket in chunks", UPGRADE.replace(HOST, HOST + b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n"
    yield "a websocket by POST", UPGRADE.replace(b"GET", b"POST")
    yield "a websocket of another version", UPGRADE.replace(b"Version: 13", b"Version: 12")
    yield "a websocket without a key", UPGRADE.replace(b"Sec-WebSocket-Key", b"X-Key")
    yield "a websocket with a short key", UPGRADE.replace(b"MDEy", b"")
    yield "text for JSON", post(b"/printer/restart", b"text/plain", b"{}")
    yield "a form for JSON-RPC", post(b"/server/jsonrpc", b"text/plain", CALLS["no version"])
    yield (
        "an upgrade to h2c",
        INFO.replace(b" HTTP", b"x HTTP").replace(
            HOST, HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: !\r\n"
        ),
    )
    yield "http/2 at once", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)
    for end in (b"\r", b"\n", b"\r\r\n", b"\r\n\0", b"\x0b\r\n"):
        yield f"lines that end in {end!r}", INFO.replace(b"\r\n", end)
    yield "a length with a space behind it and nothing else", INFO.replace(HOST, HOST + b"Content-Length: \t \r\n")
    yield "ssh", b"SSH-2.0-OpenSSH_9.2\r\n"
    yield "mail", b"EHLO x\r\n"
    yield "tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200))
    yield "zeros", bytes(1000)
    yield "a zip that is none", upload(b"x.ufp")
    yield (
        "a proxy request that climbs",
        post(b"/server/spoolman/proxy", b"application/json", b'{"request_method": "GET", "path": "/v1/../../x"}'),
    )


_BITS = (
    *(b"\r\n", b"\n", b"\0", b"\xff", b"%00", b"..", b"/", b'"', b"{", b"[", b":", b"-1", b"9" * 30, b";", b"?", b"="),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"\\ud800", b"1e999"),
)


def mutated(request: bytes, choose: random.Random) -> bytes:
    """`request` with a few things put in, taken out, doubled or spoiled."""
    data = bytearray(request)
    for _ in range(choose.choice((1, 1, 2, 4, 10))):
        at, other = choose.randrange(len(data) + 1), choose.randrange(len(data) + 1)
        match choose.randrange(4):
            case 0:
                data[at : at + choose.choice((0, 1, 3))] = choose.choice(_BITS)
            case 1:
                data[at : at + 1] = bytes((choose.randrange(256),))
            case 2:
                del data[at : at + choose.randrange(1, 20)]
            case _:
                data[at:at] = data[other : other + choose.randrange(1, 60)]
    return bytes(data)


REQUESTS = dict((*_odd_heads(), *_odd_bodies(), *_others()))
