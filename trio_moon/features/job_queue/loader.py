"""Loads the next job: waits, runs the transition's G-code, and asks Klipper to print; one job at a time.

It can be called off until the moment in which Klipper is asked. Before that moment the start is written down, so that
a job is neither lost nor printed twice when we are killed: what Klipper tells afterwards settles whether it happened.
"""

from __future__ import annotations

import logging
from enum import Enum, auto
from typing import NoReturn, Protocol

import trio

from trio_moon.features.job_queue.book import QueueBook
from trio_moon.features.job_queue.job import Intent
from trio_moon.features.job_queue.line import Line, Load
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import Conflict, KlippyAway, MoonError, NotFound
from trio_moon.model.events import FileMoved
from trio_moon.model.job_state import Stats, is_at_work
from trio_moon.printer.printer import Printer

logger = logging.getLogger(__name__)


class Files(Protocol):
    """What is known of the files to print."""

    @property
    def moves(self) -> Topic[FileMoved]: ...

    async def printable(self, filename: str) -> str | None:
        """A file's path below `gcodes` as Klipper knows it; None if there is no such file."""


class Errand(Enum):
    """What the loader may be asked for besides a `Load`."""

    SETTLE = auto()
    """Find out what became of a start whose answer nobody heard."""


class Loader:
    """The task that starts prints."""

    def __init__(self, line: Line, book: QueueBook, printer: Printer, files: Files, gcode: str) -> None:
        """`gcode` is run between two jobs."""
        self._line = line
        self._book = book
        self._printer = printer
        self._files = files
        self._gcode = gcode
        self.doubt: Intent | None = None
        """A start whose answer nobody heard."""
        self._order: Load | Errand | None = None
        self._ordered = trio.Event()
        self._scope = trio.CancelScope()
        self._asked = False
        self._intent: Intent | None = None
        """A start that is, or may be, written down and isn't settled yet."""
        self._task: trio.lowlevel.Task | None = None

    @property
    def is_asking(self) -> bool:
        """Whether Klipper has been asked to print, and that isn't settled yet."""
        return self._asked

    def order(self, order: Load | Errand) -> None:
        """Do this as soon as possible."""
        self._order = order
        self._ordered.set()

    def call_off(self) -> None:
        """The next job shall not be loaded; once Klipper has been asked, it is too late."""
        if isinstance(self._order, Load):
            self._order = None
        if not self._asked:
            self._scope.cancel()

    async def run(self) -> NoReturn:
        """Carry out orders until cancelled."""
        self._task, self._asked = trio.lowlevel.current_task(), False
        self._printer.before_print.append(self._last_word)  # the last one: all others have agreed
        try:
            while True:
                await self._ordered.wait()
                self._ordered = trio.Event()
                order, self._order = self._order, None
                if self.doubt is not None:
                    await self._settle(self.doubt)
                if isinstance(order, Load):
                    await self._load(order)
        finally:
            self._printer.before_print.remove(self._last_word)

    async def _load(self, load: Load) -> None:
        if not self._line.is_loading:  # called off while a doubt was settled
            return
        with trio.CancelScope() as self._scope:
            try:
                await trio.sleep(load.after)
                if load.transition and self._gcode:
                    self._check_idle()
                    await self._printer.run_gcode(self._gcode)
                intent = await self._intend()
                if intent is not None and self._line.starting():
                    await self._start(intent)
            except MoonError as error:
                self._fail(error)
        self._asked = False
        await self._give_up()

    async def _intend(self) -> Intent | None:
        """Write down that the first job is started now; None if nothing should be."""
        while self._line.jobs:
            job = self._line.jobs[0]
            if await self._files.printable(job.filename) is None:
                raise NotFound(f"there is no file {job.filename}")
            self._check_idle()
            self._intent = intent = Intent.of(job, await self._print_stats())
            await self._book.intend(intent)
            if self._line.jobs[:1] == (job,):
                return intent
            await self._give_up()  # somebody has removed it meanwhile
        self._line.failed()
        return None

    async def _start(self, intent: Intent) -> None:
        try:
            await self._printer.start_print(intent.filename, intent.user)
        except KlippyAway:
            if self._asked:  # it may have heard us
                self.doubt, self._intent = intent, None
            raise
        await self._settled(intent)

    async def _settled(self, intent: Intent) -> None:
        """Klipper prints the job."""
        self._intent = None
        try:
            jobs = await self._book.settle(intent, happened=True)
        except MoonError as error:  # it stays on disk with its intent, so nobody will start it unseen
            logger.warning("%s is printed but can't be taken from the queue: %s", intent.filename, error.message)
            jobs = tuple(job for job in self._line.jobs if job.number != intent.number)
        load = self._line.loaded(jobs)
        if load is not None:
            self.order(load)

    def _fail(self, error: MoonError) -> None:
        self._line.failed()
        intent = self._intent or self.doubt
        what = intent.filename if intent is not None else "the next job"
        logger.warning("the job queue is paused, %s was not started: %s", what, error.message)
        self._printer.say(f"!! The job queue is paused, {what} was not started: {error.message}")

    async def _give_up(self) -> None:
        """What was to be started is not; it stays in the queue."""
        intent, self._intent = self._intent, None
        if intent is None:
            return
        try:
            await self._book.settle(intent, happened=False)
        except MoonError as error:
            logger.warning("what was about to be started stays written down: %s", error.message)

    async def _last_word(self, filename: str) -> None:
        """Asked before every print. Ours begins only if nothing has happened since we decided on it."""
        await trio.lowlevel.checkpoint()
        if trio.lowlevel.current_task() is self._task:
            self._check_idle()
            self._asked = True  # nothing can come between this and the request

    def _check_idle(self) -> None:
        if self._printer.state != "ready":
            raise Conflict(f"Klipper is not ready: {self._printer.state}")
        if is_at_work(self._printer.mirror.get("print_stats")):
            raise Conflict("a print is under way")

    async def _print_stats(self) -> Stats:
        status, _ = await self._printer.query({"print_stats": None})
        return status.get("print_stats", {})

    async def _settle(self, intent: Intent) -> None:
        """Find out whether a start has happened. What Klipper was busy with when we asked it must be over."""
        try:
            stats = await self._print_stats()
            if not is_at_work(stats):
                await self._printer.request("gcode/script", {"script": ""}, deadline=None)  # waits for its turn
                stats = await self._print_stats()
            happened = intent.has_happened(stats)
            jobs = await self._book.settle(intent, happened=happened)
        except MoonError as error:  # Klipper is gone again, or the disk is full
            logger.info("whether %s was started is still not known: %s", intent.filename, error.message)
            return
        self.doubt = None
        logger.info("%s was %s", intent.filename, "started" if happened else "not started; it stays in the queue")
        if happened:
            self._line.found_loaded(jobs, at_work=is_at_work(stats))
