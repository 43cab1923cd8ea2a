"""The way out to a websocket of Quart's: bounded, with a task that sends."""

from __future__ import annotations

from collections import deque

import trio
from quart import websocket

from trio_moon.kit.status_box import StatusBox, StatusView
from trio_moon.rpc.packet import Packet, notification


class QueuedOutbox:
    """An Outbox in front of a websocket of Quart's: bounded, with a task that sends."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._queue: deque[bytes] = deque()
        self._event_bytes = 0
        self._box = StatusBox()
        self._eventtime = 0.0
        self._some = trio.Event()
        self._end: tuple[int, str] | None = None

    def event(self, packet: Packet) -> None:
        """Queue one notification; a client that lets too many wait is closed."""
        self._event_bytes += len(packet.payload)
        if self._event_bytes > self._most:
            self._stop(1013, "too many unread notifications")
        else:
            self.put(packet.payload)

    def put(self, payload: bytes) -> None:
        """Queue an answer."""
        self._queue.append(payload)
        self._some.set()

    def status(self, news: StatusView, eventtime: float, packet: Packet) -> None:
        """Queue a status update, or merge it into what the client hasn't read yet."""
        if self._queue:
            self._box.put(news)
            self._eventtime = eventtime
        else:
            self.put(packet.payload)

    def close(self, reason: str) -> None:
        """End the session for a reason that the client is told."""
        self._stop(1008, reason)

    def take_leave(self, in_good_order: bool) -> None:
        """The service goes."""
        self._stop(1001, "the service stops")

    def _stop(self, code: int, reason: str) -> None:
        self._end = self._end or (code, reason)
        self._some.set()

    async def run(self) -> None:
        """Send until the connection ends."""
        while True:
            await self._some.wait()
            if self._end is not None:
                await websocket.close(*self._end)
                return
            if self._queue:
                await websocket.send(self._queue[0].decode())
                self._queue.popleft()
            elif self._box:
                merged = notification("notify_status_update", self._box.take_now(), self._eventtime)
                self._queue.append(merged.payload)
            else:
                self._event_bytes = 0
                self._some = trio.Event()
