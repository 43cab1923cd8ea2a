"""The head of an HTTP/1 request, parsed by httptools. Bytes in, RequestHead out."""

from __future__ import annotations

import re
from urllib.parse import unquote

import httptools
from msgspec import Struct

from trio_moon.rpc.caller import Transport
from trio_moon.rpc.jsonrpc import JSONRPC_PATH
from trio_moon.rpc.request_head import RequestHead
from trio_moon.web.answers import BRIDGE_PATH, WEBSOCKET_PATH


class BadRequest(Exception):
    """This is no HTTP that we understand; `status` and the message are for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ParsedHead(Struct):
    """A RequestHead, and what only a lane needs to know."""

    head: RequestHead
    body_length: int
    chunked: bool
    keep_alive: bool
    expects_continue: bool


class _Collector:
    """httptools' callbacks."""

    __slots__ = ("headers", "lines", "url")

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[str, str] = {}
        self.lines = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines += 1
        add_header(self.headers, name, value)


def add_header(headers: dict[str, str], name: bytes, value: bytes) -> None:
    """Take one header line. Of a repeated one the last counts, or all do, or it is refused."""
    key, text = name.decode("latin-1").lower(), value.rstrip(b" \t").decode("latin-1")
    known = headers.get(key)
    if known is not None:
        if key in _ONCE:
            raise BadRequest(400, f"more than one {key.title()} header")
        if key in _LISTS:
            text = f"{known}, {text}"
    headers[key] = text


MOST_DIGITS = 20
"""Of a Content-Length. Python refuses to read much longer ones at all."""

_ONCE = ("host", "origin", "authorization", "sec-websocket-key", "sec-websocket-version")
"""Headers that somebody before us could read differently if they were repeated."""

_LISTS = ("connection", "transfer-encoding", "x-forwarded-for")
"""Headers that may be repeated: all of them count."""

_NOT_IN_PATHS = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_HEADS = re.compile(rb"[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n|\Z)|(?<!\r)\n")


def parse_head(
    data: bytes, peer: str | None, *, max_lines: int, strip: str | None = None, secure: bool = False
) -> ParsedHead:
    """Parse a whole head, its empty line included. Raises BadRequest."""
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserCallbackError as error:
        if isinstance(error.__context__, BadRequest):
            raise error.__context__ from None
        raise
    except httptools.HttpParserError as error:
        raise BadRequest(400, f"Malformed request: {error}") from None
    if collector.lines > max_lines:
        raise BadRequest(431, f"more than {max_lines} header lines")
    headers = collector.headers
    if "transfer-encoding" in headers and "content-length" in headers:
        raise BadRequest(400, "a body has a Content-Length or a Transfer-Encoding, not both")
    version = parser.get_http_version()
    if version not in ("1.1", "1.0") or not data.startswith(b"HTTP/", data.find(b"\r\n") - 8):  # it reads RTSP, too
        raise BadRequest(400, "HTTP/1.1 is spoken here")
    if version == "1.1" and "host" not in headers:
        raise BadRequest(400, "the Host header is missing")
    path, query = split_target(collector.url, headers, strip)
    upgrade = version == "1.1" and headers.get("upgrade", "").lower() == "websocket"
    transport = Transport.HTTP
    if path == JSONRPC_PATH:
        transport = Transport.JSONRPC_HTTP
    elif upgrade and path in (WEBSOCKET_PATH, BRIDGE_PATH):
        transport = Transport.WEBSOCKET
    verb = parser.get_method().decode("ascii")
    return ParsedHead(
        RequestHead(verb, path, query, headers, peer, transport, secure),
        _body_length(headers),
        _is_chunked(headers, version),
        version == "1.1" and not _wants_to_end(headers),
        _expectation(headers),
    )


def refuse_hopeless(buffer: bytes, head_bytes: int) -> None:
    """Refuse what can't become a head any more, so that nobody waits for its end."""
    if not (65 <= buffer[0] <= 90 or 97 <= buffer[0] <= 122):
        raise BadRequest(400, "Malformed request: this is no HTTP")
    if len(buffer) > head_bytes:
        raise BadRequest(431, f"the head of a request may have {head_bytes} bytes")
    line = buffer.find(b"\n")
    if line > 0 and buffer.rfind(b" HTTP/", 0, line) < 0:
        raise BadRequest(400, "Malformed request: a request line ends in HTTP/1.1 and CR LF")
    if _NOT_IN_HEADS.search(buffer):
        raise BadRequest(400, "Malformed request: a head is text in lines that end in CR LF")


def split_target(target: bytes, headers: dict[str, str], strip: str | None = None) -> tuple[str, str]:
    """The path and the query. The host of an absolute target replaces the Host header, as RFC 9112 wants it.

    `strip` is the route prefix; a path outside of it becomes one that nobody has.
    """
    try:
        text = target.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest(400, "the path is not valid UTF-8") from None
    if not text.startswith("/"):
        scheme, separator, rest = text.partition("://")
        if not separator or scheme.lower() not in ("http", "https"):
            return text, ""  # `*` or an authority: nobody has such a path
        headers["host"], _, rest = rest.partition("/")
        if not headers["host"]:
            raise BadRequest(400, "the target names no host")
        text = f"/{rest}"
    path, _, query = text.partition("#")[0].partition("?")
    if "%" in path:
        try:
            path = unquote(path, errors="strict")
        except UnicodeDecodeError:
            raise BadRequest(400, "the path is not valid UTF-8") from None
    if _NOT_IN_PATHS.search(path):
        raise BadRequest(400, "the path holds control characters")
    if strip:
        inside = path.startswith(strip) and path[len(strip) :][:1] in ("", "/")
        path = (path[len(strip) :] or "/") if inside else "//outside"
    return path, query


def _body_length(headers: dict[str, str]) -> int:
    text = headers.get("content-length")
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise BadRequest(400, "Content-Length is no number that can be meant")
    return int(text)


def _is_chunked(headers: dict[str, str], version: str) -> bool:
    text = headers.get("transfer-encoding")
    if text is None:
        return False
    if text.lower() != "chunked" or version != "1.1":
        raise BadRequest(400, "the only transfer coding is 'chunked', in HTTP/1.1")
    return True


def _wants_to_end(headers: dict[str, str]) -> bool:
    """Asked of the header itself: httptools forgets it at the end of a request without a body."""
    text = headers.get("connection")
    return text is not None and "close" in [word.strip() for word in text.lower().split(",")]


def _expectation(headers: dict[str, str]) -> bool:
    text = headers.get("expect")
    if text is None:
        return False
    if text.lower() != "100-continue":
        raise BadRequest(417, "the only expectation that can be met is 100-continue")
    return True
