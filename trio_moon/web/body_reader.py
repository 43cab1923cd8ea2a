"""Bodies on the live lane: read at the client's pace, as long as that is a decent one."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from trio_moon.model.errors import TooLarge
from trio_moon.web.answers import Call
from trio_moon.web.body_framing import Body
from trio_moon.web.budget import Budget
from trio_moon.web.connection import Connection, Gone
from trio_moon.web.pieces import Pieces
from trio_moon.web.settings import Limits

SHORT = 64 * 1024
"""A refused body of this size is read and thrown away, so that the connection can go on."""


class Pace:
    """How slow a body or a message may be: it must move, and keep up an average."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._started = trio.current_time()

    def deadline(self, size: int) -> float:
        """When a body of which `size` bytes have come is overdue."""
        return min(trio.current_time() + self._limits.no_progress, self._on_average(size))

    def overdue(self, size: int, now: float) -> bool:
        """Whether more than `size` bytes should have come by now."""
        return now > self._on_average(size)

    def _on_average(self, size: int) -> float:
        return self._started + self._limits.no_progress + size / self._limits.slowest_body


async def read_whole(
    connection: Connection, body: Body, begun: bytes, call: Call, limits: Limits, budget: Budget
) -> bytes:
    """The body of an API call. Raises TooLarge, TooMany, BadRequest and Gone."""
    pieces = Pieces(budget)

    def keep(data: bytes) -> None:
        call.check_size(body.announced, limits)
        if data:
            pieces.add(data)

    try:
        keep(body.feed(begun))
        if not body.ended:
            pieces.expect(body.announced)
            await _read_on(connection, body, limits, keep)
        whole = pieces.take()
        return whole if isinstance(whole, bytes) else b""
    finally:
        pieces.drop()


async def skip(connection: Connection, body: Body, limits: Limits) -> None:
    """Throw away the rest of a short body. Raises TooLarge for a long one, BadRequest and Gone."""

    def check(data: bytes) -> None:
        if body.announced > SHORT:
            raise TooLarge("nobody wants so long a body")

    await _read_on(connection, body, limits, check)


async def _read_on(connection: Connection, body: Body, limits: Limits, take: Callable[[bytes], None]) -> None:
    pace = Pace(limits)
    connection.receiving = True
    try:
        while not body.ended:
            connection.deadline = pace.deadline(body.size)
            data = await connection.receive()
            if not data:
                raise Gone("in the middle of a body")
            take(body.feed(data))
    finally:
        connection.deadline = math.inf
        connection.receiving = False
