"""One HTTP request at a time, each on a connection of its own: no redirects, no proxies, no second try.

A connection that has waited may be closed by Spoolman in the very moment in which it is used again, and then nobody
can say whether a report arrived. A new one costs a round trip; h11 knows the grammar, Trio the wires.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import h11
import trio
from msgspec import Struct, field

from trio_moon import __version__
from trio_moon.kit.http_date import seconds_of
from trio_moon.kit.json_codec import NotJson, decode

CONNECT_TIMEOUT = 5.0
MAX_CONNECTIONS = 10
MAX_HEAD_BYTES = 64 * 2**10
LONGEST_RETRY_AFTER = 300.0
READ_SIZE = 64 * 2**10
NOT_IN_A_TARGET = re.compile(rb"%(?![0-9A-Fa-f]{2})|[^-A-Za-z0-9._~!$&'()*+,;=:@/?|%[\]]")
BODY_EXPECTED = ("POST", "PUT", "PATCH")


class Answer(Struct, frozen=True):
    """What came back for one request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> object:
        """The decoded body; NotJson if it is none."""
        return decode(self.body)

    @property
    def message(self) -> str:
        """Spoolman's own words for what went wrong, or HTTP's."""
        try:
            value = self.json()
        except NotJson:
            value = None
        text = value.get("message") or value.get("detail") if isinstance(value, dict) else None
        return text if isinstance(text, str) else f"HTTP {self.status}"

    @property
    def retry_after(self) -> float | None:
        """Seconds that we are asked to wait."""
        text = self.headers.get("retry-after", "").strip()
        if not text:
            return None
        try:
            seconds = float(text) if text.isdigit() else seconds_of(text) - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


class NeverSent(Exception):
    """The request didn't leave: there was no connection."""


class NoAnswer(Exception):
    """The request left, and no whole answer came."""


class HttpPeer:
    """A server to ask: where it is, how it is known to be itself, and what every request tells it."""

    def __init__(self, url: str, headers: Mapping[str, str], certificates: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (80 if certificates is None else 443)
        self._path = parts.path
        self._certificates = certificates
        self._headers = {
            "host": parts.netloc,
            "accept": "*/*",
            "accept-encoding": "identity",
            "user-agent": f"trio_moon/{__version__}",
            "connection": "close",
        } | {name.lower(): value for name, value in headers.items()}
        self._free = trio.CapacityLimiter(MAX_CONNECTIONS)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: str | None = None,
        body: bytes | None = None,
        deadline: float,
        limit: int,
    ) -> Answer:
        """The answer of at most `limit` bytes, within `deadline` seconds; raises NeverSent or NoAnswer."""
        request = h11.Request(method=method, target=self._target(path, query), headers=self._headers_for(method, body))
        within = f"within {deadline:g} s"
        connected = False
        try:
            with trio.fail_after(deadline):
                async with self._free:
                    stream = await self.connect()
                    connected = True
                    try:
                        return await _converse(stream, request, body or b"", limit)
                    finally:
                        await trio.aclose_forcefully(stream)
        except trio.TooSlowError:
            if connected:
                raise NoAnswer(f"no answer from Spoolman {within}") from None
            raise NeverSent(f"Spoolman can't be reached {within}") from None
        except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError) as error:
            raise NoAnswer(f"no answer from Spoolman: {_reason(error)}") from error

    def _target(self, path: str, query: str | None) -> bytes:
        target = _quoted(self._path + path)
        return target + b"?" + _quoted(query) if query else target

    @property
    def host(self) -> str:
        """What requests say in their Host header."""
        return self._headers["host"]

    def target(self, path: str) -> str:
        """The path of a request below this server's own path."""
        return self._target(path, None).decode()

    def _headers_for(self, method: str, body: bytes | None) -> list[tuple[bytes, bytes]]:
        headers = dict(self._headers)
        if body is not None:
            headers["content-type"] = "application/json"
        if body is not None or method in BODY_EXPECTED:
            headers["content-length"] = str(len(body or b""))
        return [(name.encode(), value.encode()) for name, value in headers.items()]

    async def connect(self) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
        """A new connection, which the caller closes; raises NeverSent."""
        try:
            with trio.fail_after(CONNECT_TIMEOUT):
                wire = await trio.open_tcp_stream(self._host, self._port)
                if self._certificates is None:
                    return wire
                stream = trio.SSLStream(wire, self._certificates, server_hostname=self._host, https_compatible=True)
                try:
                    await stream.do_handshake()
                except BaseException:
                    await trio.aclose_forcefully(stream)
                    raise
                return stream
        except trio.TooSlowError:
            raise NeverSent(f"Spoolman can't be reached within {CONNECT_TIMEOUT:g} s") from None
        except (OSError, trio.BrokenResourceError) as error:
            raise NeverSent(f"Spoolman can't be reached: {_reason(error)}") from error


async def _converse(stream: trio.abc.Stream, request: h11.Request, body: bytes, limit: int) -> Answer:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    parts = [connection.send(event) for event in (request, h11.Data(data=body), h11.EndOfMessage())]
    with suppress(trio.BrokenResourceError):  # who refuses a request before it is whole may have said why
        await stream.send_all(b"".join(part or b"" for part in parts))
    status, headers, received = 0, dict[str, str](), bytearray()
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(READ_SIZE)))
            case h11.Response() as response:
                status = response.status_code
                headers = _joined(response.headers)
            case h11.Data(data=data):
                received += data
                if len(received) > limit:
                    raise NoAnswer(f"Spoolman's answer is longer than {limit // 2**20} MiB")
            case h11.InformationalResponse():
                pass
            case h11.EndOfMessage():
                return Answer(status, headers, bytes(received))
            case other:
                raise NoAnswer(f"no answer from Spoolman: {type(other).__name__} instead")


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _quoted(text: str) -> bytes:
    """Percent-encoded where it must be; what is encoded already stays as it is."""
    return NOT_IN_A_TARGET.sub(lambda match: b"%%%02X" % match[0][0], text.encode(errors="replace"))


def _reason(error: BaseException) -> str:
    cause = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
        if isinstance(cause, BaseExceptionGroup):  # one for each address that the name has
            cause = cause.exceptions[0]
    text = getattr(cause, "strerror", None) or str(cause) or str(error)
    return re.sub(r"^Error connecting to \(.*\): ", "", text) or type(error).__name__  # Trio shows a tuple there
