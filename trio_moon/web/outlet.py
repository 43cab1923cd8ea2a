"""The way out to one session on a socket: written at once if possible, else kept, merged and bounded."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import trio

from trio_moon.kit.status_box import StatusBox, StatusView
from trio_moon.rpc.packet import Packet, notification
from trio_moon.web.connection import LINGER, Connection, Gone
from trio_moon.web.settings import Limits

Framing = Callable[[bytes], bytes]


class Outlet:
    """An Outbox that never waits. Status updates merge while the client is slow; too many events end it."""

    def __init__(
        self,
        connection: Connection,
        framing: Framing,
        nursery: trio.Nursery,
        limits: Limits,
        end: Callable[[int, str], None],
    ) -> None:
        self._connection = connection
        self._send = connection.sock.send
        self._framing = framing
        self._nursery = nursery
        self._limits = limits
        self._end = end
        self._corked: list[bytes] | None = None
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._event_bytes = 0
        self._box = StatusBox()
        self._eventtime = 0.0
        self._drained = trio.Event()
        self._partly_sent = False
        self._closed = False

    # the Outbox

    def event(self, packet: Packet) -> None:
        """Queue one notification; a client that lets too many wait is closed."""
        frame = packet.framed(self._framing)
        if self._backlog:
            self._event_bytes += len(frame)
            if self._event_bytes > self._limits.waiting_events:
                self._end(1013, "too many unread notifications")
                return
        self.write(frame)

    def status(self, news: StatusView, eventtime: float, packet: Packet) -> None:
        """Send a status update, or merge it into what the client hasn't read yet."""
        if self._backlog:
            self._box.put(news)
            self._eventtime = eventtime
        elif self._corked is None and not self._closed:
            self._send_or_keep(packet.framed(self._framing))
        else:
            self.write(packet.framed(self._framing))

    def close(self, reason: str) -> None:
        """End the session for a reason that the client is told."""
        self._end(1008, reason)

    # what the lanes use

    @property
    def crowded(self) -> bool:
        """Whether the client should read before it asks for more."""
        return self._backlog_bytes > self._limits.waiting_answers

    @property
    def stuck(self) -> bool:
        """Whether anything waits for the client to read."""
        return bool(self._backlog)

    async def drained(self) -> None:
        """Wait until nothing waits any more."""
        while self._backlog:
            await self._drained.wait()

    def cork(self) -> list[bytes]:
        """Collect what is written until `uncork`, to send it at once. Returns the list that it is collected in."""
        corked: list[bytes] = []
        self._corked = corked
        return corked

    def uncork(self) -> None:
        """Send what has been collected."""
        frames, self._corked = self._corked, None
        if frames and not self._closed:
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            if self._backlog:
                self._keep(data)
            else:
                self._send_or_keep(data)

    def finish(self, last: bytes) -> None:
        """Write `last` and nothing after it. Of a backlog only the frame that was begun is still sent."""
        corked, self._corked = self._corked, None
        if self._backlog:
            begun = self._backlog[0] if self._partly_sent else b""
            self._backlog.clear()
            self._box = StatusBox()
            self._keep(begun + last)
        else:
            self.write(b"".join(corked or ()) + last)
        self._closed = True
        self._connection.deadline = trio.current_time() + LINGER

    def shut(self) -> None:
        """Write nothing more, not even what waits."""
        self._closed = True
        self._backlog.clear()

    def write(self, data: bytes) -> None:
        """Send bytes that are framed already, now or as soon as the client reads."""
        if self._closed:
            return
        if self._corked is not None:
            self._corked.append(data)
        elif self._backlog:
            self._keep(data)
        else:
            self._send_or_keep(data)

    def _send_or_keep(self, data: bytes) -> None:
        """The short way of most of what is sent: nothing waits, so it goes straight to the socket."""
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._closed = True
            self._connection.scope.cancel()
            return
        if sent == len(data):
            return
        self._partly_sent = sent > 0
        self._keep(data[sent:])
        self._drained = trio.Event()
        self._connection.deadline = trio.current_time() + self._limits.no_progress
        self._nursery.start_soon(self._flush)

    def _keep(self, data: bytes) -> None:
        self._backlog.append(data)
        self._backlog_bytes += len(data)

    async def _flush(self) -> None:
        """Lives as long as there is a backlog."""
        connection = self._connection
        while self._backlog:
            await trio.lowlevel.wait_writable(connection.sock)
            try:
                self._send_some()
            except Gone:
                connection.scope.cancel()
                return
            if not self._backlog:
                self._event_bytes = 0
                if self._box:
                    merged = notification("notify_status_update", self._box.take_now(), self._eventtime)
                    self._keep(self._framing(merged.payload))
        if not self._closed:
            connection.deadline = math.inf
        self._drained.set()

    def _send_some(self) -> None:
        while self._backlog:
            data = self._backlog[0]
            sent = self._connection.send_now(data)
            self._backlog_bytes -= sent
            if sent and not self._closed:
                self._connection.deadline = trio.current_time() + self._limits.no_progress
            if sent < len(data):
                self._partly_sent = self._partly_sent or sent > 0
                self._backlog[0] = data[sent:]
                return
            self._backlog.popleft()
            self._partly_sent = False
