"""Which spools a print took its filament from, kept for history and cost."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Protocol

import trio

from trio_moon.features.spoolman.checks import PrintCheck
from trio_moon.features.spoolman.journal import LOST, Journal
from trio_moon.features.spoolman.ledger import Ledger, Moment
from trio_moon.features.spoolman.lookout import Lookout
from trio_moon.kit.periodic import periodic
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import MoonError
from trio_moon.model.events import SpoolSelected
from trio_moon.model.job_state import ENDED, JobEvent, text_of
from trio_moon.printer.job_tracker import JobNews

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds without an event after which the books are compared with what Klipper says."""


class Meter(Protocol):
    """What measures filament."""

    async def moment(self) -> Moment | None: ...


class Stock(Protocol):
    """The room's state, as far as the jobs need it."""

    @property
    def ledger(self) -> Ledger: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def meter(self) -> Meter: ...

    @property
    def active_spool(self) -> int | None: ...

    @property
    def selected(self) -> Topic[SpoolSelected]: ...


class JobKeeper:
    """Opens a record when a print begins and closes it when it ends."""

    def __init__(self, stock: Stock, jobs: JobNews, check: PrintCheck, lookout: Lookout) -> None:
        self._stock = stock
        self._jobs = jobs
        self._check = check
        self._lookout = lookout
        self._filename: str | None = None
        """The file of the job in our books; None until we have looked."""
        self._spool_ids: list[int | None] = []
        self._complained = ""
        self._waiting = trio.CancelScope()
        self._quiet = False
        """Whether no event has come since the last beat."""

    def spool_ids(self) -> list[int | None]:
        """For the history's field of that name: the spools of the present job, each once, null where there was none."""
        return list(self._spool_ids)

    async def run(self) -> None:
        """Follow the printer's jobs until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._collect_spools)
            nursery.start_soon(periodic, LOOK_EVERY, self._look_when_quiet)
            while True:
                with self._jobs.events.subscribe() as events, suppress(trio.EndOfChannel):
                    while True:
                        await self._take(events, nursery)

    async def _take(self, events: trio.MemoryReceiveChannel[JobEvent], nursery: trio.Nursery) -> None:
        event = None
        with trio.CancelScope() as self._waiting:
            event = await events.receive()
            self._quiet = False
        try:
            if event is None:
                await self._look(nursery)
            else:
                await self._follow(event, nursery)
            self._complained = ""
        except MoonError as error:
            if error.message != self._complained:
                logger.warning("the record of a job is incomplete: %s", error)
            self._complained = error.message

    def _look_when_quiet(self) -> None:
        if self._quiet and not self._is_settled():
            self._waiting.cancel()
        self._quiet = True

    def _is_settled(self) -> bool:
        """Whether a look would change nothing: the job in our books is the printer's, or there is none."""
        if self._stock.ledger.state.job is None:
            return not self._jobs.job_open
        stats = self._jobs.stats
        same = self._jobs.job_open and text_of(stats, "filename") == self._filename
        return self._filename is not None and (same or not stats)

    async def _collect_spools(self) -> None:
        while True:
            with self._stock.selected.subscribe() as news:
                self._note_spool()
                async for _ in news:
                    self._note_spool()

    def _note_spool(self) -> None:
        active = self._stock.active_spool
        if active not in self._spool_ids and (self._spool_ids or active is not None):
            self._spool_ids.append(active)

    async def _look(self, nursery: trio.Nursery) -> None:
        """No event has come for a while. We or Klipper may have been away: is the job in our books still printed?"""
        job = self._stock.ledger.state.job
        if job is not None and self._filename is None:
            await self._remember(job, nursery)
        stats = self._jobs.stats
        if not stats:
            return  # Klipper is gone; if it is the same Klipper that returns, the job is resumed
        filename, state = text_of(stats, "filename"), text_of(stats, "state")
        same = job is not None and filename == self._filename
        if job is not None and not (same and self._jobs.job_open):
            await self._close(state if same and state in ENDED else LOST)
        elif self._jobs.job_open and not same:
            await self._open(filename, nursery)

    async def _remember(self, job: int, nursery: trio.Nursery) -> None:
        """The job began before our time."""
        record = await self._stock.journal.job(job)
        self._filename = record.filename if record else ""
        self._spool_ids = [use.spool_id for use in record.spools if use.spool_id is not None] if record else []
        self._note_spool()
        nursery.start_soon(self._expect, job, self._filename)

    async def _follow(self, event: JobEvent, nursery: trio.Nursery) -> None:
        if event.name == "started":
            await self._close(LOST)
            await self._open(event.filename, nursery)
        elif event.reason == LOST:
            return  # as above: it may go on
        elif event.ends_job:
            await self._close(event.name)
        elif event.name == "resumed" and event.filename != self._filename:
            await self._close(LOST)

    async def _open(self, filename: str, nursery: trio.Nursery) -> None:
        stock = self._stock
        job = await stock.journal.open_job(filename, time.time())
        stock.ledger.set_job(job, None)
        self._filename = filename
        active = stock.active_spool
        self._spool_ids = [] if active is None else [active]
        nursery.start_soon(self._begin, job, filename)
        await stock.journal.commit(stock.ledger)

    async def _begin(self, job: int, filename: str) -> None:
        """Beside what follows: neither Spoolman nor a file that is being read may hold up the books."""
        await self._check.print_began(filename)
        await self._expect(job, filename)

    async def _expect(self, job: int, filename: str) -> None:
        needs = await self._check.needs(filename)
        if job == self._stock.ledger.state.job:
            self._lookout.expect(filename, needs)

    async def _close(self, outcome: str) -> None:
        stock, job = self._stock, self._stock.ledger.state.job
        self._lookout.expect("", ())
        self._filename = ""
        if job is None:
            return
        stock.ledger.set_job(None, await stock.meter.moment())
        stock.journal.close_job(job, outcome, time.time())
        await stock.journal.commit(stock.ledger)
