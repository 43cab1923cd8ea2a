"""The batching timer: when which spool's pending millimetres are carried to Spoolman."""

from __future__ import annotations

import logging
import math

import trio

from trio_moon.features.spoolman.client import Away
from trio_moon.features.spoolman.courier import Books, Courier
from trio_moon.features.spoolman.evidence import Witness
from trio_moon.features.spoolman.ledger import LEAST_REPORT_MM, Ledger
from trio_moon.features.spoolman.retries import Parked
from trio_moon.model.errors import MoonError

logger = logging.getLogger(__name__)

RETRY_AWAY = 1.0
"""Seconds between attempts while Spoolman is away and something is pending."""
SLOW_ROUND = 1.0
"""A round that took longer was held up by somebody."""
LEAST_PAUSE = 0.05
WATCH_FOR = 900.0
"""Seconds for which a report that was taken back may still turn up in Spoolman."""


class Reporter:
    """Serves every spool that has something pending or open. One report at a time."""

    def __init__(self, ledger: Ledger, witness: Witness, journal: Books, courier: Courier, *, every: float) -> None:
        self._ledger = ledger
        self._witness = witness
        self._late = 0
        self._journal = journal
        self._courier = courier
        self._retries = courier.retries
        self._every = every
        self._wake = trio.Event()
        self._hold_until = 0.0
        self._away = ""
        self._troubled = False
        self._watched_since: dict[int, float] = {}
        """The reports that were taken back, and when they were first found to be (monotonic)."""

    @property
    def away_because(self) -> str:
        """Why the last attempt to talk to Spoolman failed; "" when it didn't."""
        return self._away

    @property
    def parked(self) -> dict[int, Parked]:
        """The spools of which Spoolman refuses usage."""
        return self._retries.parked

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()

    def note_return(self) -> None:
        """Spoolman is back: what it asked us to wait for is over, and what it refused it may take now."""
        self._retries.spoolman_returned()
        self._hold_until = 0.0
        self._wake.set()

    def note_change(self, spool_id: int) -> None:
        """The websocket told of a change of this spool."""
        self._courier.note_news()
        if spool_id in self.parked:
            self._retries.spool_changed(spool_id)
            self._wake.set()
        if self._late != self._witness.late:  # Spoolman has counted something twice
            self._late = self._witness.late
            self._wake.set()

    def forget(self, spool_id: int) -> None:
        """The spool is no more."""
        self._retries.arrived(spool_id)

    async def run(self) -> None:
        """Report every `every` seconds, sooner after a wake or when something failed."""
        began = trio.current_time()
        while True:
            with trio.move_on_after(self._pause(began)):
                await self._wake.wait()
            self._wake = trio.Event()
            began = trio.current_time()
            try:
                await self.report_all()
            except MoonError as error:  # the journal can't be written: nothing may be sent
                logger.debug("no report: %s", error)
                await trio.sleep(RETRY_AWAY)

    def _pause(self, began: float) -> float:
        """How long to wait after a round that began then; in trouble and just after it, not so long."""
        now = trio.current_time()
        if now < self._hold_until:
            return self._hold_until - now
        again_at = math.inf if self._away else self._retries.next_at(self._pending_spools())
        troubled = bool(self._away) or self._courier.doubted or now - began > SLOW_ROUND
        every = min(self._every, RETRY_AWAY) if troubled or self._troubled else self._every
        self._troubled = troubled
        return max(LEAST_PAUSE, min(began + every, again_at) - now)

    async def report_all(self) -> None:
        """One round over everything that is pending or open."""
        if trio.current_time() < self._hold_until:
            return
        self._forget_old()
        self._courier.doubted = False
        for spool_id in self._busy_spools():
            try:
                away = await self._courier.serve(spool_id)
            finally:
                await self._commit_shielded()
            self._note_away(away)
            if away is not None:
                return

    async def _commit_shielded(self) -> None:
        with trio.move_on_after(1, shield=True):  # what a power cut undoes of it is found out by reading back
            await self._journal.commit(self._ledger, durable=False)

    def _pending_spools(self) -> set[int]:
        return {spool_id for spool_id, mm in self._ledger.state.pending.items() if abs(mm) >= LEAST_REPORT_MM}

    def _busy_spools(self) -> list[int]:
        return sorted(self._pending_spools() | {intent.spool_id for intent in self._ledger.state.intents.values()})

    def _forget_old(self) -> None:
        """Whatever the clock says, which may be set at any moment: after a restart each is watched as long again."""
        now = trio.current_time()
        taken_back = [intent for intent in self._ledger.state.intents.values() if intent.settled_at is not None]
        self._watched_since = {intent.id: self._watched_since.get(intent.id, now) for intent in taken_back}
        for intent in taken_back:
            if now - self._watched_since[intent.id] > WATCH_FOR:
                self._ledger.forget(intent)

    def _note_away(self, away: Away | None) -> None:
        if away is not None and away.retry_after:
            self._hold_until = trio.current_time() + away.retry_after
        reason = "" if away is None else away.reason
        if reason and reason != self._away:
            logger.warning("usage waits: %s", reason)
        elif self._away and not reason:
            logger.info("usage is reported again")
        self._away = reason
