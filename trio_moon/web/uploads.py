"""Uploads on the live lane: as long as bytes keep coming, a worker thread moves them from the socket to the disk."""

from __future__ import annotations

import math
import select
import socket

import trio

from trio_moon.model.errors import TooMany
from trio_moon.rpc.replies import Incoming
from trio_moon.web.answers import Answer, Call
from trio_moon.web.connection import Connection, Gone
from trio_moon.web.multipart import MultipartReader
from trio_moon.web.settings import Limits

CHUNK = 1 << 18
PATIENCE_MS = 20
"""How long the thread waits for more, once much has come; a trickle gets no thread to itself."""
MUCH = 16 * 1024


class Uploads:
    """Receives multipart bodies, the whole body of one at a time per connection."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = trio.CapacityLimiter(limits.upload_threads)
        self._running = 0

    async def receive(self, connection: Connection, call: Call, begun: bytes, length: int) -> tuple[Answer, bool]:
        """The answer to an upload, and whether its body was read to the end."""
        if self._running >= self._limits.uploads:
            return call.refusal(TooMany("too many uploads at once: try again in a moment")), False
        self._running += 1
        try:
            return await self._receive(connection, call, begun, length)
        finally:
            self._running -= 1

    async def _receive(self, connection: Connection, call: Call, begun: bytes, length: int) -> tuple[Answer, bool]:
        try:
            incoming = call.receive(length)
        except Exception as error:
            return call.refusal(error), False
        finished = read = False
        try:
            await self._read_body(connection, call, incoming, begun, length)
            read = True
            connection.waiting_since = trio.current_time()
            answer = call.success(await incoming.complete())
            finished = True
            return answer, True
        except Gone:
            raise
        except Exception as error:
            return call.refusal(error), read
        finally:
            connection.waiting_since = math.inf
            if not finished:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(incoming.abandon)

    async def _read_body(
        self, connection: Connection, call: Call, incoming: Incoming, begun: bytes, length: int
    ) -> None:
        reader = MultipartReader(call.head.headers["content-type"], incoming)
        left = length - len(begun)
        started = trio.current_time()
        if begun:
            await trio.to_thread.run_sync(reader.feed, begun, limiter=self._threads)
        while left:
            received = length - left
            connection.deadline = min(
                trio.current_time() + self._limits.no_progress,
                started + self._limits.no_progress + received / self._limits.slowest_body,
            )
            await trio.lowlevel.wait_readable(connection.sock)
            connection.deadline = math.inf
            left = await trio.to_thread.run_sync(_move, connection.sock, reader, left, limiter=self._threads)
        await trio.to_thread.run_sync(reader.finish, limiter=self._threads)


def _move(sock: socket.socket, reader: MultipartReader, left: int) -> int:
    """Move what comes without a pause from the socket to the reader; what is left of the body."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    before = left
    while left:
        try:
            data = sock.recv(min(CHUNK, left))
        except BlockingIOError:
            if before - left < MUCH or not poll.poll(PATIENCE_MS):
                return left
            continue
        except OSError as error:
            raise Gone(str(error)) from error
        if not data:
            raise Gone("in the middle of an upload")
        reader.feed(data)
        left -= len(data)
    return left
