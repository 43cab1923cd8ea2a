"""One accepted connection: a non-blocking socket, what it is doing, and how long it may."""

from __future__ import annotations

import math
import select
import socket
from collections.abc import Callable
from contextlib import suppress

import trio

LINGER = 1.0
"""How long a client gets to read our last words before the connection is cut."""


class Gone(Exception):
    """The client has left, or was cut off."""


class Connection:
    """Bytes in and out of one client. Its lane sets `deadline`; the door's sweeper enforces it."""

    __slots__ = (
        "_half_closed_at",
        "address",
        "busy",
        "deadline",
        "ending",
        "last_words",
        "on_sweep",
        "opened_at",
        "proven",
        "receiving",
        "scope",
        "secure",
        "sock",
        "waiting_since",
    )

    def __init__(self, sock: socket.socket, address: str | None) -> None:
        self.sock = sock
        self.address = address
        self.secure = False
        """Whether its bytes come through TLS."""
        self.scope = trio.CancelScope()
        self.opened_at = trio.current_time()
        self.deadline = math.inf
        self.last_words = b""
        """Sent, if that needs no waiting, when the deadline passes."""
        self.proven = False
        """Whether a whole request has come; those that haven't are the first to go when it gets crowded."""
        self.waiting_since = math.inf
        """Since when the client has been waiting for an answer: it may leave meanwhile."""
        self.busy = False
        """Whether a request is being read or answered."""
        self.receiving = False
        """Whether the body of a call is still coming."""
        self.ending = False
        """Whether the service is going: the next answer is the last."""
        self.on_sweep: Callable[[float], None] | None = None
        self._half_closed_at = math.inf

    @property
    def spare(self) -> bool:
        """Whether it may end when it gets crowded: nothing was asked, or nothing is, or not yet all, or it leaves."""
        return not (self.proven and self.busy) or self.receiving or self._half_closed_at < math.inf

    async def receive(self, size: int = 65536) -> bytes:
        """The next bytes; b"" at the end, also if the client has broken the connection."""
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            if (received := self.receive_now(size)) is not None:
                return received

    def receive_now(self, size: int = 65536) -> bytes | None:
        """What has come; None if nothing has, b"" at the end."""
        try:
            return self.sock.recv(size)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def send_now(self, data: bytes | memoryview) -> int:
        """Send as much as goes without waiting and say how much that was. Raises Gone."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Gone(str(error)) from error

    async def send(self, data: bytes, no_progress: float) -> None:
        """Send all of it; the deadline moves as long as the client reads. Raises Gone."""
        sent = self.send_now(data)
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        while rest:
            self.deadline = trio.current_time() + no_progress
            await trio.lowlevel.wait_writable(self.sock)
            rest = rest[self.send_now(rest) :]
        self.deadline = math.inf

    def say_no_more(self) -> bool:
        """Tell the client that this was all; False if it is gone."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    async def linger(self) -> None:
        """Say that no more will come, and give the client a moment to read what did."""
        if not self.say_no_more():
            return
        with trio.move_on_after(LINGER):
            while await self.receive():
                pass

    def has_left(self, now: float, half_closed: float) -> bool:
        """Whether the client has gone while it was waiting for us; one that only sends no more is waited for a bit."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        for _, seen in poll.poll(0):
            self._half_closed_at = min(self._half_closed_at, now)
            return seen & ~select.POLLRDHUP != 0 or now - self._half_closed_at > half_closed
        return False

    def has_unread(self) -> bool:
        """Whether something has come that we haven't read yet, from a client who is still there."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLRDHUP)
        return [seen for _, seen in poll.poll(0)] == [select.POLLIN]

    def expire(self) -> None:
        """The deadline has passed: the last words, then the end."""
        if self.last_words:
            with suppress(OSError):
                self.sock.send(self.last_words)
        self.cut()

    def cut(self) -> None:
        """End it from outside, at once; a thread that reads from it wakes up."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.scope.cancel()

    def close(self) -> None:
        """Let go of the socket."""
        if self.sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self.sock)
            self.sock.close()
