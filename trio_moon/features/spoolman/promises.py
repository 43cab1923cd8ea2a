"""Where the extruders were commanded to go: told by Klipper's status, up to two seconds before they are there.

Moves are told one by one, but late, and those around a lost connection never. Where an extruder was commanded to
go, it has been once its time has come, unless the printer was stopped on the way.
"""

from __future__ import annotations

from trio_moon.features.spoolman.ledger import Ledger, Moment


class Promises:
    """The last commanded position of each extruder."""

    def __init__(self) -> None:
        self._last: dict[str, Moment] = {}
        self._doubted: dict[str, Moment] = {}

    def note(self, moment: Moment) -> None:
        """This was commanded."""
        self._last[moment.extruder] = moment

    def forget(self) -> None:
        """Klipper began anew."""
        self._last.clear()
        self._doubted.clear()

    def lacking(self, ledger: Ledger) -> dict[Moment, bool]:
        """What was commanded and isn't known to be done; each with whether it was the same at the last look."""
        last = {name: moment for name, moment in self._last.items() if ledger.lacks(name, moment.position_mm)}
        found = {moment: self._doubted.get(name) == moment for name, moment in last.items()}
        self._doubted = last
        return found

    def kept(self, lacking: dict[Moment, bool], printer_time: float | None, *, stopped: bool) -> list[Moment]:
        """Which of these are done, at this time of the printer's clock (None: it has none).

        A printer without a clock tells by standing still. One that was stopped has had its last look at what it told,
        and what isn't done by then never will be.
        """
        kept = []
        for moment, same_as_before in lacking.items():
            if self._last.get(moment.extruder) != moment:
                continue  # it went on while somebody asked
            if stopped:
                if same_as_before:
                    del self._last[moment.extruder]
            elif same_as_before if printer_time is None else printer_time >= moment.print_time:
                kept.append(moment)
        return kept
