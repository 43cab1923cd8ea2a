"""The cold lane: Quart-Trio under Hypercorn's protocols serves HTTP/2, on connections of ours.

Importing it is dear: `front.py` does so when the first such connection comes.
"""

from __future__ import annotations

import logging
import math
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState

from trio_moon.rpc.request_head import Doorkeeper
from trio_moon.web.answers import Answers
from trio_moon.web.connection import LINGER, Connection, Gone
from trio_moon.web.http2 import STREAMS, Http2
from trio_moon.web.quart_app import quart_app
from trio_moon.web.sessions import Sessions
from trio_moon.web.settings import FrontSettings, Limits

logger = logging.getLogger(f"{__name__}.lane")  # Quart has taken the module's own


class Cold:
    """Serves whole connections by Hypercorn's protocols, each contained."""

    def __init__(self, answers: Answers, sessions: Sessions, doorkeeper: Doorkeeper, settings: FrontSettings) -> None:
        limits = self._limits = settings.limits
        self._app = ASGIWrapper(cast(Any, quart_app(answers, sessions, doorkeeper, settings)))
        self._config = Config()
        self._config.keep_alive_max_requests = 1_000_000
        self._config.h11_max_incomplete_size = limits.head_bytes
        self._config.h2_max_header_list_size = limits.head_bytes
        self._config.h2_max_concurrent_streams = STREAMS
        self._config.websocket_max_message_size = limits.message_bytes
        self._config.websocket_ping_interval = limits.ping_after
        self._config.include_server_header = False
        self._config.accesslog = self._config.errorlog = None
        self._context = WorkerContext(None)
        self._http2: set[Http2] = set()

    async def take_leave(self) -> None:
        """The service goes: no new requests, and goodbye after the last answer."""
        await self._context.terminated.set()

    async def serve(self, connection: Connection, *, http2: bool = False) -> None:
        """Serve a connection until it ends, whatever Hypercorn makes of it."""
        connection.deadline = connection.opened_at + self._limits.first_request
        client = None if connection.address is None else (connection.address, 0)
        talk = _Talk(connection, self._limits)
        state = ConnectionState(LifespanState({}))
        common = (self._app, self._config, self._context, talk.group, state, connection.secure, client)
        talk.protocol = (
            Http2(self._http2, *common, ("", 0), talk.send) if http2 else ProtocolWrapper(*common, ("", 0), talk.send)
        )
        if isinstance(talk.protocol, Http2):
            self._http2.add(talk.protocol)
        connection.on_sweep = talk.sweep
        try:
            await talk.run()
        except* Exception as group:
            logger.debug("a connection was ended: %r", _innermost(group))
        finally:
            connection.on_sweep = None
            self._http2.discard(talk.protocol)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Talk:
    """One connection: what Hypercorn's own server does, with our deadlines."""

    protocol: ProtocolWrapper | Http2

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._sending = trio.Lock()
        self.group = TaskGroup()
        self._closed = False
        self._sent_at = trio.current_time()

    async def run(self) -> None:
        """Hear until the client or we have had enough."""
        async with self.group:
            await self.protocol.initiate()
            while data := await self._connection.receive():
                if not self._closed:  # what comes after the end is thrown away
                    await self.protocol.handle(RawData(data))
            await self.protocol.handle(RawData(b""))
            await self.protocol.handle(Closed())

    async def send(self, event: Event) -> None:
        connection = self._connection
        if isinstance(event, RawData):
            try:
                async with self._sending:
                    # a request that is cancelled must not leave half a frame; whoever cuts the connection wakes us up
                    with trio.CancelScope(shield=True):
                        await connection.send(event.data, self._limits.no_progress)
                self._sent_at = trio.current_time()
            except Gone:
                await self.protocol.handle(Closed())
        elif isinstance(event, Closed):
            self._closed = True
            connection.deadline = trio.current_time() + LINGER
            connection.say_no_more()
            await self.protocol.handle(Closed())
        elif isinstance(event, Updated) and not self._closed:
            connection.proven = True
            connection.busy = not event.idle
            connection.deadline = trio.current_time() + self._limits.keep_alive if event.idle else math.inf
            connection.waiting_since = math.inf if event.idle else trio.current_time()
            self._sent_at = trio.current_time()

    def sweep(self, now: float) -> None:
        """End a client that asks, but leaves no window for the answers."""
        stuck = isinstance(self.protocol, Http2) and self.protocol.holds_answers
        if stuck and now - self._sent_at > self._limits.no_progress:
            self._connection.cut()
