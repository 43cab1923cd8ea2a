"""Has Spoolman got it? What a spool's `used_length` tells of reports whose answer was lost. Pure.

Spoolman has no idempotency key, but it shows how much was used, and its websocket shows every change one by one.
Each report is made recognisable by leaving up to half a millionth of a millimetre to the next one: a change by
exactly one of our amounts is ours, whoever else writes on the spool.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from itertools import combinations

from trio_moon.features.spoolman.ledger import Intent, Ledger

SIGNATURE_MM = 5e-7
"""The most that a report leaves behind to be recognisable."""
SIGNATURES = 16
"""How many are compared, to find one that is unlike those of reports that may still turn up."""
SAME_MM = 1e-4
"""Lengths closer than this are the same, as long as we don't know Spoolman's arithmetic to be better."""
EXACT_MM = 3e-9
EXACT = 2e-14
"""Absolute and relative error of Spoolman's arithmetic: it counts grams in double precision."""
MOST_CLAIMS = 8


class Verdict(enum.Enum):
    """What is known of an open report."""

    APPLIED = "applied"
    ABSENT = "absent"
    WAIT = "wait"
    """Others write on the spool, and the websocket hasn't yet told all of the changes."""


def signed(pending_mm: float, random: float, others: Sequence[float] = ()) -> float:
    """The amount to report, made recognisable by a random number in [0, 1), and far from those `others` of ours."""
    if abs(pending_mm) <= 10 * SIGNATURE_MM:
        return pending_mm
    fractions = ((random + part / SIGNATURES) % 1.0 for part in range(SIGNATURES))
    amounts = [pending_mm - math.copysign(SIGNATURE_MM * fraction, pending_mm) for fraction in fractions]
    return max(amounts, key=lambda amount: min((abs(amount - other) for other in others), default=0.0))


def explain(change_mm: float, claims: Sequence[float], tolerance_mm: float) -> tuple[int, ...] | None:
    """Which of our amounts make up a change, as indices; None when no combination does.

    One alone is looked for among all of them, several together among the first.
    """
    for count in range(1, min(len(claims), MOST_CLAIMS) + 1):
        for chosen in combinations(range(len(claims) if count == 1 else min(len(claims), MOST_CLAIMS)), count):
            if abs(change_mm - math.fsum(claims[index] for index in chosen)) <= tolerance_mm:
                return chosen
    return None


class Witness:
    """Follows the used length of each spool and settles our reports by it.

    Readings show sums of changes; the websocket's news show each change, as long as the connection lasts.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._told: dict[int, float] = {}
        self._connected = False
        self._told_since_begin: set[int] = set()
        """Spools whose open report began under the websocket's eyes."""
        self.late = 0
        """How many reports turned up after they had been taken back."""

    @property
    def _seen(self) -> dict[int, float]:
        return self._ledger.state.seen

    # --- the websocket

    def news_begin(self) -> None:
        """From now on every change is told."""
        self._connected = True

    def news_end(self) -> None:
        """Changes may be missed from now on."""
        self._connected = False
        self._told.clear()
        self._told_since_begin.clear()

    def told(self, spool_id: int, used_mm: float, at: float) -> None:
        """The websocket tells of one change."""
        seen = self._seen.get(spool_id)
        before = self._told.get(spool_id, seen)  # the first news may sum up what happened before we listened
        most = 1 if spool_id in self._told else MOST_CLAIMS
        self._told[spool_id] = used_mm
        if before is None or abs(used_mm - before) <= _noise(used_mm):
            return
        explained = self._match(spool_id, used_mm - before, used_mm, at, "the websocket told of it", most)
        if seen is not None and abs(seen - before) <= _noise(used_mm):
            self._ledger.note_seen(spool_id, used_mm)  # it is the next change after what was read last
            self._note_unexplained(spool_id, used_mm - before - explained)
        elif seen is not None and explained:
            self._ledger.note_seen(spool_id, seen + explained)  # the next reading need not explain it again

    # --- readings

    def begin(self, intent: Intent) -> None:
        """A report begins; Spoolman has just shown `intent.before_mm`."""
        self._ledger.note_seen(intent.spool_id, intent.before_mm)
        self._ledger.state.unexplained.pop(intent.spool_id, None)
        if self._connected:
            self._told.setdefault(intent.spool_id, intent.before_mm)
            self._told_since_begin.add(intent.spool_id)

    def read(self, spool_id: int, used_mm: float, at: float) -> None:
        """Spoolman shows this now."""
        intent = self._ledger.open_intent(spool_id)
        before = self._seen.get(spool_id, intent.before_mm if intent else used_mm)
        self._ledger.note_seen(spool_id, used_mm)
        if self._connected:
            self._told.setdefault(spool_id, used_mm)
        if abs(used_mm - before) > _noise(used_mm):
            explained = self._match(spool_id, used_mm - before, used_mm, at, "read back")
            self._note_unexplained(spool_id, used_mm - before - explained)

    def _note_unexplained(self, spool_id: int, mm: float) -> None:
        if self._ledger.open_intent(spool_id) is not None:
            known = self._ledger.state.unexplained
            known[spool_id] = known.get(spool_id, 0.0) + mm

    def answered(self, intent: Intent, used_mm: float, at: float) -> None:
        """Spoolman answered our report, and shows this now."""
        if intent.id in self._ledger.state.intents:
            self._ledger.applied(intent, at)
        expected = intent.before_mm + intent.used_mm
        error = abs(used_mm - expected)
        if error <= SAME_MM:
            self._ledger.state.exact = error <= _noise(used_mm)
        self._ledger.note_seen(intent.spool_id, expected)
        self.read(intent.spool_id, used_mm, at)

    def verdict(self, intent: Intent) -> Verdict:
        """What the last reading says of an open report; it may have been settled by exact evidence before."""
        if intent.id not in self._ledger.state.intents:
            return Verdict.APPLIED
        used_mm = self._seen[intent.spool_id]
        change = self._ledger.state.unexplained.get(intent.spool_id, 0.0)
        if abs(change) <= min(SAME_MM, abs(intent.used_mm) / 2):
            return Verdict.ABSENT
        if self._ledger.state.exact and intent.spool_id in self._told_since_begin:
            caught_up = abs(self._told.get(intent.spool_id, intent.before_mm) - used_mm) <= _noise(used_mm)
            return Verdict.ABSENT if caught_up else Verdict.WAIT
        return self.guess(intent)

    def guess(self, intent: Intent) -> Verdict:
        """The likelier of the two, when others write on the spool and we couldn't see each change."""
        used_mm = self._seen[intent.spool_id]
        change = self._ledger.state.unexplained.get(intent.spool_id, 0.0)
        error = abs(change - intent.used_mm)
        if self._ledger.state.exact and _noise(used_mm) < error < SIGNATURE_MM:
            return Verdict.ABSENT  # as long as ours, but not ours: another writer's
        return Verdict.APPLIED if error < abs(change) else Verdict.ABSENT

    def _match(
        self, spool_id: int, change_mm: float, used_mm: float, at: float, how: str, most: int = MOST_CLAIMS
    ) -> float:
        """Settle what a change explains; returns how much that is."""
        watched = sorted(self._ledger.watched(spool_id), key=lambda intent: (intent.outcome != "open", -intent.id))
        amounts = [intent.used_mm for intent in watched]
        chosen = explain(change_mm, amounts, _noise(used_mm))
        if chosen is not None:
            self._ledger.state.exact = True
        elif not self._ledger.state.exact:
            chosen = explain(change_mm, amounts, min(SAME_MM, *(abs(mm) / 2 for mm in amounts))) if amounts else None
        if chosen is None or len(chosen) > most:
            return 0.0
        for index in chosen:
            self.late += watched[index].outcome == "not_applied"
            self._ledger.applied(watched[index], at, how)
        return math.fsum(amounts[index] for index in chosen)


def _noise(used_mm: float) -> float:
    return EXACT_MM + EXACT * abs(used_mm)
