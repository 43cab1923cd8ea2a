"""The history: writes down every job, whoever started it and whatever happens to us meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import trio
from msgspec import Struct
from msgspec.structs import replace

from trio_moon.features.history.book import JobBook
from trio_moon.features.history.job import (
    CANCELLED,
    DISCONNECTED,
    IN_PROGRESS,
    INTERRUPTED,
    NOBODY,
    Job,
    end_status,
    number_of,
    status_of,
)
from trio_moon.features.history.parameters import JobsToDelete, WhichJob, WhichJobs
from trio_moon.model.errors import BadParams, MoonError, NoSpace, NotFound
from trio_moon.model.job_state import ENDED, JobEvent, Stats, seconds_of, text_of
from trio_moon.printer.job_tracker import JobNews
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller

logger = logging.getLogger(__name__)

LOOK_AGAIN = 2.0
TRY_AGAIN = 10.0
"""Seconds until the book may be writable again."""
WRITE_EVERY = 60.0
"""A running job is written down at this pace: that much of its durations a power cut may cost."""

REDUNDANT = frozenset({"filename", "job_id", "print_start_time"})


class Files(Protocol):
    """What is known of printed files."""

    async def metadata_of(self, filename: str) -> Mapping[str, object]:
        """What is known of a file; a MoonError if there is none."""

    async def note_print(self, filename: str, job_id: str, print_start_time: float) -> None:
        """Remember a file's last print."""


class Auxiliary(Struct, frozen=True):
    """Something that another room knows of the present job; kept with it when it ends."""

    provider: str
    name: str
    description: str
    units: str | None
    value: Callable[[], object]

    def as_wire(self) -> dict[str, object]:
        return {
            "provider": self.provider,
            "name": self.name,
            "value": self.value(),
            "description": self.description,
            "units": self.units,
        }


class History:
    """Follows the jobs and answers `server.history.*`."""

    def __init__(self, book: JobBook, jobs: JobNews, files: Files, gcodes: Path, audience: Audience) -> None:
        self._book = book
        self._jobs = jobs
        self._files = files
        self._gcodes = gcodes
        self._audience = audience
        self._job: Job | None = None
        self._in_doubt = False
        self._up_to_date: Callable[[], bool] = lambda: False
        self._closed_too_early: Job | None = None
        self._auxiliary: list[Auxiliary] = []

    def add_auxiliary(self, auxiliary: Auxiliary) -> None:
        """Keep this with every job from now on."""
        self._auxiliary.append(auxiliary)

    def vitals(self) -> Mapping[str, object]:
        return {"job": self._job.uid if self._job else ""}

    # following

    async def run(self, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> None:
        """Write down what happens until cancelled."""
        self._job = await self._book.unfinished()
        while True:  # once more when so much happened at once that we lost the thread
            self._in_doubt = True
            with self._jobs.events.subscribe() as events:
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                try:
                    await self._listen(events)
                except NoSpace as error:
                    logger.warning("the history can't be written: %s", error.message)
                    await trio.sleep(TRY_AGAIN)

    async def _listen(self, events: trio.MemoryReceiveChannel[JobEvent]) -> None:
        self._up_to_date = lambda: not events.statistics().current_buffer_used
        while True:
            event = None
            with trio.move_on_after(LOOK_AGAIN if self._in_doubt else WRITE_EVERY):
                try:
                    event = await events.receive()
                except trio.EndOfChannel:
                    return
            await (self._write_down() if event is None else self._follow(event))

    async def _follow(self, event: JobEvent) -> None:
        in_doubt, self._in_doubt = self._in_doubt, False
        if event.name == "started":
            await self._end(INTERRUPTED if in_doubt else CANCELLED)  # another print took its place before our eyes
            await self._begin(event.stats, event.user)
            return
        self._take_up_again(event.stats)
        if self._job is None and event.name in ("paused", "resumed"):
            await self._begin(event.stats)
        self._measure(event.stats)
        if event.ends_job:
            await self._end(status_of(event))
        else:
            await self._write_down()

    async def _begin(self, stats: Stats, user: str = "") -> None:
        filename = text_of(stats, "filename")
        started = time.time() - seconds_of(stats, "total_duration")
        metadata = await self._metadata(filename)
        self._job = await self._book.add(
            Job(filename, started, metadata=metadata, user=user or NOBODY).measured_by(stats)
        )
        self._closed_too_early = None
        await self._files.note_print(filename, self._job.uid, started)
        await self._tell("added", self._job)

    async def _metadata(self, filename: str) -> dict[str, object]:
        try:
            metadata = await self._files.metadata_of(filename)
        except MoonError:
            return {}
        return {name: value for name, value in metadata.items() if name not in REDUNDANT}

    def _measure(self, stats: Stats) -> None:
        if self._job is not None and text_of(stats, "filename") == self._job.filename:
            self._job = self._job.measured_by(stats)

    async def _write_down(self) -> None:
        if self._in_doubt:
            await self._settle_doubt()
        if self._job is None:
            if self._jobs.job_open and self._up_to_date():  # it began while we were away
                await self._begin(self._jobs.stats)
        else:
            self._measure(self._jobs.stats)
            await self._book.update(self._job)

    async def _settle_doubt(self) -> None:
        """While we were away, the job may have gone on, or come to an end that Klipper still knows, or to another."""
        job, stats = self._job, self._jobs.stats
        state = text_of(stats, "state")
        if not state:
            return
        self._in_doubt = False
        if job is None:
            return
        if text_of(stats, "filename") != job.filename or seconds_of(stats, "total_duration") < job.total_duration:
            await self._end(INTERRUPTED)
        elif state in ENDED:
            self._measure(stats)
            await self._end(end_status(state))
        elif not self._jobs.job_open:
            await self._end(INTERRUPTED)

    async def _end(self, status: str) -> None:
        if self._job is None:
            return
        job = self._with_auxiliary(replace(self._job, status=status, end_time=time.time()))
        await self._book.finish(job, self._closed_too_early)
        self._job, self._closed_too_early = None, job if status == DISCONNECTED else None
        await self._tell("finished", job)

    def _with_auxiliary(self, job: Job) -> Job:
        return replace(job, auxiliary_data=[auxiliary.as_wire() for auxiliary in self._auxiliary])

    def _take_up_again(self, stats: Stats) -> None:
        """Klipper's connection was lost in a job, which is found to have gone on."""
        ended = self._closed_too_early
        if self._job is None and ended is not None and ended.filename == text_of(stats, "filename"):
            self._job = replace(ended, status=IN_PROGRESS, end_time=None, auxiliary_data=[])

    async def _tell(self, action: str, job: Job) -> None:
        exists = await trio.to_thread.run_sync(self._is_unchanged, job)
        self._audience.announce("notify_history_changed", {"action": action, "job": job.as_wire(exists=exists)})

    def _is_unchanged(self, job: Job) -> bool:
        """Whether the printed file is still there as it was."""
        try:
            status = (self._gcodes / job.filename).stat()
        except (OSError, ValueError):
            return False
        return job.metadata.get("size", status.st_size) == status.st_size

    # answering

    async def list_jobs(self, params: WhichJobs, caller: Caller) -> dict[str, object]:
        """`count` is of the jobs that are listed."""
        jobs = await self._book.listed(
            limit=max(0, params.limit),
            start=max(0, params.start),
            since=params.since,
            before=None if params.before == -1 else params.before,
            ascending=params.order.lower() == "asc",
        )
        return {"count": len(jobs), "jobs": await trio.to_thread.run_sync(self._shown, jobs)}

    def _shown(self, jobs: list[Job]) -> list[dict[str, object]]:
        return [self._present(job).as_wire(exists=self._is_unchanged(job)) for job in jobs]

    def _present(self, job: Job) -> Job:
        """The running job is further than the book knows."""
        running = self._job
        if running is None or running.number != job.number:
            return job
        stats, job = self._jobs.stats, self._with_auxiliary(running)
        return job.measured_by(stats) if text_of(stats, "filename") == job.filename else job

    async def get_job(self, params: WhichJob, caller: Caller) -> dict[str, object]:
        number = number_of(params.uid)
        job = await self._book.get(number) if number is not None else None
        if job is None:
            raise NotFound(f"Invalid job uid: {params.uid:.40}")
        return {"job": (await trio.to_thread.run_sync(self._shown, [job]))[0]}

    async def delete_job(self, params: JobsToDelete, caller: Caller) -> dict[str, object]:
        """Remove a job, or all that have ended."""
        if params.uid is None and not params.all:
            raise BadParams("argument 'uid' is missing: say which job, or all=true")
        number = None if params.uid is None or params.all else number_of(params.uid)
        deleted = await self._book.delete(number) if params.all or number is not None else []
        if not deleted and not params.all:
            raise NotFound(f"Invalid job uid: {params.uid:.40}")
        return {"deleted_jobs": [f"{number:06X}" for number in deleted]}

    async def totals(self, params: NoParams, caller: Caller) -> dict[str, object]:
        return {"job_totals": await self._book.totals(), "auxiliary_totals": []}

    async def reset_totals(self, params: NoParams, caller: Caller) -> dict[str, object]:
        return {"last_totals": await self._book.reset_totals(), "last_auxiliary_totals": []}
