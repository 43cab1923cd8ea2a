"""Spoolman's websocket: every change of a spool as it happens. No message of it can do harm."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import h11
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from trio_moon.features.spoolman.exchange import HttpPeer, NeverSent
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.connect import LinkState, Pauses, PeerLost, keep_connected
from trio_moon.kit.json_codec import NotJson, decode
from trio_moon.kit.periodic import next_beat

logger = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT = 5.0
FAREWELL_TIMEOUT = 0.3
PING_EVERY = 5.0
PONG_TIMEOUT = 5.0
"""A link on which no answer to our ping comes in this time is dead, whatever TCP says."""
PAUSES = Pauses(first=1.0, longest=30.0, jitter=0.3)
KNOCK_EVERY = 1.5
KNOCK_TIMEOUT = 1.5
"""While there is no link, Spoolman is asked whether it is up: once it is again, no pause and no timeout goes on."""


class Listener(Protocol):
    """Who wants to know."""

    def spoolman_connected(self) -> None: ...

    def spoolman_lost(self, reason: str) -> None: ...

    def spool_changed(self, spool: Spool) -> None: ...

    def spool_deleted(self, spool_id: int) -> None: ...


class LiveLink:
    """Stays connected to Spoolman for ever."""

    def __init__(
        self, peer: HttpPeer, headers: Mapping[str, str], listener: Listener, is_up: Callable[[], Awaitable[bool]]
    ) -> None:
        self._peer = peer
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._listener = listener
        self._is_up = is_up
        self._attempt = trio.CancelScope()
        self._returned = trio.Event()
        self._away = trio.Event()
        self._away.set()
        self.state = LinkState()

    async def run(self) -> None:
        """Connect, listen, and connect again."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._knock)
            await keep_connected(
                self._attempted, link=self.state, pauses=PAUSES, logger=logger, peer="Spoolman", sooner=self._comes_back
            )

    async def _knock(self) -> None:
        """Notice when Spoolman was down and is up again: what was asked while it was down may never be answered."""
        was_down = False
        while True:
            await self._away.wait()
            up = False
            with trio.move_on_after(KNOCK_TIMEOUT):
                up = await self._is_up()
            if up and was_down and not self.state.connected:
                self._returned.set()
                self._attempt.cancel()
            was_down = not up
            await trio.sleep(KNOCK_EVERY)

    async def _comes_back(self) -> None:
        await self._returned.wait()

    async def _attempted(self, connected: Callable[[], None]) -> None:
        self._returned = trio.Event()
        with trio.CancelScope() as self._attempt:
            await self._session(connected)
        raise PeerLost("no websocket while Spoolman was down")

    async def _session(self, connected: Callable[[], None]) -> None:
        reason = "the connection ended"
        try:
            stream = await self._peer.connect()
        except NeverSent as error:
            raise PeerLost(str(error)) from error
        try:
            await self._converse(stream, connected)
        except* (
            OSError,
            trio.TooSlowError,
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            HandshakeError,
            ConnectionClosed,
            LocalProtocolError,
            RemoteProtocolError,
            h11.ProtocolError,
        ) as errors:
            reason = _describe(errors)
        finally:
            if self.state.connected:
                self.state.connected = False
                self._away.set()
                self._listener.spoolman_lost(reason)
            await trio.aclose_forcefully(stream)  # trio-websocket leaves it open when the other side ends first
        raise PeerLost(reason)

    async def _converse(
        self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream], connected: Callable[[], None]
    ) -> None:
        target = self._peer.target("/api/v1/spool")
        with trio.fail_after(HANDSHAKE_TIMEOUT) as handshake:
            async with trio.open_nursery() as nursery:
                socket = await wrap_client_stream(nursery, stream, self._peer.host, target, extra_headers=self._headers)
                handshake.deadline = math.inf
                connected()
                self._away = trio.Event()
                self._listener.spoolman_connected()
                nursery.start_soon(_heartbeat, socket)
                try:
                    while True:
                        self._handle(await socket.get_message())
                finally:
                    with trio.move_on_after(FAREWELL_TIMEOUT, shield=True):
                        await socket.aclose(1001)

    def _handle(self, message: str | bytes) -> None:
        try:
            event = decode(message)
        except NotJson:
            return
        if not isinstance(event, dict) or event.get("resource") != "spool":
            return
        payload = event.get("payload")
        spool_id = payload.get("id") if isinstance(payload, dict) else None
        if type(spool_id) is not int:
            return
        if event.get("type") == "deleted":
            self._listener.spool_deleted(spool_id)
        elif (spool := Spool.from_wire(payload)) is not None:
            self._listener.spool_changed(spool)


async def _heartbeat(socket: WebSocketConnection) -> None:
    while True:
        await next_beat(PING_EVERY)
        with trio.fail_after(PONG_TIMEOUT):
            await socket.ping()


def _describe(errors: BaseException) -> str:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    match errors:
        case trio.TooSlowError():
            return f"no answer to a ping within {PONG_TIMEOUT:g} s"
        case ConnectionClosed():
            code = getattr(errors.reason, "code", None)
            return f"Spoolman closed the websocket (code {code})"
        case HandshakeError():
            status = getattr(errors, "status_code", None)
            return (
                f"the websocket was refused with HTTP {status}" if status else f"no websocket: {type(errors).__name__}"
            )
        case OSError():
            return errors.strerror or str(errors)
        case _:
            return str(errors) or type(errors).__name__
