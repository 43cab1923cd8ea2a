"""Carries one spool's pending millimetres to Spoolman, exactly once whatever happens on the way.

Read what Spoolman shows, write the intent down, send it, settle it. An outcome that isn't known is read back; a
report that isn't there is taken back and watched, because a hanging server may still count it later.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from trio_moon.features.spoolman.client import Applied, Away, Missing, Refused, Unknown
from trio_moon.features.spoolman.evidence import Verdict, Witness, signed
from trio_moon.features.spoolman.ledger import LEAST_REPORT_MM, Intent, Ledger
from trio_moon.features.spoolman.retries import Retries
from trio_moon.features.spoolman.spool import Spool
from trio_moon.model.errors import MoonError

logger = logging.getLogger(__name__)

PATIENCES = (1.2, 3.0, 6.0)
"""Seconds after which a report without an answer is doubted, and Spoolman's books are looked at beside it.

The longer ones are for a Spoolman that was seen to count reports later than that, once and more often.
"""
ASK_AGAIN_EVERY = 1.5
SECOND_LOOK_AFTER = 0.5
NEWS_TIMEOUT = 2.0
"""Seconds in which the websocket should have told all of what a reading shows."""

Reading = Spool | Missing | Away
Outcome = Applied | Refused | Unknown
Finding = Verdict | Missing | Away


class Client(Protocol):
    """HTTP to Spoolman."""

    async def read_spool(self, spool_id: int) -> Reading: ...

    async def use(self, spool_id: int, used_mm: float) -> Outcome: ...


class Books(Protocol):
    """The journal."""

    async def commit(self, ledger: Ledger, *, durable: bool = True) -> None: ...


class Courier:
    """Serves one spool at a time."""

    def __init__(
        self,
        ledger: Ledger,
        witness: Witness,
        journal: Books,
        client: Client,
        *,
        on_spool: Callable[[Spool], object],
        on_gone: Callable[[int, str], Awaitable[object]],
    ) -> None:
        self._ledger = ledger
        self._witness = witness
        self._journal = journal
        self._client = client
        self._on_spool = on_spool
        self._on_gone = on_gone
        self._news = trio.Event()
        self.retries = Retries()
        self.doubted = False
        """Whether a report wasn't answered as it should be. Whoever looks sets it back."""

    def note_news(self) -> None:
        """The websocket told something: a report that waits for its answer may be settled by it."""
        self._news.set()

    async def serve(self, spool_id: int) -> Away | None:
        """Everything for one spool; Away when Spoolman is no use now."""
        reading = await self._read(spool_id)
        if isinstance(reading, Missing):
            return await self._bury(spool_id, reading)
        if isinstance(reading, Away):
            return reading
        self._take(reading)
        intent = self._ledger.open_intent(spool_id)
        if intent is not None:
            away = await self._conclude(intent, await self._look(intent))
            if away is not None:
                return away
        if not self._has_report(spool_id) or trio.current_time() < self.retries.again_at(spool_id):
            return None
        current = await self._read(spool_id) if intent is not None else reading
        if isinstance(current, Spool):
            self._take(current)
            return await self._report(current)
        return current if isinstance(current, Away) else None

    def _has_report(self, spool_id: int) -> bool:
        pending = self._ledger.state.pending.get(spool_id, 0.0)
        return abs(pending) >= LEAST_REPORT_MM and self._ledger.open_intent(spool_id) is None

    def _is_open(self, intent: Intent) -> bool:
        return self._ledger.open_intent(intent.spool_id) is intent

    def _take(self, spool: Spool) -> None:
        self._witness.read(spool.id, spool.used_mm, time.time())
        self._on_spool(spool)

    async def _report(self, spool: Spool) -> Away | None:
        if not self._has_report(spool.id):  # the reading has just explained it
            return None
        others = [intent.used_mm for intent in self._ledger.watched(spool.id)]
        amount = signed(self._ledger.state.pending[spool.id], random.random(), others)
        intent = self._ledger.begin(spool.id, amount, spool.used_mm, time.time())
        self._witness.begin(intent)
        try:
            await self._journal.commit(self._ledger)
        except MoonError as error:
            self._ledger.refused(intent, time.time(), error.message)
            raise
        self.retries.sent(spool.id, trio.current_time())
        outcome, finding = await self._send(intent)
        self.doubted = self.doubted or not isinstance(outcome, Applied)
        match outcome:
            case Applied(shown):
                self._witness.answered(intent, shown.used_mm, time.time())
                self._on_spool(shown)
                self.retries.arrived(spool.id)
                return None
            case Refused(reason, status, retry_after):
                if self._is_open(intent):
                    self._ledger.refused(intent, time.time(), reason)
                if status is None:
                    return Away(reason, retry_after)
                return await self._handle_refusal(spool.id, status, reason)
            case Unknown(reason, retry_after, status):
                if self._is_open(intent):
                    logger.warning("a report's outcome is unknown: %s", reason)
                if retry_after:
                    return Away(reason, retry_after)
                away = await self._conclude(intent, finding or await self._look(intent))
                if away is not None or status is None or intent.id not in self._ledger.state.intents:
                    return away
                return await self._handle_refusal(spool.id, status, reason)

    async def _send(self, intent: Intent) -> tuple[Outcome, Finding | None]:
        """The report's outcome; when Spoolman's books were faster than its answer, what they showed instead."""
        outcome: Outcome | None = None
        finding: Finding | None = None
        patience = PATIENCES[min(self._witness.late, len(PATIENCES) - 1)]

        async def send() -> None:
            nonlocal outcome
            outcome = await self._client.use(intent.spool_id, intent.used_mm)
            nursery.cancel_scope.cancel()

        async def doubt() -> None:
            nonlocal finding
            with trio.move_on_after(patience):
                while self._is_open(intent):
                    self._news = trio.Event()
                    await self._news.wait()
                await trio.sleep(SECOND_LOOK_AFTER)  # the answer may be on its way
            finding = await self._look(intent)
            while isinstance(finding, Away):
                await trio.sleep(max(SECOND_LOOK_AFTER, finding.retry_after or 0.0))
                finding = await self._look(intent)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(doubt)
        return outcome or Unknown(f"no answer within {patience:g} s"), finding

    async def _look(self, intent: Intent) -> Finding:
        """Find out in Spoolman's books what became of an open report. Absent is what was absent twice."""
        deadline = trio.current_time() + NEWS_TIMEOUT
        looked = False
        while True:
            if not self._is_open(intent):
                return Verdict.APPLIED
            reading = await self._read(intent.spool_id)
            if isinstance(reading, Missing | Away):
                return reading
            self._take(reading)
            verdict = self._witness.verdict(intent)
            if verdict is Verdict.WAIT and trio.current_time() > deadline:
                verdict = self._witness.guess(intent)
            if verdict is Verdict.APPLIED or (verdict is Verdict.ABSENT and looked):
                return verdict
            looked = looked or verdict is Verdict.ABSENT
            await trio.sleep(SECOND_LOOK_AFTER)

    async def _conclude(self, intent: Intent, finding: Finding) -> Away | None:
        """Settle a report by what was found. Away (and the report still open) when nothing could be."""
        match finding:
            case Missing():
                return await self._bury(intent.spool_id, finding)
            case Away():
                return finding
            case Verdict.APPLIED:
                if self._is_open(intent):
                    self._ledger.applied(intent, time.time(), "read back")
                self.retries.arrived(intent.spool_id)
            case _ if self._is_open(intent):
                self._ledger.taken_back(intent, time.time(), "read back: not there")
                self.retries.lost(intent.spool_id)
        return None

    async def _handle_refusal(self, spool_id: int, status: int, reason: str) -> Away | None:
        if status == 404:
            reading = await self._read(spool_id)
            if isinstance(reading, Missing):
                return await self._bury(spool_id, reading)
            self.retries.lost(spool_id)
            return reading if isinstance(reading, Away) else Away(f"{reason}, though the spool is there")
        if status < 400 or status == 429:
            return Away(reason)
        if self.retries.refused(spool_id, reason, trio.current_time()):
            logger.warning("Spoolman refuses usage of spool %d, which is kept: %s", spool_id, reason)
        return None

    async def _bury(self, spool_id: int, missing: Missing) -> Away | None:
        """The spool seems to be gone: ask once more before anything is dropped."""
        await trio.sleep(SECOND_LOOK_AFTER)
        reading = await self._read(spool_id)
        if isinstance(reading, Missing):
            await self._on_gone(spool_id, missing.reason)
            self.retries.arrived(spool_id)
            return None
        return reading if isinstance(reading, Away) else None

    async def _read(self, spool_id: int) -> Reading:
        """What Spoolman shows. The first question waits for a slow answer; beside it new ones are asked.

        A server that comes back after it has hung doesn't answer old questions.
        """
        answers: list[Reading] = []

        async def ask() -> None:
            answers.append(await self._client.read_spool(spool_id))
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(ASK_AGAIN_EVERY)
            while not answers:
                with trio.move_on_after(ASK_AGAIN_EVERY):
                    await ask()
        return answers[0]
