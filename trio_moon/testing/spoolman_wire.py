"""One connection of MockSpoolman, down to its bytes: what a fault needs to misbehave with."""

import gzip
import http
import socket
import ssl
import struct
from collections.abc import Callable
from email.utils import formatdate

import h11
import trio
import wsproto
import wsproto.events
from wsproto.extensions import PerMessageDeflate

from trio_moon.testing.spoolman_messages import Answer, Request

RECEIVE_BYTES = 65536
GZIP_FROM_BYTES = 500
LEFT = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Wire:
    """A connection's stream (perhaps inside TLS) and the socket below it."""

    def __init__(self, below: trio.SocketStream, tls: ssl.SSLContext | None) -> None:
        self._below = below
        self._stream: trio.abc.Stream = below if tls is None else trio.SSLStream(below, tls, server_side=True)

    async def receive(self) -> bytes:
        """Some bytes; none when the client has left, however it left."""
        try:
            return bytes(await self._stream.receive_some(RECEIVE_BYTES))
        except LEFT:
            return b""

    async def send(self, data: bytes) -> None:
        """Send everything; raises ClientLeft where nobody is there any more."""
        try:
            await self._stream.send_all(data)
        except LEFT as error:
            raise ClientLeft from error

    async def client_left(self) -> None:
        """Wait until the client hangs up, reading whatever it still says."""
        while await self.receive():
            pass

    def reset(self) -> None:
        """Drop the connection with a TCP reset, at once."""
        self._below.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._below.socket.close()

    async def close(self) -> None:
        """Hang up in an orderly way; never waits for the client."""
        await trio.aclose_forcefully(self._stream)


class ClientLeft(Exception):
    """The client hung up before the answer was out."""


class Exchange:
    """One request with everything that may be done about it; what a Fault's `strike` works with."""

    def __init__(
        self,
        request: Request,
        wire: Wire,
        apply: Callable[[Request], Answer],
        http_side: h11.Connection,
        live_side: wsproto.WSConnection | None,
    ) -> None:
        self.request = request
        self.finished = False
        """A whole answer went out; otherwise the connection is closed when the fault is done."""
        self.accepted = False
        """The answer was that to a websocket handshake."""
        self._wire = wire
        self._apply = apply
        self._http_side = http_side
        self._live_side = live_side

    def apply(self) -> Answer:
        """Do what the request asks (the ledger changes, events go out) and return the answer to it.

        For a websocket handshake nothing is done yet: the answer stands for the accepted handshake.
        """
        return self._apply(self.request)

    def encode(self, answer: Answer) -> bytes:
        """The answer's bytes; to be called once."""
        if answer.status == 101 and self._live_side is not None:
            self.accepted = True
            return self._live_side.send(wsproto.events.AcceptConnection(extensions=[PerMessageDeflate()]))
        return _encode(answer, self.request, self._http_side)

    async def reply(self, answer: Answer) -> None:
        """Send the whole answer."""
        await self._wire.send(self.encode(answer))
        self.finished = True

    async def send(self, data: bytes) -> None:
        """Send these bytes and nothing else."""
        await self._wire.send(data)

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        self._wire.reset()

    async def client_left(self) -> None:
        """Wait until the client gives up."""
        await self._wire.client_left()


def _encode(answer: Answer, request: Request, http_side: h11.Connection) -> bytes:
    body = answer.body
    headers = [("date", formatdate(usegmt=True)), *answer.headers]
    if answer.content_type is not None:
        headers.append(("content-type", answer.content_type))
    if len(body) >= GZIP_FROM_BYTES:
        headers.append(("vary", "Accept-Encoding"))
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers.append(("content-encoding", "gzip"))
            body = gzip.compress(body, 1)
    headers.append(("content-length", str(len(body))))
    if request.method == "WS":
        headers.append(("connection", "close"))
    else:
        headers.append(("server", "uvicorn"))
    reason = http.HTTPStatus(answer.status).phrase if answer.status in _KNOWN_STATUS else "Unknown"
    data = _sent(http_side, h11.Response(status_code=answer.status, headers=headers, reason=reason))
    if request.method != "HEAD":
        data += _sent(http_side, h11.Data(data=body))
    return data + _sent(http_side, h11.EndOfMessage())


_KNOWN_STATUS = frozenset(status.value for status in http.HTTPStatus)


def _sent(http_side: h11.Connection, event: h11.Response | h11.Data | h11.EndOfMessage) -> bytes:
    return http_side.send(event) or b""
