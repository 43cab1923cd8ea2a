"""Uploads on the live lane: after the head, one worker thread owns the socket until the body is on the disk."""

from __future__ import annotations

import select
import socket
import time

import trio

from trio_moon.model.errors import RequestError
from trio_moon.rpc.replies import Incoming
from trio_moon.web.answers import Answer, Call, error_answer
from trio_moon.web.connection import Connection, Gone
from trio_moon.web.multipart import MultipartReader
from trio_moon.web.settings import Limits

CHUNK = 1 << 18
SLICE = 0.25
"""How often the thread looks whether it is still wanted."""
FIRST_MINUTE = 60.0


class TooSlow(RequestError):
    """The body doesn't come."""


class Uploads:
    """Receives multipart bodies, a few at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._limiter = trio.CapacityLimiter(limits.uploads)

    async def receive(self, connection: Connection, call: Call, begun: bytes, length: int) -> tuple[Answer, bool]:
        """The answer to an upload, and whether its body was read to the end."""
        try:
            incoming = call.receive(length)
        except Exception as error:
            return call.refusal(error), False
        finished = complete = False
        try:
            await trio.to_thread.run_sync(
                self._pump, connection.sock, call, incoming, begun, length, limiter=self._limiter
            )
            complete = True
            answer = call.success(await incoming.complete())
            finished = True
            return answer, True
        except Gone:
            raise
        except TooSlow as error:
            return error_answer(408, error.message), False
        except Exception as error:
            return call.refusal(error), complete
        finally:
            if not finished:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(incoming.abandon)

    def _pump(self, sock: socket.socket, call: Call, incoming: Incoming, begun: bytes, length: int) -> None:
        reader = MultipartReader(call.head.headers["content-type"], incoming)
        if begun:
            reader.feed(begun)
        left = length - len(begun)
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        started = moved = time.monotonic()
        while left > 0:
            if not poll.poll(SLICE * 1000):
                trio.from_thread.check_cancelled()
                now = time.monotonic()
                if now - moved > self._limits.no_progress:
                    raise TooSlow("the upload doesn't move")
                continue
            try:
                data = sock.recv(min(CHUNK, left))
            except BlockingIOError:
                continue
            except OSError as error:
                raise Gone(str(error)) from error
            if not data:
                raise Gone("in the middle of an upload")
            reader.feed(data)
            left -= len(data)
            moved = time.monotonic()
            if moved - started > FIRST_MINUTE:
                trio.from_thread.check_cancelled()
                if (length - left) / (moved - started) < self._limits.upload_bytes_per_second:
                    raise TooSlow("the upload is too slow")
        reader.finish()
