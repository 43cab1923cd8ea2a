"""When usage that Spoolman didn't take is sent again, spool by spool. Pure.

A trouble that is young is asked about often, so that its end is noticed at once; one that lasts costs little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from msgspec import Struct

REFUSED_PAUSES = (*(2.0,) * 10, 15.0, 60.0, 600.0)
"""Before a refused amount is offered again; then only when the spool changes, or Spoolman or we restart."""
LOST_PAUSES = (0.0, *(1.0,) * 7, *(2.0,) * 8, 15.0, 60.0)
"""From one report that Spoolman didn't count to the next. Each leaves one that may still arrive: not too often."""


class Parked(Struct):
    """Spoolman refuses usage of this spool: why, how often, and when it is offered again (monotonic)."""

    reason: str
    refusals: int
    refused_at: float
    again_at: float


class Retries:
    """What may not be sent before when."""

    def __init__(self) -> None:
        self.parked: dict[int, Parked] = {}
        self._losses: dict[int, int] = {}
        self._sent_at: dict[int, float] = {}
        self._lost_until: dict[int, float] = {}

    def refused(self, spool_id: int, reason: str, now: float) -> bool:
        """Spoolman refused it and said why; whether that is news."""
        before = self.parked.get(spool_id)
        refusals = before.refusals + 1 if before else 1
        pause = REFUSED_PAUSES[refusals - 1] if refusals <= len(REFUSED_PAUSES) else math.inf
        self.parked[spool_id] = Parked(reason, refusals, now, now + pause)
        return before is None or before.reason != reason

    def sent(self, spool_id: int, now: float) -> None:
        """It is sent now."""
        self._sent_at[spool_id] = now

    def lost(self, spool_id: int) -> None:
        """It was sent, and Spoolman doesn't have it."""
        losses = self._losses[spool_id] = self._losses.get(spool_id, 0) + 1
        pause = LOST_PAUSES[min(losses, len(LOST_PAUSES)) - 1]
        self._lost_until[spool_id] = self._sent_at.get(spool_id, -math.inf) + pause

    def arrived(self, spool_id: int) -> None:
        """Spoolman has it, or the spool is no more."""
        self.parked.pop(spool_id, None)
        self._losses.pop(spool_id, None)
        self._sent_at.pop(spool_id, None)
        self._lost_until.pop(spool_id, None)

    def again_at(self, spool_id: int) -> float:
        """When usage of this spool may be sent; in the past for most."""
        parked = self.parked.get(spool_id)
        return max(self._lost_until.get(spool_id, -math.inf), -math.inf if parked is None else parked.again_at)

    def spool_changed(self, spool_id: int) -> None:
        """Somebody changed the spool: the reason of a refusal may be gone."""
        parked = self.parked.get(spool_id)
        if parked is not None:
            parked.again_at = min(parked.again_at, parked.refused_at + REFUSED_PAUSES[0])

    def spoolman_returned(self) -> None:
        """All reasons may be gone."""
        self._lost_until.clear()
        for parked in self.parked.values():
            parked.again_at = -math.inf

    def next_at(self, spool_ids: Iterable[int]) -> float:
        """When the first of those of these spools that had to wait may be sent; inf when none had to."""
        waiting = [spool_id for spool_id in spool_ids if spool_id in self.parked or spool_id in self._lost_until]
        return min((self.again_at(spool_id) for spool_id in waiting), default=math.inf)
