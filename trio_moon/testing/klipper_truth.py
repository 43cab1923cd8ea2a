"""The exact truth about filament, for tests to compare with."""

from collections.abc import Sequence


class FilamentTruth:
    """Per extruder the filament that left for good: what rose above the highest position of the session."""

    def __init__(self, extruders: Sequence[str]) -> None:
        self._used = dict.fromkeys(extruders, 0.0)
        self.begin_session()

    def note(self, queue: str, position: float) -> None:
        """Whoever makes the moves of that queue has certainly reached this position."""
        rise = position - self._highest[queue]
        if rise > 0:
            self._highest[queue] = position
            for extruder, moved_by in self.moved_by.items():
                if moved_by == queue:
                    self._used[extruder] += rise

    def begin_session(self) -> None:
        """Klipper starts again: every extruder counts from 0, and makes the moves of its own queue."""
        self._highest = dict.fromkeys(self._used, 0.0)
        self.moved_by: dict[str, str | None] = {extruder: extruder for extruder in self._used}

    def used_mm(self) -> dict[str, float]:
        """Millimetres per extruder since the simulator was made."""
        return dict(self._used)
