"""Hypercorn's HTTP/2, with what it lacks against clients that only make work."""

from __future__ import annotations

from typing import Any, cast

import trio
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    RequestReceived,
    StreamReset,
)
from h2.settings import SettingCodes, Settings
from hypercorn.events import Closed
from hypercorn.protocol.h2 import H2Protocol

STREAMS = 32
"""So many requests may be open on one connection."""
STREAMS_PER_ADDRESS = 96
"""And on all connections from one address; more are refused before they cost anything, and may be tried again."""
NUISANCES = 500
"""So many frames that ask for nothing may come at once: resets, pings, settings, priorities, empty data."""
NUISANCES_PER_SECOND = 20.0


class Http2(H2Protocol):
    """HTTP/2 without websockets: browsers then open a connection of HTTP/1.1 for them, which has the live lane."""

    def __init__(self, others: set[Http2], *arguments: Any) -> None:
        super().__init__(*arguments)
        self._others = others
        announced = cast("dict[SettingCodes, int]", dict(self.connection.local_settings))
        announced[SettingCodes.ENABLE_CONNECT_PROTOCOL] = 0
        self.connection.local_settings = Settings(client=False, initial_values=announced)
        self._patience = float(NUISANCES)
        self._counted_at = trio.current_time()

    @property
    def holds_answers(self) -> bool:
        """Whether anything waits for the client to open its window."""
        return any(buffer.buffer for buffer in self.stream_buffers.values())

    async def _handle_events(self, events: list[Event]) -> None:
        now = trio.current_time()
        self._patience = min(NUISANCES, self._patience + (now - self._counted_at) * NUISANCES_PER_SECOND)
        self._counted_at = now
        self._patience -= sum(map(_is_nuisance, events))
        if self._patience < 0:
            self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            await self._flush()
            await self.send(Closed())
        else:
            await super()._handle_events(events)

    async def _create_stream(self, request: RequestReceived) -> None:
        connects = any(name == b":method" and value.upper() == b"CONNECT" for name, value in request.headers or ())
        open_streams = sum(len(each.streams) for each in self._others if each.client == self.client)
        if connects or open_streams >= STREAMS_PER_ADDRESS:
            self.connection.reset_stream(request.stream_id, ErrorCodes.REFUSED_STREAM)
        else:
            await super()._create_stream(request)


def _is_nuisance(event: Event) -> bool:
    if isinstance(event, DataReceived):
        return not event.data and event.stream_ended is None
    return isinstance(event, StreamReset | PingReceived | PriorityUpdated | RemoteSettingsChanged)
