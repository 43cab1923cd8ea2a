"""One entry of the queue, and the start of one as it is written down before Klipper is asked. Pure."""

from __future__ import annotations

from msgspec import Struct

from trio_moon.model.job_state import Stats, seconds_of, text_of


class QueuedJob(Struct, frozen=True):
    """A file to print. `number` is never given twice; the API shows it in hexadecimal."""

    number: int
    filename: str
    time_added: float
    user: str | None = None

    @property
    def uid(self) -> str:
        """What the API calls the job."""
        return f"{self.number:016X}"

    def as_wire(self, now: float) -> dict[str, object]:
        """The entry as `server.job_queue` tells it."""
        return {
            "filename": self.filename,
            "job_id": self.uid,
            "time_added": self.time_added,
            "time_in_queue": max(0.0, now - self.time_added),
        }


class Intent(Struct, frozen=True):
    """Klipper is about to be asked to print a job: what it told of its last print before that."""

    number: int
    filename: str
    last_filename: str
    last_state: str
    last_duration: float
    user: str | None = None

    @classmethod
    def of(cls, job: QueuedJob, stats: Stats) -> Intent:
        """The intent to print `job` now."""
        state, name = text_of(stats, "state"), text_of(stats, "filename")
        return cls(job.number, job.filename, name, state, seconds_of(stats, "total_duration"), job.user)

    def has_happened(self, stats: Stats) -> bool:
        """Whether Klipper, which was asked and whose answer nobody heard, has printed the job or does."""
        if text_of(stats, "filename") != self.filename:
            return False
        before = (self.last_filename, self.last_state, self.last_duration)
        return before != (self.filename, text_of(stats, "state"), seconds_of(stats, "total_duration"))


def numbers_of(uids: list[str]) -> set[int]:
    """The numbers in uids; what is none is left out."""
    return {number for uid in uids if (number := number_of(uid)) is not None}


def number_of(uid: str) -> int | None:
    """The number in a uid; None if it is none."""
    try:
        number = int(uid, 16)
    except ValueError:
        return None
    return number if f"{number:016X}" == uid.upper() and 0 < number < 1 << 62 else None
