"""Is this the life of Klipper that we know? In each of them E positions begin at 0, and mean nothing to another.

Klipper has no name for its lives, so this is settled by evidence. To take a new life for the old one loses filament;
to take the old one for new counts it twice.
"""

from __future__ import annotations

import math
from pathlib import Path

from trio_moon.features.spoolman.ledger import LedgerState, Moment, Session

FAREWELL = "// Klipper state: Disconnect"
"""What Klipper says on the console before it restarts."""
FAREWELL_HOLDS = 10.0
"""Seconds in which the end follows the farewell; later it was somebody's joke."""
RESTART_TAKES = 1.0
"""Klipper waits so long between its lives."""
RETRACTION_MM = 10.0
"""An extruder may stand so much behind its farthest point."""
AWAKE = ("ready", "shutdown")
"""States in which Klipper's extruders have positions."""


class Lives:
    """Collects what is told of Klipper's ends and beginnings. Times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._farewell_at = self._lost_at = -math.inf
        self.began_anew = False
        """Whether the life that is to be measured next was seen to begin, or the former one to end."""

    def heard(self, line: str, now: float) -> None:
        """Klipper said this on its console."""
        if line == FAREWELL:
            self._farewell_at = now

    def connected(self, state: str) -> None:
        """Klipper is there, in this state."""
        self.began_anew = self.began_anew or state not in AWAKE

    def lost(self, now: float) -> None:
        """The connection has ended."""
        self._lost_at = now
        self.began_anew = self.began_anew or now - self._farewell_at < FAREWELL_HOLDS

    def entered(self) -> None:
        """The present life is known now."""
        self.began_anew = False
        self._farewell_at = -math.inf

    def is_another(self, known: LedgerState, session: Session, moment: Moment | None, now: float) -> bool:
        """Whether `session`, met at `moment`, isn't the one in the books. What isn't known proves nothing."""
        former = known.session
        if self.began_anew or former is None:
            return True
        if former.process_id and session.process_id and former.process_id != session.process_id:
            return True
        if moment is not None and moment.print_time < known.print_time:
            return True
        if not former.socket or not session.socket or former.socket == session.socket:
            return False
        # another file: another life, unless somebody between us and Klipper has just made it anew
        last = known.positions.get(moment.extruder, 0.0) if moment else math.inf
        goes_on = moment is not None and moment.position_mm >= last - RETRACTION_MM
        return not goes_on or now - self._lost_at > RESTART_TAKES


def identify(process_id: object, socket: Path | None) -> Session:
    """What can be told of the life that listens at `socket`."""
    try:
        stat = socket.stat() if socket else None
    except OSError:
        stat = None
    # not ctime: somebody may change the socket's owner or mode
    return Session(process_id if isinstance(process_id, int) else 0, str(stat.st_mtime_ns) if stat else "")
