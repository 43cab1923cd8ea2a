"""TLS in front of the lanes: bytes of the wire on one side, plain ones on a pair of sockets on the other.

A lane gets one end of the pair as its connection and notices nothing; each rule and limit exists once.
"""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import trio

from trio_moon.web.connection import LINGER, Connection, Gone

HANDSHAKE_TIMEOUT = 10.0
HANDSHAKES = 2
"""So many are computed at once, in threads: a flood of them delays itself only."""
DESCRIPTORS_EACH = 3
"""Of a connection: the wire and a pair."""
READ_SIZE = 65536

NO_TLS = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"""For those who speak HTTP to this port without TLS."""

Serve = Callable[[Connection], Awaitable[object]]


def tls_context(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """TLS 1.2 and later, with HTTP/2 for those who ask."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, private_key, password="")  # nobody is there to be asked for one
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


class Tls:
    """Serves connections of a listener with TLS, by the lane that the client has negotiated."""

    def __init__(self, context: ssl.SSLContext, http1: Serve, http2: Serve) -> None:
        self._context = context
        self._http1 = http1
        self._http2 = http2
        self._handshakes = trio.CapacityLimiter(HANDSHAKES)

    async def serve(self, connection: Connection) -> None:
        """Serve until the lane or the client has had enough."""
        connection.deadline = connection.opened_at + HANDSHAKE_TIMEOUT
        secret = _Secret(self._context)
        try:
            if not await self._shake_hands(connection, secret):
                return
        except Gone:
            return
        connection.deadline = math.inf
        try:
            tunnel = _Tunnel(secret, connection.sock)
        except OSError:  # no more descriptors
            return
        connection.sock, connection.secure = tunnel.lane_end, True
        lane = self._http2 if secret.tls.selected_alpn_protocol() == "h2" else self._http1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tunnel.pump_in)
                nursery.start_soon(tunnel.pump_out)
                await lane(connection)
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_WR)
                with trio.move_on_after(LINGER):
                    await tunnel.all_out.wait()
                nursery.cancel_scope.cancel()
        finally:
            tunnel.close()

    async def _shake_hands(self, connection: Connection, secret: _Secret) -> bool:
        """Whether the client and we have agreed."""
        while True:
            data = await connection.receive(READ_SIZE)
            if not data:
                return False
            secret.incoming.write(data)
            agreed = refused = False
            words = b""
            try:
                await trio.to_thread.run_sync(secret.tls.do_handshake, limiter=self._handshakes)
                agreed = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                refused = True
                words = NO_TLS if error.reason == "HTTP_REQUEST" else b""
            words = words or secret.outgoing.read()
            if words and connection.send_now(words) < len(words):
                return False
            if refused:
                await connection.linger()
            if refused or agreed:
                return agreed


class _Secret:
    """The state of TLS, with the bytes of the wire in memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)


class _Tunnel:
    """From the wire to the lane and back."""

    def __init__(self, secret: _Secret, wire: socket.socket) -> None:
        self.all_out = trio.Event()
        self._secret = secret
        self._wire = wire
        self.lane_end, self._inside = socket.socketpair()
        self.lane_end.setblocking(False)
        self._inside.setblocking(False)
        self._sending = trio.Lock()
        self._half_sent = False

    async def pump_in(self) -> None:
        """Decrypt what the client sends, until it has sent all; one that breaks the rules or the line is gone."""
        secret, how = self._secret, socket.SHUT_RDWR
        with suppress(OSError):  # SSLError is one
            while True:
                try:
                    while data := secret.tls.read(READ_SIZE):
                        await _send_all(self._inside, data)
                except ssl.SSLWantReadError:
                    await self._flush()
                    if data := await _receive(self._wire):
                        secret.incoming.write(data)
                if not data:  # the client has taken its leave of TLS, or of the line
                    how = socket.SHUT_WR
                    break
        with suppress(OSError):
            self._inside.shutdown(how)

    async def pump_out(self) -> None:
        """Encrypt what the lane sends, until it has said all."""
        with suppress(OSError):
            while data := await _receive(self._inside):
                self._secret.tls.write(data)
                await self._flush()
            with suppress(ssl.SSLError):
                self._secret.tls.unwrap()  # says so; raises because the client hasn't said the same yet
            await self._flush()
            self._wire.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            self._inside.shutdown(socket.SHUT_RD)  # the lane learns that nobody hears it any more
        self.all_out.set()

    async def _flush(self) -> None:
        async with self._sending:
            if data := self._secret.outgoing.read():
                self._half_sent = True
                await _send_all(self._wire, data)
                self._half_sent = False

    def close(self) -> None:
        """Let go of the sockets. What the lane said last, or an alert, goes out if that needs no waiting."""
        if not self._half_sent:
            with suppress(OSError):
                if data := self._inside.recv(READ_SIZE):
                    self._secret.tls.write(data)
            with suppress(OSError):
                self._wire.send(self._secret.outgoing.read())
        for sock in (self._inside, self._wire):
            trio.lowlevel.notify_closing(sock)
            sock.close()


async def _receive(sock: socket.socket) -> bytes:
    while True:
        await trio.lowlevel.wait_readable(sock)
        with suppress(BlockingIOError):
            return sock.recv(READ_SIZE)


async def _send_all(sock: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[sock.send(rest) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)
