"""Klipper's jobs as a test tells them."""

from __future__ import annotations

from trio_moon.kit.topics import Topic
from trio_moon.model.job_state import JobEvent, JobState, Stats


class ToldJobs:
    """The follower of jobs with a real `JobState`, but without a printer."""

    def __init__(self) -> None:
        self._state = JobState()
        self.events: Topic[JobEvent] = Topic()

    @property
    def stats(self) -> Stats:
        return self._state.stats

    @property
    def job_open(self) -> bool:
        return self._state.job_open

    def tell(self, state: str, total: float, *, filename: str = "vase.gcode", connected_for: float = 0.0) -> None:
        """Klipper's `print_stats` are these now; durations and filament follow from `total`."""
        news = {
            "state": state,
            "filename": filename,
            "total_duration": total,
            "print_duration": total / 2,
            "filament_used": total * 10,
        }
        self.publish(self._state.update(news, connected_for))

    def lose(self) -> None:
        """The connection to Klipper is lost."""
        self.publish(self._state.klippy_lost("Klipper disconnected"))

    def shut_down(self) -> None:
        """Klipper has shut down."""
        self.publish(self._state.klippy_shut_down("heater"))

    def publish(self, events: list[JobEvent]) -> None:
        for event in events:
            self.events.publish(event)
