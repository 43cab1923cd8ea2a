"""What stands in for moves that nobody was told: how far extruders were commanded, and how far they were seen to be.

Moves are told one by one, but late, and those around a lost connection never. Where an extruder was commanded to
go, it has been once its time has come, unless the printer was stopped on the way. Nothing of this is taken for done
while the moves themselves may still be told: they alone say what came before a change of spool.
"""

from __future__ import annotations

import math

from trio_moon.features.spoolman.ledger import Ledger, Moment

TOLD_WITHIN = 0.7
"""Seconds in which Klipper tells the moves that it has made."""
STILL_FOR = 0.4
"""A printer without a clock that vanished had made them when nothing was commanded for so many seconds before."""

Done = tuple[Moment, float]
"""Where an extruder has been, and at which print time (infinite: by now)."""


class Promises:
    """The last of each extruder, with when that was told (monotonic)."""

    def __init__(self) -> None:
        self._commanded: dict[str, tuple[Moment, float]] = {}
        self._seen: dict[str, tuple[Moment, float]] = {}
        self._all_come = False
        """Whether the printer was stopped, and what it had planned then was over, at the last look."""

    def note(self, moment: Moment, now: float) -> None:
        """This was commanded."""
        known = self._commanded.get(moment.extruder)
        if known is None or known[0] != moment:
            self._commanded[moment.extruder] = moment, now

    def saw(self, moment: Moment, now: float) -> None:
        """The extruder was seen to be here."""
        self._seen.setdefault(moment.extruder, (moment, now))

    def forget(self) -> None:
        """Klipper began anew."""
        self._commanded.clear()
        self._seen.clear()
        self._all_come = False

    def upto(self, moment: Moment) -> dict[str, float]:
        """How far the extruders were commanded by this moment; a retraction since then takes nothing back."""
        upto = {name: told.position_mm for name, (told, _) in self._commanded.items()}
        return upto | {moment.extruder: max(moment.position_mm, upto.get(moment.extruder, moment.position_mm))}

    def lacking(self, ledger: Ledger) -> list[Moment]:
        """What was commanded or seen and isn't known to be done."""
        moments = [moment for told in (self._commanded, self._seen) for moment, _ in told.values()]
        return [moment for moment in moments if ledger.lacks(moment.extruder, moment.position_mm)]

    def kept(self, now: float, *, clock: float | None, stopped: bool) -> list[Done]:
        """What is done when the printer's clock shows this (None: it has none, and tells by standing still).

        One that was stopped goes on to show as done what it had planned, perhaps for many seconds. When the time of
        all that has come, it gets one more look; what isn't done by then never will be.
        """
        planned = (moment.print_time for moment, _ in self._commanded.values())
        all_come = stopped and not any(clock is not None and clock < print_time for print_time in planned)
        at_last, self._all_come = all_come and self._all_come, all_come
        if at_last:
            self._commanded.clear()
        return self._done(now, clock, stopped, TOLD_WITHIN, TOLD_WITHIN)

    def at_the_end(self, now: float, *, clock: float | None, stopped: bool) -> list[Done]:
        """The same when the connection has ended: no moves will be told any more."""
        return self._done(now, clock, stopped, 0.0, STILL_FOR if clock is None else 0.0)

    def _done(
        self, now: float, clock: float | None, stopped: bool, seen_for: float, commanded_for: float
    ) -> list[Done]:
        done: list[Done] = []
        for name, (moment, seen_at) in tuple(self._seen.items()):
            if now - seen_at >= seen_for:
                done.append((moment, moment.print_time))
                del self._seen[name]
        for moment, told_at in () if stopped else self._commanded.values():
            if now - told_at >= commanded_for and (clock is None or clock >= moment.print_time):
                done.append((moment, math.inf))
        return done
