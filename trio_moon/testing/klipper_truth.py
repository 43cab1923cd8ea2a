"""The exact truth about filament, for tests to compare with."""

from collections.abc import Sequence


class FilamentTruth:
    """Per extruder the filament that left for good: what rose above the highest position of the session."""

    def __init__(self, extruders: Sequence[str]) -> None:
        self._before = dict.fromkeys(extruders, 0.0)
        self._highest = dict.fromkeys(extruders, 0.0)

    def note(self, extruder: str, position: float) -> None:
        """The extruder has certainly reached this position."""
        self._highest[extruder] = max(self._highest[extruder], position)

    def begin_session(self) -> None:
        """Klipper starts again: every extruder counts from 0."""
        for extruder, highest in self._highest.items():
            self._before[extruder] += highest
            self._highest[extruder] = 0.0

    def used_mm(self) -> dict[str, float]:
        """Millimetres per extruder since the simulator was made."""
        return {extruder: self._before[extruder] + highest for extruder, highest in self._highest.items()}
