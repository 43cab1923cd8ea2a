"""What becomes of a print: Klipper's `print_stats`, again and again, turned into the events of a job. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

Stats = Mapping[str, object]
"""A `print_stats` object at one moment; it never changes afterwards."""

AT_WORK = ("printing", "paused")
ENDED = frozenset({"complete", "cancelled", "error"})
NO_STATS: Stats = MappingProxyType({})
LONGEST = 1e12
"""Seconds; a larger number is some mistake."""
ROUGHLY = 5.0
"""Seconds by which the clocks of durations and of news may differ."""


class JobEvent(Struct, frozen=True):
    """A step in the life of a print job, with what Klipper told just before and what it tells now.

    `name` is started, paused, resumed, complete, cancelled, error or standby, or a state that only a fork of
    Klipper's knows. A `started` while a job is open means that nobody saw how the former one ended.
    `reason` is `klippy_shutdown` or `klippy_disconnect` where an error has no other. `user` is who asked us for what
    is `started`; "" if nobody did.
    """

    name: str
    previous: Stats
    stats: Stats
    reason: str = ""
    user: str = ""

    @property
    def filename(self) -> str:
        """The printed file, relative to the `gcodes` root."""
        return text_of(self.stats, "filename")

    @property
    def ends_job(self) -> bool:
        """Whether the job is over with this event."""
        return self.name in ENDED


def freeze(stats: Mapping[str, object]) -> Stats:
    """A copy that later updates and careless readers can't change."""
    return MappingProxyType({k: freeze(v) if isinstance(v, dict) else v for k, v in stats.items()})


def thaw(stats: Stats) -> dict[str, object]:
    """The same as plain dicts, for JSON and for templates."""
    return {key: thaw(value) if isinstance(value, Mapping) else value for key, value in stats.items()}


def is_at_work(stats: Stats) -> bool:
    """Whether a print is under way, if only paused."""
    return stats.get("state") in AT_WORK


def text_of(stats: Stats, field: str) -> str:
    """A field that should be text; "" where it is none."""
    value = stats.get(field)
    return value if isinstance(value, str) else ""


def seconds_of(stats: Stats, field: str) -> float:
    """A field that should be a number; 0 where it is none, or isn't finite."""
    value = stats.get(field)
    return float(value) if isinstance(value, (int, float)) and abs(value) < LONGEST else 0.0


class JobState:
    """Remembers the present job and says what each news of it means."""

    def __init__(self) -> None:
        self._told: Stats = NO_STATS  # a copy of its own; frozen when somebody gets it, which is seldom
        self._open = False
        self._shut_down = False
        self._interrupted = NO_STATS  # the job that Klipper took away with it

    @property
    def stats(self) -> Stats:
        """The last `print_stats`; empty while Klipper is away."""
        return freeze(self._told)

    @property
    def job_open(self) -> bool:
        """Whether a job is being printed or is paused."""
        return self._open

    def update(self, news: Mapping[str, object], connected_for: float = 0.0, after: float = math.inf) -> list[JobEvent]:
        """Take over the whole present `print_stats`, and return what has happened since the last time.

        `connected_for` matters for the first news after Klipper came: a print that is younger than the connection
        has begun before our eyes. `after` is how long ago the last news were: no younger job can hide behind them.
        """
        state = text_of(news, "state")
        if not state or self._shut_down:
            return []
        before, self._told = self._told, dict(news)
        was = text_of(before, "state")
        if not was:
            return self._first_look(state, connected_for)
        if state != was or ((self._open or state in ENDED) and not _same_job(before, news, after)):
            return self._step(freeze(before), self.stats, state, after)
        return []

    def klippy_shut_down(self, message: str) -> list[JobEvent]:
        """Klipper has stopped the machine: an open job has failed, whatever its `print_stats` say from now on."""
        self._shut_down = True
        return self._fail(message, "klippy_shutdown")

    def klippy_lost(self, message: str) -> list[JobEvent]:
        """Klipper is gone, and what it told with it. A job that turns out to go on will be `resumed`."""
        events = self._fail(message, "klippy_disconnect")
        self._interrupted = events[0].previous if events else NO_STATS
        self._told, self._shut_down = NO_STATS, False
        return events

    # how

    def _first_look(self, state: str, connected_for: float) -> list[JobEvent]:
        interrupted, self._interrupted = self._interrupted, NO_STATS
        self._open = state in AT_WORK
        if not self._open and state not in ENDED:
            return []
        if interrupted and _same_job(interrupted, self._told):
            return [JobEvent("resumed" if state == "printing" else state, interrupted, self.stats)]
        if state == "printing" and seconds_of(self._told, "total_duration") < connected_for:
            return [JobEvent("started", NO_STATS, self.stats)]
        return []

    def _step(self, before: Stats, now: Stats, state: str, after: float) -> list[JobEvent]:
        events: list[JobEvent] = []
        if state == "standby":
            if self._open:  # SDCARD_RESET_FILE: the job was given up
                events.append(JobEvent("cancelled", before, freeze({**before, "state": "cancelled"})))
            self._open = False
        elif state in AT_WORK or state in ENDED:
            if not self._open or not _same_job(before, now, after):  # begun, and perhaps ended, in one update
                events.append(JobEvent("started", before, freeze({**now, "state": "printing"})))
            self._open = state not in ENDED
        if state != "printing":
            events.append(JobEvent(state, events[-1].stats if events else before, now))
        elif not events:
            events.append(JobEvent("resumed", before, now))
        return events

    def _fail(self, message: str, reason: str) -> list[JobEvent]:
        if not self._open:
            return []
        self._open = False
        before = self.stats
        self._told = {**before, "state": "error", "message": message}
        return [JobEvent("error", before, self.stats, reason)]


def _same_job(before: Stats, now: Stats, passed: float = math.inf) -> bool:
    """Whether both are news of one job, `passed` seconds apart: a new one is younger than that, and than the old.

    The time of a job that has ended stands still, so that another time is another job's.
    """
    if before.get("filename") != now.get("filename") and text_of(before, "filename") != text_of(now, "filename"):
        return False
    older, newer = seconds_of(before, "total_duration"), seconds_of(now, "total_duration")
    if text_of(before, "state") in ENDED and newer != older:
        older = math.inf
    return newer >= older or newer > passed + ROUGHLY
