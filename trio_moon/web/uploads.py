"""Uploads on the live lane: as long as bytes keep coming, a worker thread moves them from the socket to the disk."""

from __future__ import annotations

import math
import select
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

import trio

from trio_moon.model.errors import TooMany
from trio_moon.web.answers import Answer, Call
from trio_moon.web.body_framing import Body
from trio_moon.web.body_reader import Pace
from trio_moon.web.connection import Connection, Gone
from trio_moon.web.request_parser import BadRequest
from trio_moon.web.settings import Limits

if TYPE_CHECKING:
    from trio_moon.web.multipart import MultipartReader

CHUNK = 1 << 18
PATIENCE_MS = 20
"""How long the thread waits for more, once much has come; a trickle gets no thread to itself."""
MUCH = 16 * 1024
TURN = 1 << 24
LONGEST_TURN = 1.0
"""After so many bytes or seconds the thread is given to whoever waits for one."""


class Uploads:
    """Receives multipart bodies, the whole body of one at a time per connection."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = trio.CapacityLimiter(limits.upload_threads)
        self._running = 0

    async def receive(self, connection: Connection, call: Call, body: Body, begun: bytes) -> tuple[Answer, bool]:
        """The answer to an upload, and whether its body was read to the end."""
        if self._running >= self._limits.uploads:
            return call.refusal(TooMany("too many uploads at once: try again in a moment")), False
        self._running += 1
        try:
            return await self._receive(connection, call, body, begun)
        finally:
            self._running -= 1

    async def _receive(self, connection: Connection, call: Call, body: Body, begun: bytes) -> tuple[Answer, bool]:
        try:
            incoming = call.receive(body.length)
        except Exception as error:
            return call.refusal(error), False
        finished = read = False
        try:
            from trio_moon.web.multipart import MultipartReader  # with the first upload: 0.2 MB

            with closing(MultipartReader(call.head.headers["content-type"], incoming)) as reader:
                await self._read_body(connection, reader, call, body, begun)
            read = True
            connection.waiting_since = trio.current_time()
            answer = call.success(await incoming.complete())
            finished = True
            return answer, True
        except (Gone, BadRequest):
            raise
        except Exception as error:
            return call.refusal(error), read
        finally:
            connection.waiting_since = math.inf
            if not finished:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(incoming.abandon)

    async def _read_body(
        self, connection: Connection, reader: MultipartReader, call: Call, body: Body, begun: bytes
    ) -> None:
        pace = Pace(self._limits)
        try:
            if data := body.feed(begun):
                await trio.to_thread.run_sync(reader.feed, data, limiter=self._threads)
            while not body.ended:
                call.check_upload(body.announced)
                connection.deadline = pace.deadline(body.size)
                if pace.overdue(body.size, trio.current_time()):  # the sweeper would seldom see it
                    connection.expire()
                await trio.lowlevel.wait_readable(connection.sock)
                connection.deadline = math.inf
                await trio.to_thread.run_sync(_move, connection.sock, reader, body, limiter=self._threads)
        finally:
            connection.deadline = math.inf
        call.check_upload(body.size)
        await trio.to_thread.run_sync(reader.finish, limiter=self._threads)


def _move(sock: socket.socket, reader: MultipartReader, body: Body) -> None:
    """Move what comes without a pause from the socket to the reader."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    before, until = body.size, time.monotonic() + LONGEST_TURN
    while not body.ended and body.size - before < TURN and time.monotonic() < until:
        try:
            data = sock.recv(CHUNK)
        except BlockingIOError:
            if body.size - before < MUCH or not poll.poll(PATIENCE_MS):
                return
            continue
        except OSError as error:
            raise Gone(str(error)) from error
        if not data:
            raise Gone("in the middle of an upload")
        if data := body.feed(data):
            reader.feed(data)
