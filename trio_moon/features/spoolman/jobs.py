"""Which spools a print took its filament from, kept for history and cost."""

from __future__ import annotations

import logging
import time
from typing import Protocol

import trio

from trio_moon.features.spoolman.checks import PrintCheck
from trio_moon.features.spoolman.journal import Journal
from trio_moon.features.spoolman.ledger import Ledger
from trio_moon.features.spoolman.lookout import Lookout
from trio_moon.features.spoolman.motion import FilamentMeter
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import MoonError
from trio_moon.model.events import SpoolSelected
from trio_moon.model.job_state import JobEvent, Stats, text_of

logger = logging.getLogger(__name__)

LOST = "klippy_disconnect"


class JobNews(Protocol):
    """The follower of the printer's jobs."""

    @property
    def events(self) -> Topic[JobEvent]: ...

    @property
    def stats(self) -> Stats: ...

    @property
    def job_open(self) -> bool: ...


class Stock(Protocol):
    """The room's state, as far as the jobs need it."""

    @property
    def ledger(self) -> Ledger: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def meter(self) -> FilamentMeter: ...

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
        self._filename = ""
        self._spool_ids: list[int | None] = []

    def spool_ids(self) -> list[int | None]:
        """For the history's field of that name: the spools of the present job in order, null where there was none."""
        return list(self._spool_ids)

    async def run(self) -> None:
        """Follow the printer's jobs until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._collect_spools)
            while True:
                with self._jobs.events.subscribe() as events:
                    await self._look_back()
                    async for event in events:
                        try:
                            await self._follow(event)
                        except MoonError as error:
                            logger.warning("the record of job %s is incomplete: %s", event.filename, error)

    async def _collect_spools(self) -> None:
        while True:
            with self._stock.selected.subscribe() as news:
                self._note_spool()
                async for _ in news:
                    self._note_spool()

    def _note_spool(self) -> None:
        active = self._stock.active_spool
        if (self._spool_ids or active is not None) and (not self._spool_ids or self._spool_ids[-1] != active):
            self._spool_ids.append(active)

    async def _look_back(self) -> None:
        """We may have been away: does the job in our books still go on?"""
        job = self._stock.ledger.state.job
        record = None if job is None else await self._stock.journal.job(job)
        if record is None:
            return
        self._filename = record.filename
        if self._jobs.job_open and text_of(self._jobs.stats, "filename") == record.filename:
            await self._expect(record.filename)

    async def _follow(self, event: JobEvent) -> None:
        if event.name == "started":
            await self._close(LOST)
            await self._open(event.filename)
        elif event.reason == LOST:
            return  # Klipper is gone; if it is the same Klipper that returns, the job is resumed
        elif event.ends_job:
            await self._close(event.name)
        elif event.name == "resumed" and event.filename != self._filename:
            await self._close(LOST)

    async def _open(self, filename: str) -> None:
        stock = self._stock
        job = await stock.journal.open_job(filename, time.time())
        stock.ledger.set_job(job, None)
        self._filename = filename
        active = stock.active_spool
        self._spool_ids = [] if active is None else [active]
        await stock.journal.commit(stock.ledger)
        await self._check.print_began(filename)
        await self._expect(filename)

    async def _expect(self, filename: str) -> None:
        self._lookout.expect(filename, (await self._check.needs(filename)))

    async def _close(self, outcome: str) -> None:
        stock, job = self._stock, self._stock.ledger.state.job
        self._lookout.expect("", ())
        if job is None:
            return
        stock.ledger.set_job(None, await stock.meter.moment())
        await stock.journal.commit(stock.ledger)
        await stock.journal.close_job(job, outcome, time.time())
