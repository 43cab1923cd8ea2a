"""Where the extruders were commanded to go: told by Klipper's status, up to two seconds before they are there.

Moves are told one by one, but late, and those around a lost connection never. Where an extruder was commanded to
go, it has been once its time has come, unless the printer was stopped on the way.
"""

from __future__ import annotations

from trio_moon.features.spoolman.ledger import Ledger, Moment

STILL_FOR = 0.4
"""A printer without a clock has done what it was commanded when it was commanded nothing else for so many seconds."""


class Promises:
    """The last commanded position of each extruder, and when it was told (monotonic)."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Moment, float]] = {}
        self._stopped = False

    def note(self, moment: Moment, now: float) -> None:
        """This was commanded."""
        known = self._last.get(moment.extruder)
        if known is None or known[0] != moment:
            self._last[moment.extruder] = moment, now

    def forget(self) -> None:
        """Klipper began anew."""
        self._last.clear()
        self._stopped = False

    def upto(self, moment: Moment) -> dict[str, float]:
        """How far the extruders were commanded by this moment; a retraction since then takes nothing back."""
        upto = {name: told.position_mm for name, (told, _) in self._last.items()}
        return upto | {moment.extruder: max(moment.position_mm, upto.get(moment.extruder, moment.position_mm))}

    def lacking(self, ledger: Ledger) -> list[Moment]:
        """What was commanded and isn't known to be done."""
        return [moment for moment, _ in self._last.values() if ledger.lacks(moment.extruder, moment.position_mm)]

    def kept(self, lacking: list[Moment], now: float, *, clock: float | None, stopped: bool) -> list[Moment]:
        """Which of these are done, when the printer's clock shows this (None: it has none, it tells by standing still).

        One that was stopped gets a second look at what it tells; what isn't done by then never will be.
        """
        at_last, self._stopped = stopped and self._stopped, stopped
        done = []
        for moment in lacking:
            known, told_at = self._last.get(moment.extruder, (None, now))
            if known != moment:
                continue  # it went on, or began anew, while somebody asked
            if stopped:
                if at_last:
                    del self._last[moment.extruder]
            elif now - told_at >= STILL_FOR if clock is None else clock >= moment.print_time:
                done.append(moment)
        return done
