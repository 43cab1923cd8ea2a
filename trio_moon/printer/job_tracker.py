"""Follows the print job and tells everybody: the only reader of `print_stats` for events."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from typing import NoReturn, Protocol

import trio
from msgspec.structs import replace

from trio_moon.kit.status_box import StatusView
from trio_moon.kit.topics import Topic
from trio_moon.model.events import KlippyConnected, KlippyEvent, KlippyLost, KlippyShutdown
from trio_moon.model.job_state import JobEvent, JobState, Stats
from trio_moon.printer.printer import Printer

logger = logging.getLogger(__name__)


class JobNews(Protocol):
    """What rooms hear of the printer's jobs."""

    @property
    def events(self) -> Topic[JobEvent]: ...

    @property
    def stats(self) -> Stats: ...

    @property
    def job_open(self) -> bool: ...


class JobTracker:
    """Publishes a JobEvent for each step of a job, in order, with immutable statistics."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._job = JobState()
        self._connected_at = time.monotonic()
        self._last_news = 0.0
        self.events: Topic[JobEvent] = Topic()
        printer.need({"print_stats": None})
        printer.mirror.observe(self._on_status)

    @property
    def stats(self) -> Stats:
        """The last `print_stats`, immutable; empty while Klipper is away."""
        return self._job.stats

    @property
    def job_open(self) -> bool:
        """Whether a job is being printed or is paused."""
        return self._job.job_open

    def vitals(self) -> Mapping[str, object]:
        return {"job_open": self.job_open}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Watch Klipper come, fail and go, until cancelled."""
        await self._printer.events.follow(self._on_klippy, task_status=task_status)

    def _on_klippy(self, event: KlippyEvent) -> None:
        match event:
            case KlippyConnected():
                self._connected_at = time.monotonic()
            case KlippyShutdown(message):
                self._tell(self._job.klippy_shut_down(_first_line(message)))
            case KlippyLost(reason):
                self._tell(self._job.klippy_lost(f"Klipper disconnected: {reason}"))

    def _on_status(self, changes: StatusView, eventtime: float) -> None:
        webhooks = self._printer.mirror.get("webhooks")
        if webhooks.get("state") == "shutdown":  # told before print_stats: Klipper calls the stopped job paused
            self._tell(self._job.klippy_shut_down(_first_line(str(webhooks.get("state_message", "")))))
            return
        passed = eventtime - self._last_news if eventtime >= self._last_news else math.inf
        self._last_news = eventtime
        if "print_stats" in changes:
            stats = self._printer.mirror.get("print_stats")
            if events := self._job.update(stats, time.monotonic() - self._connected_at, passed):
                self._tell(events)

    def _tell(self, events: Iterable[JobEvent]) -> None:
        for event in events:
            if event.name == "started":
                event = replace(event, user=self._printer.asked_by)
                self._printer.asked_by = ""
            logger.info("job %s: %s", event.name, event.filename or "(no file)")
            self.events.publish(event)


def _first_line(message: str) -> str:
    """The reason alone; what Klipper advises behind it would fill a push message."""
    return message.strip().partition("\n")[0]
