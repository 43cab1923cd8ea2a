"""One accepted connection: a non-blocking socket, what it is doing, and how long it may."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from contextlib import suppress

import trio

LINGER = 1.0
"""How long a client gets to read our last words before the connection is cut."""


class Gone(Exception):
    """The client has left, or was cut off."""


class Connection:
    """Bytes in and out of one client. Its lane sets `deadline`; the door's sweeper enforces it.

    Whatever is unread may be put back with `unread`, so that a whole connection can be handed to another lane.
    """

    __slots__ = (
        "_unread",
        "address",
        "busy",
        "deadline",
        "ending",
        "last_words",
        "on_sweep",
        "opened_at",
        "proven",
        "scope",
        "sock",
        "waiting_since",
    )

    def __init__(self, sock: socket.socket, address: str | None) -> None:
        self.sock = sock
        self.address = address
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
        self.ending = False
        """Whether the service is going: the next answer is the last."""
        self.on_sweep: Callable[[float], None] | None = None
        self._unread = b""

    async def receive(self, size: int = 65536) -> bytes:
        """The next bytes; b"" at the end, also if the client has broken the connection."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            try:
                return self.sock.recv(size)
            except BlockingIOError:
                continue
            except OSError:
                return b""

    def unread(self, data: bytes) -> None:
        """Put bytes back: the next `receive` returns them."""
        self._unread = data + self._unread

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

    async def linger(self) -> None:
        """Say that no more will come, and give the client a moment to read what did."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return
        with trio.move_on_after(LINGER):
            while await self.receive():
                pass

    def has_left(self) -> bool:
        """Whether the client has closed its end while it was waiting for us."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

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
