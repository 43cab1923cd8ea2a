"""The front: the door and its lanes, put together."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Session
from trio_moon.rpc.jsonrpc import JsonRpc
from trio_moon.rpc.registry import Registry
from trio_moon.rpc.request_head import Doorkeeper
from trio_moon.web.answers import Answers
from trio_moon.web.bridge import Bridge
from trio_moon.web.budget import Budget
from trio_moon.web.connection import Connection
from trio_moon.web.door import CannotListen, Door, Serve, open_tcp, open_unix
from trio_moon.web.live_http import LiveHttp
from trio_moon.web.live_websocket import LiveWebsocket
from trio_moon.web.pages import Pages
from trio_moon.web.sessions import SessionEnded, Sessions
from trio_moon.web.settings import FrontSettings
from trio_moon.web.tls import DESCRIPTORS_EACH, Tls, tls_context
from trio_moon.web.unix_lane import UnixLane
from trio_moon.web.uploads import Uploads

if TYPE_CHECKING:
    from trio_moon.web.cold import Cold

logger = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"


def _nothing(session: Session) -> None:
    """Nobody wants to know that a session has ended."""


class Front:
    """Everything that listens. `run` lives until cancelled, and then takes leave of its clients."""

    def __init__(
        self,
        settings: FrontSettings,
        registry: Registry,
        jsonrpc: JsonRpc,
        audience: Audience,
        doorkeeper: Doorkeeper,
        *,
        unix_socket: Path | None = None,
        klippy_socket: Path | None = None,
        session_ended: SessionEnded = _nothing,
    ) -> None:
        self._settings = settings
        self._doorkeeper = doorkeeper
        self._unix_socket = unix_socket
        limits = settings.limits
        budget = Budget(limits.incomplete_bytes)
        self._answers = Answers(
            registry,
            jsonrpc,
            doorkeeper,
            pages=Pages(PAGE),
            max_upload_size=settings.max_upload_size,
            prefix=settings.route_prefix,
        )
        self._sessions = Sessions(
            jsonrpc,
            audience,
            doorkeeper,
            session_ended,
            most=settings.max_websocket_connections,
            limits=limits,
            budget=budget,
        )
        self._door = Door(limits, 1 if settings.certificate is None else DESCRIPTORS_EACH)
        self._bridge = Bridge(klippy_socket, limits)
        self._websocket = LiveWebsocket(self._sessions, doorkeeper, self._bridge)
        self._unix = UnixLane(self._sessions, doorkeeper)
        self._http = LiveHttp(
            self._answers,
            limits,
            budget=budget,
            uploads=Uploads(limits),
            websocket=self._websocket.serve,
            prefix=settings.route_prefix,
        )
        self._missing: dict[str, str] = {}
        self._cold: Cold | None = None
        self._closing = trio.Event()

    def vitals(self) -> dict[str, object]:
        """How many are connected."""
        return {"connections": len(self._door), "sessions": len(self._sessions)}

    def warnings(self) -> list[str]:
        """Sentences for `server.info`: where clients should reach us and can't."""
        return [f"{what} can't be offered: {why}" for what, why in self._missing.items()]

    def close(self) -> None:
        """Take leave of the clients and end `run`; doesn't wait."""
        self._closing.set()

    async def run(self, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled or closed. `started` tells the addresses."""
        self._closing, self._cold = trio.Event(), None
        listeners = self._listen()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve, listeners)
                task_status.started([_described(sock, tls is not None) for sock, tls in listeners])
                try:
                    await self._closing.wait()
                finally:
                    self._closing.set()
        finally:
            for sock, _ in listeners:
                sock.close()
            if self._unix_socket is not None:
                with suppress(OSError):
                    self._unix_socket.unlink()

    def _listen(self) -> list[tuple[socket.socket, ssl.SSLContext | None]]:
        settings = self._settings
        listeners: list[tuple[socket.socket, ssl.SSLContext | None]] = []
        try:
            try:
                listeners += [(sock, None) for sock in open_tcp(settings.host, settings.port)]
            except CannotListen as error:
                raise CannotListen(f"[server], options 'host' and 'port': {error}") from error
            if settings.certificate is not None and settings.private_key is not None:
                with self._optional("TLS"):
                    tls = tls_context(settings.certificate, settings.private_key)
                    listeners += [(sock, tls) for sock in open_tcp(settings.host, settings.ssl_port)]
            if self._unix_socket is not None:
                with self._optional(f"The unix socket {self._unix_socket}"):
                    listeners.append((open_unix(self._unix_socket), None))
        except BaseException:
            for sock, _ in listeners:
                sock.close()
            raise
        return listeners

    @contextmanager
    def _optional(self, what: str) -> Iterator[None]:
        """Without a port there is no service; without this there is still most of it."""
        self._missing.pop(what, None)
        try:
            yield
        except (OSError, CannotListen) as error:
            self._missing[what] = str(error)
            logger.warning("%s can't be offered: %s", what, error)

    async def _serve(self, listeners: list[tuple[socket.socket, ssl.SSLContext | None]]) -> None:
        """Shielded: who is being answered at the end is answered, within the grace."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as connections, trio.open_nursery() as sweeping:
                sweeping.start_soon(self._door.sweep)
                async with trio.open_nursery() as accepting:
                    for sock, tls in listeners:
                        accepting.start_soon(self._door.keep_open, sock, self._lane(sock, tls), connections)
                    await self._closing.wait()
                    accepting.cancel_scope.cancel()
                self._sessions.take_leave()
                self._bridge.take_leave()
                if self._cold is not None:
                    await self._cold.take_leave()
                for connection in self._door.connections:
                    connection.ending = True
                    if not connection.busy:
                        connection.cut()
                with trio.move_on_after(self._settings.limits.grace):
                    await self._door.emptied()
                for connection in self._door.connections:
                    connection.cut()
                sweeping.cancel_scope.cancel()
                connections.cancel_scope.cancel()

    def _lane(self, sock: socket.socket, tls: ssl.SSLContext | None) -> Serve:
        if sock.family == socket.AF_UNIX:
            return self._unix.serve
        http1 = self._http.serve if self._settings.live_lanes else self._serve_cold
        return http1 if tls is None else Tls(tls, http1, partial(self._serve_cold, http2=True)).serve

    async def _serve_cold(self, connection: Connection, *, http2: bool = False) -> None:
        if self._cold is None:
            module = await trio.to_thread.run_sync(import_module, "trio_moon.web.cold")
            if self._cold is None:
                self._cold = module.Cold(self._answers, self._sessions, self._doorkeeper, self._settings)
        await self._cold.serve(connection, http2=http2)


def _described(sock: socket.socket, tls: bool) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"{'https' if tls else 'http'}://{host}:{name[1]}"
