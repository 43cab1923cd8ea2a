"""One entry of the history, and what a job's end is called there. Pure."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from trio_moon.model.job_state import JobEvent, Stats, seconds_of

IN_PROGRESS = "in_progress"
CANCELLED = "cancelled"
INTERRUPTED = "interrupted"
"""We weren't there when the job ended."""
DISCONNECTED = "klippy_disconnect"
"""We lost Klipper, and the job with it; perhaps it goes on."""

NOBODY = "No User"
"""Who has begun a print that wasn't asked of us: a macro, the printer's display."""

_STATUSES = {"complete": "completed"}


class Job(Struct, frozen=True):
    """A print job. `number` is its place in the book; the API shows it in hexadecimal."""

    filename: str
    start_time: float
    number: int = 0
    status: str = IN_PROGRESS
    end_time: float | None = None
    print_duration: float = 0.0
    total_duration: float = 0.0
    filament_used: float = 0.0
    metadata: dict[str, object] = field(default_factory=dict)
    auxiliary_data: list[dict[str, object]] = field(default_factory=list)
    user: str = NOBODY

    @property
    def uid(self) -> str:
        """What the API calls the job."""
        return f"{self.number:06X}"

    def measured_by(self, stats: Stats) -> Job:
        """The job as far as Klipper says it is."""
        return replace(
            self,
            print_duration=seconds_of(stats, "print_duration"),
            total_duration=seconds_of(stats, "total_duration"),
            filament_used=seconds_of(stats, "filament_used"),
        )

    def as_wire(self, *, exists: bool) -> dict[str, object]:
        """The entry as `server.history` tells it."""
        return {
            "job_id": self.uid,
            "exists": exists,
            "end_time": self.end_time,
            "filament_used": self.filament_used,
            "filename": self.filename,
            "metadata": self.metadata,
            "print_duration": self.print_duration,
            "status": self.status,
            "start_time": self.start_time,
            "total_duration": self.total_duration,
            "user": self.user,
            "auxiliary_data": self.auxiliary_data,
        }


def status_of(event: JobEvent) -> str:
    """What the history calls the end of a job."""
    return event.reason or end_status(event.name)


def end_status(state: str) -> str:
    """What the history calls an end that Klipper calls `state`."""
    return _STATUSES.get(state, state)


def number_of(uid: str) -> int | None:
    """The number in a uid; None if it is none."""
    try:
        return int(uid, 16) if len(uid) <= 12 else None
    except ValueError:
        return None
