"""The job queue: keeps files to print, and starts the next one when that is wished and nothing speaks against it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import trio

from trio_moon.features.job_queue.book import MOST_JOBS, QueueBook
from trio_moon.features.job_queue.job import number_of, numbers_of
from trio_moon.features.job_queue.line import Line, Load, Memory
from trio_moon.features.job_queue.loader import Errand, Files, Loader
from trio_moon.features.job_queue.parameters import JobsToAdd, JobsToRemove, JobToJump
from trio_moon.features.job_queue.settings import JobQueueSettings
from trio_moon.model.errors import BadParams, NoSpace, TooMany
from trio_moon.model.events import KlippyConnected, KlippyEvent, KlippyLost, KlippyReady, KlippyShutdown
from trio_moon.model.job_state import JobEvent, is_at_work
from trio_moon.printer.job_tracker import JobNews
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller

logger = logging.getLogger(__name__)

TRY_AGAIN = 10.0
"""Seconds until the disk may have room again."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """What tells this start of the host from the one before; "" where nobody knows."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


class JobQueue:
    """Answers `server.job_queue.*`, and follows the printer."""

    def __init__(
        self,
        settings: JobQueueSettings,
        book: QueueBook,
        printer: Printer,
        jobs: JobNews,
        files: Files,
        audience: Audience,
        boot: Callable[[], str] = boot_id,
    ) -> None:
        self._book = book
        self._printer = printer
        self._job_news = jobs
        self._files = files
        self._audience = audience
        self._boot = boot
        self._line = Line(settings, self._tell)
        self._loader = Loader(self._line, book, printer, files, settings.transition_gcode)
        self._came_up = False
        self._written: Memory | None = None
        self._touched = trio.Event()
        printer.offer("pause_job_queue", lambda params: self._pause())
        printer.offer("start_job_queue", lambda params: self._start())

    def vitals(self) -> Mapping[str, object]:
        return {"jobs": len(self._line.jobs), "state": self._line.state, "held": self._line.held}

    # --- life

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the printer and load jobs until cancelled."""
        jobs, memory, self._loader.doubt = await self._book.open()
        self._line.begin(memory, jobs, self._boot(), doubt=self._loader.doubt is not None)
        self._came_up, self._written = False, memory
        await self._try_to_remember()  # of this start of the host, before there are jobs
        async with trio.open_nursery() as nursery:
            await nursery.start(self._follow_jobs)
            await nursery.start(self._follow_klippy)
            if self._printer.state == "ready":  # we were restarted beside it
                self._note_ready()
            nursery.start_soon(self._keep_memory)
            nursery.start_soon(self._follow_moves)
            nursery.start_soon(self._loader.run)
            task_status.started()

    async def _follow_jobs(self, *, task_status: trio.TaskStatus[None]) -> None:
        await self._job_news.events.follow(self._on_job, task_status=task_status)

    async def _follow_klippy(self, *, task_status: trio.TaskStatus[None]) -> None:
        await self._printer.events.follow(self._on_klippy, task_status=task_status)

    async def _follow_moves(self) -> NoReturn:
        while True:
            with self._files.moves.subscribe() as moves:
                async for moved in moves:
                    names = {job.number: name for job in self._line.jobs if (name := moved.new_name(job.filename))}
                    if names:
                        await self._rename(names)

    async def _rename(self, names: dict[int, str]) -> None:
        try:
            self._line.rearranged(await self._book.rename(names))
        except NoSpace as error:
            logger.warning("queued files have moved, and that can't be written down: %s", error.message)

    def _on_job(self, event: JobEvent) -> None:
        match event.name:
            case "started" | "resumed":
                self._line.job_goes_on()
            case "complete":
                self._obey(self._line.job_completed())
            case "cancelled":
                self._line.job_aborted(f"{event.filename} was cancelled")
            case "error" if event.reason != "klippy_disconnect":  # of that we hear more when Klipper is back
                self._line.job_aborted(f"{event.filename} failed")
        self._obey()

    def _on_klippy(self, event: KlippyEvent) -> None:
        match event:
            case KlippyConnected(state=state):
                self._came_up = self._came_up or state != "ready"
            case KlippyReady():
                self._note_ready()
            case KlippyShutdown(message):
                self._came_up = True
                self._line.klippy_stopped(message)
            case KlippyLost():
                self._came_up = True
                self._line.klippy_lost()
        self._obey()

    def _note_ready(self) -> None:
        stats = self._printer.mirror.get("print_stats")
        load = self._line.klippy_ready(stats.get("state"), at_work=is_at_work(stats), came_up=self._came_up)
        if self._came_up and self._line.holds_back and not is_at_work(stats):
            self._printer.say(f"// The job queue waits for you to start it: {self._line.held}")
        self._obey(load)
        if load is None and self._loader.doubt is not None:
            self._loader.order(Errand.SETTLE)

    def _obey(self, load: Load | None = None) -> None:
        """See to it that what the line has decided happens, and is remembered."""
        if load is not None:
            self._loader.order(load)
        elif not self._line.is_loading:
            self._loader.call_off()
        self._touched.set()

    async def _keep_memory(self) -> None:
        while True:
            await self._touched.wait()
            self._touched = trio.Event()
            try:
                await self._remember()
            except NoSpace as error:
                logger.warning("the state of the job queue can't be written down: %s", error.message)
                await trio.sleep(TRY_AGAIN)
                self._touched.set()

    async def _remember(self) -> None:
        memory = self._line.memory
        if memory != self._written:
            await self._book.remember(memory)
            self._written = memory

    # --- what clients ask for

    def status(self, params: NoParams, caller: Caller) -> dict[str, object]:
        return self._as_wire()

    def _as_wire(self) -> dict[str, object]:
        return {"queued_jobs": self._queued_jobs(), "queue_state": self._line.state}

    async def add(self, params: JobsToAdd, caller: Caller) -> dict[str, object]:
        """Put files at the end of the queue, with `reset` in place of all others. All must exist."""
        filenames = params.listed()
        if len(filenames) > MOST_JOBS:
            raise TooMany(f"the job queue holds {MOST_JOBS} jobs at most")
        paths = {name: await self._files.printable(name) for name in dict.fromkeys(filenames)}
        for name, path in paths.items():
            if path is None:
                raise BadParams(f"G-Code File {name:.200} does not exist")
        found = [path for name in filenames if (path := paths[name]) is not None]
        await self._put(found, caller.user, reset=params.reset)
        return self._as_wire()

    async def enqueue(self, filename: str, user: str | None = None) -> None:
        """Put a file that is known to exist at the end of the queue."""
        await self._put([filename], user)

    @property
    def is_loading(self) -> bool:
        """Whether the queue is about to start a print."""
        return self._line.is_loading

    async def _put(self, paths: list[str], user: str | None, *, reset: bool = False) -> None:
        jobs = await self._book.add(paths, time.time(), user=user, reset=reset)
        self._line.added(jobs, at_work=self._at_work)
        self._obey()

    async def remove(self, params: JobsToRemove, caller: Caller) -> dict[str, object]:
        """Take these jobs out of the queue, or all of them; unknown ones are none of it anyway."""
        uids = params.listed()
        if self._line.jobs and uids != []:
            self._line.removed(await self._book.remove(None if uids is None else numbers_of(uids)))
            self._obey()
        return self._as_wire()

    async def jump(self, params: JobToJump, caller: Caller) -> dict[str, object]:
        """Let a job be the next."""
        number = number_of(params.job_id)
        if number is None or number not in {job.number for job in self._line.jobs}:
            raise BadParams(f"Invalid job id: {params.job_id:.40}")
        self._line.rearranged(await self._book.put_first(number))
        return self._as_wire()

    async def pause(self, params: NoParams, caller: Caller) -> dict[str, object]:
        """Load nothing more; a start of which Klipper knows already goes on."""
        self._pause()
        await self._try_to_remember()
        return self._as_wire()

    async def start(self, params: NoParams, caller: Caller) -> dict[str, object]:
        """Load the next job, or be ready to do so after the present print."""
        self._start()
        await self._try_to_remember()
        return self._as_wire()

    def _pause(self) -> None:
        self._line.pause()
        self._obey()

    def _start(self) -> None:
        self._obey(self._line.start(at_work=self._at_work, connected=self._printer.connected))

    async def _try_to_remember(self) -> None:
        try:
            await self._remember()
        except NoSpace as error:  # no reason not to do what was asked for
            logger.warning("the state of the job queue can't be written down: %s", error.message)

    @property
    def _at_work(self) -> bool:
        return self._loader.is_asking or is_at_work(self._printer.mirror.get("print_stats"))

    def _queued_jobs(self) -> list[dict[str, object]]:
        now = time.time()
        return [job.as_wire(now) for job in self._line.jobs]

    def _tell(self, action: str, queue_changed: bool) -> None:
        news = {
            "action": action,
            "updated_queue": self._queued_jobs() if queue_changed else None,
            "queue_state": self._line.state,
        }
        self._audience.announce_after_answer("notify_job_queue_changed", news)
        self._touched.set()
