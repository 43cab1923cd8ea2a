"""Starts the print of an upload that asked for it, now or when Klipper is back."""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import Protocol

import trio
from msgspec import Struct

from trio_moon.model.errors import KlippyAway, MoonError, NoSpace
from trio_moon.model.events import KlippyReady
from trio_moon.model.job_state import is_at_work
from trio_moon.printer.printer import Printer
from trio_moon.store.database import Database

logger = logging.getLogger(__name__)

WAITS_AT_MOST = 1800.0
"""Seconds after which a waiting start is dropped: nobody expects a printer to begin by itself hours later."""

PATIENCE = 15.0
"""Seconds to wait for Klipper to begin. It may be in the middle of a macro: then it begins afterwards, without us."""


class JobQueue(Protocol):
    """Takes files to print after the present one."""

    @property
    def is_loading(self) -> bool:
        """Whether it is about to start a print itself."""

    async def enqueue(self, filename: str, user: str | None = None) -> None: ...


MOST_ORDERS = 16


class Outcome(Struct, frozen=True):
    """What became of the wish to print."""

    started: bool = False
    queued: bool = False
    lost: bool = False
    """Klipper went away before it had answered: perhaps it prints."""

    @property
    def settled(self) -> bool:
        """Whether nothing more may be tried."""
        return self.started or self.queued or self.lost


class _Order:
    """A print to start, and what became of it."""

    def __init__(self, filename: str, user: str | None) -> None:
        self.filename = filename
        self.user = user
        self.outcome = Outcome(queued=True)
        self.done = trio.Event()


class Starter:
    """Keeps at most one start waiting, in the database: the last one that was asked for."""

    def __init__(self, printer: Printer, database: Database) -> None:
        self._printer = printer
        self._database = database
        self.queue: JobQueue | None = None
        """What can't be started at once goes there, if there is one."""
        self._send_orders, self._receive_orders = trio.open_memory_channel[_Order](MOST_ORDERS)

    async def start(self, filename: str, user: str | None = None) -> Outcome:
        """Start printing for `user` if the printer is ready and idle; else queue it if that makes sense."""
        ready = self._printer.state == "ready"
        if ready and self._is_idle() and not (self.queue and self.queue.is_loading):
            outcome = await self._order(filename, user)
            if outcome.settled or self.queue is None:
                return outcome
            return await self._enqueue(self.queue, filename, user)
        if self.queue is not None:
            return await self._enqueue(self.queue, filename, user)
        if ready or self._printer.state in ("shutdown", "error"):
            return Outcome()  # busy; or stopped by a fault that somebody must look at first
        try:
            await self._database.write(lambda c: c.execute(_REMEMBER, (filename, time.time())))
        except NoSpace:
            return Outcome()
        logger.info("%s will be printed when Klipper is ready", filename)
        return Outcome(queued=True)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Wait for Klipper to get ready, again and again, and start what waits."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._carry_out_orders)
            await self._watch_klipper()

    async def _watch_klipper(self) -> None:
        while True:
            with self._printer.events.subscribe() as events:
                if self._printer.state == "ready":
                    await self._start_waiting()
                async for event in events:
                    if isinstance(event, KlippyReady):
                        await self._start_waiting()

    async def _start_waiting(self) -> None:
        try:
            waiting = await self._database.write(_take)
        except NoSpace as error:  # what can't be crossed out would be started again and again
            logger.warning("what waits for Klipper is not started: %s", error.message)
            return
        if waiting is None:
            return
        filename, since = waiting
        # A host without a clock of its own wakes up in the past: what was asked for before that is never started.
        longest = min(WAITS_AT_MOST, time.clock_gettime(time.CLOCK_BOOTTIME))
        if not 0 <= time.time() - since <= longest:
            logger.info("%s waited too long for Klipper and is not started", filename)
        elif self._is_idle():
            await self._try(filename)

    def _is_idle(self) -> bool:
        return not is_at_work(self._printer.mirror.get("print_stats"))

    async def print_later(self, filename: str, user: str | None) -> bool:
        """Put a file into the queue; False if there is none, or it takes no more."""
        return self.queue is not None and (await self._enqueue(self.queue, filename, user)).queued

    async def _enqueue(self, queue: JobQueue, filename: str, user: str | None) -> Outcome:
        try:
            await queue.enqueue(filename, user)
        except MoonError as error:
            logger.warning("%s can't be queued: %s", filename, error.message)
            return Outcome()
        return Outcome(queued=True)

    async def _order(self, filename: str, user: str | None) -> Outcome:
        """Have a print started; who asked waits for a while, the start goes on without them."""
        order = _Order(filename, user)
        try:
            self._send_orders.send_nowait(order)
        except trio.WouldBlock:
            return Outcome()
        with trio.move_on_after(PATIENCE):
            await order.done.wait()
        return order.outcome

    async def _carry_out_orders(self) -> None:
        while True:
            order = await self._receive_orders.receive()
            order.outcome = await self._try(order.filename, order.user)
            order.done.set()

    async def _try(self, filename: str, user: str | None = None) -> Outcome:
        try:
            await self._printer.start_print(filename, user)
            return Outcome(started=True)
        except MoonError as error:
            logger.info("%s could not be started: %s", filename, error.message)
            self._printer.say(f"!! {filename} could not be started: {error.message}")
            return Outcome(lost=isinstance(error, KlippyAway))


_REMEMBER = "REPLACE INTO waiting_start (only_one, filename, since) VALUES (1, ?, ?)"


def _take(connection: sqlite3.Connection) -> tuple[str, float] | None:
    row: tuple[str, float] | None = connection.execute("SELECT filename, since FROM waiting_start").fetchone()
    connection.execute("DELETE FROM waiting_start")
    return row
