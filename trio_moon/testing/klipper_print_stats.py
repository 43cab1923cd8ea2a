"""The job as `print_stats` tells it."""

import trio

from trio_moon.testing.klipper_coordinates import MotionCommands


class PrintStats:
    """The `print_stats` object: sampled like Klipper does, so `filament_used` goes up and down."""

    def __init__(self, motion: MotionCommands) -> None:
        self._motion = motion
        self.changed = trio.Event()
        self.reset()

    def reset(self) -> None:
        """No job."""
        self.filename = ""
        self._enter("standby")
        self._began: float | None = None
        self._paused_at: float | None = None
        self._paused_for = self._total = self._before_extrusion = 0.0
        self._filament_used = self._last_e = 0.0
        self.total_layer: int | None = None
        self.current_layer: int | None = None

    def note_start(self) -> None:
        """A job begins or goes on."""
        now = trio.current_time()
        if self._began is None:
            self._began = now
        elif self._paused_at is not None:
            self._paused_for += now - self._paused_at
            self._paused_at = None
        self._last_e = self._motion.state.last[3]
        self._enter("printing")

    def note_pause(self) -> None:
        """The file has stopped in the middle."""
        if self._paused_at is None:
            self._paused_at = trio.current_time()
            self._sample_filament()
        if self.state != "error":
            self._enter("paused", self.message)

    def note_end(self, state: str, message: str = "") -> None:
        """The job is complete, cancelled or in error."""
        if self._began is None:
            return
        self.status()
        self._enter(state, message)
        self._began = None

    def _enter(self, state: str, message: str = "") -> None:
        self.state, self.message = state, message
        self.changed.set()
        self.changed = trio.Event()

    def _sample_filament(self) -> None:
        state = self._motion.state
        self._filament_used += (state.last[3] - self._last_e) / state.extrude_factor
        self._last_e = state.last[3]

    def status(self) -> dict[str, object]:
        """The object as Klipper shows it."""
        paused = self._paused_for
        if self._began is not None:
            now = trio.current_time()
            if self._paused_at is None:
                self._sample_filament()
            else:
                paused += now - self._paused_at
            self._total = now - self._began
            if self._filament_used < 1e-7:
                self._before_extrusion = self._total - paused
        return {
            "filename": self.filename,
            "total_duration": self._total,
            "print_duration": self._total - self._before_extrusion - paused,
            "filament_used": self._filament_used,
            "state": self.state,
            "message": self.message,
            "info": {"total_layer": self.total_layer, "current_layer": self.current_layer},
        }
