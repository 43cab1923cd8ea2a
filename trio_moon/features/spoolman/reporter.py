"""Carries pending millimetres to Spoolman, exactly once whatever happens on the way.

For each spool: read what Spoolman shows, write the intent down, send it, settle it. An outcome that isn't known is
read back; a report that isn't there is taken back and watched, because a hanging server may still count it later.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from trio_moon.features.spoolman.client import Applied, Away, Missing, Refused, Unknown
from trio_moon.features.spoolman.evidence import Verdict, Witness, signed
from trio_moon.features.spoolman.ledger import Intent, Ledger
from trio_moon.features.spoolman.spool import Spool
from trio_moon.model.errors import MoonError

logger = logging.getLogger(__name__)

LEAST_REPORT_MM = 1e-6
PATIENCE = 4.0
"""Seconds after which a report without an answer is doubted, and Spoolman's books are looked at."""
ASK_AGAIN_EVERY = 2.0
"""A reading that hangs is asked for again beside it: a server that comes back doesn't answer old questions."""
MOST_READINGS = 4
RETRY_AWAY = 2.0
"""Seconds between attempts while Spoolman is away and something is pending."""
SECOND_LOOK_AFTER = 0.5
NEWS_TIMEOUT = 2.0
"""Seconds in which the websocket should have told all of what a reading shows."""
WATCH_FOR = 900.0
"""Seconds for which a report that was taken back may still turn up in Spoolman."""
PARKED_RETRIES = (15.0, 60.0, 600.0)
"""Pauses before a refused amount is offered again; then only when Spoolman or we have restarted, or the user asks."""

Reading = Spool | Missing | Away


class Client(Protocol):
    """HTTP to Spoolman."""

    async def read_spool(self, spool_id: int) -> Reading: ...

    async def use(self, spool_id: int, used_mm: float) -> Applied | Refused | Unknown: ...


class Books(Protocol):
    """The journal."""

    async def commit(self, ledger: Ledger) -> None: ...


@dataclass
class Parked:
    """Spoolman refuses usage of this spool: why, and when it is offered again (monotonic; None: when asked)."""

    reason: str
    refusals: int
    again_at: float | None


class Reporter:
    """The batching timer and what it drives. One report at a time."""

    def __init__(
        self,
        ledger: Ledger,
        witness: Witness,
        journal: Books,
        client: Client,
        *,
        every: float,
        on_spool: Callable[[Spool], object],
        on_gone: Callable[[int, str], Awaitable[object]],
    ) -> None:
        self._ledger = ledger
        self._witness = witness
        self._journal = journal
        self._client = client
        self._every = every
        self._on_spool = on_spool
        self._on_gone = on_gone
        self._wake = trio.Event()
        self._settled = trio.Event()
        self._hold_until = 0.0
        self._away = ""
        self.parked: dict[int, Parked] = {}

    @property
    def away_because(self) -> str:
        """Why the last attempt to talk to Spoolman failed; "" when it didn't."""
        return self._away

    def wake(self, *, unpark: bool = False) -> None:
        """Look at once: Spoolman is back, or a spool was changed."""
        if unpark:
            for parked in self.parked.values():
                parked.again_at = 0.0
        self._wake.set()

    def note_evidence(self) -> None:
        """The websocket told something: a report that waits for its answer may be settled by it."""
        self._settled.set()

    async def run(self) -> None:
        """Report every `every` seconds, sooner after a wake."""
        while True:
            with trio.move_on_after(min(self._every, RETRY_AWAY) if self._away else self._every):
                await self._wake.wait()
            self._wake = trio.Event()
            try:
                await self.report_all()
            except MoonError as error:  # the journal can't be written: nothing may be sent
                logger.debug("no report: %s", error)

    async def report_all(self) -> None:
        """One round over everything that is pending, open or watched for."""
        await self._journal.commit(self._ledger)
        if trio.current_time() < self._hold_until:
            return
        self._forget_old()
        for spool_id in self._busy_spools():
            try:
                away = await self._serve(spool_id)
            finally:
                await self._commit_shielded()
            self._note_away(away)
            if away is not None:
                return

    async def _commit_shielded(self) -> None:
        with trio.move_on_after(1, shield=True):
            await self._journal.commit(self._ledger)

    def _busy_spools(self) -> list[int]:
        state = self._ledger.state
        pending = {spool_id for spool_id, mm in state.pending.items() if abs(mm) >= LEAST_REPORT_MM}
        return sorted(pending | {intent.spool_id for intent in state.intents.values()})

    def _forget_old(self) -> None:
        now = time.time()
        for intent in tuple(self._ledger.state.intents.values()):
            if intent.settled_at is not None and not 0 <= now - intent.settled_at <= WATCH_FOR:
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

    async def _serve(self, spool_id: int) -> Away | None:
        """Everything for one spool; Away when Spoolman is no use now."""
        reading = await self._read(spool_id)
        if isinstance(reading, Missing):
            return await self._bury(spool_id, reading)
        if isinstance(reading, Away):
            return reading
        self._take(reading)
        intent = self._ledger.open_intent(spool_id)
        if intent is not None:
            away = await self._settle(intent)
            if away is not None:
                return away
        parked = self.parked.get(spool_id)
        if parked is not None and (parked.again_at is None or trio.current_time() < parked.again_at):
            return None
        pending = self._ledger.state.pending.get(spool_id, 0.0)
        if abs(pending) < LEAST_REPORT_MM or self._ledger.open_intent(spool_id) is not None:
            return None
        current = await self._read(spool_id) if intent is not None else reading
        if isinstance(current, Spool):
            self._take(current)
            return await self._report(current)
        return current if isinstance(current, Away) else None

    def _take(self, spool: Spool) -> None:
        self._witness.read(spool.id, spool.used_mm, time.time())
        self._on_spool(spool)

    async def _report(self, spool: Spool) -> Away | None:
        pending = self._ledger.state.pending.get(spool.id, 0.0)
        if abs(pending) < LEAST_REPORT_MM:  # the reading has just explained it
            return None
        amount = signed(pending, random.random())
        intent = self._ledger.begin(spool.id, amount, spool.used_mm, time.time())
        self._witness.begin(intent)
        try:
            await self._journal.commit(self._ledger)
        except MoonError as error:
            self._ledger.refused(intent, time.time(), error.message)
            raise
        outcome = await self._send(intent)
        match outcome:
            case Applied(shown):
                self._witness.answered(intent, shown.used_mm, time.time())
                self._on_spool(shown)
                self.parked.pop(spool.id, None)
                return None
            case Refused(reason, status, retry_after):
                self._ledger.refused(intent, time.time(), reason)
                if status is None:
                    return Away(reason, retry_after)
                return await self._handle_refusal(spool.id, status, reason)
            case Unknown(reason, retry_after, status):
                if intent.id in self._ledger.state.intents:
                    logger.warning("a report's outcome is unknown: %s", reason)
                if retry_after:
                    return Away(reason, retry_after)
                away = await self._settle(intent)
                if away is not None or status is None or intent.id not in self._ledger.state.intents:
                    return away
                return await self._handle_refusal(spool.id, status, reason)

    async def _send(self, intent: Intent) -> Applied | Refused | Unknown:
        """The report's outcome. One that is long in coming is doubted, and ends once Spoolman's books can be read."""
        outcome: Applied | Refused | Unknown = Unknown("given up")
        self._settled = trio.Event()

        async def send() -> None:
            nonlocal outcome
            outcome = await self._client.use(intent.spool_id, intent.used_mm)
            nursery.cancel_scope.cancel()

        async def doubt() -> None:
            nonlocal outcome
            with trio.move_on_after(PATIENCE):
                while intent.id in self._ledger.state.intents:
                    await self._settled.wait()
                    self._settled = trio.Event()
                await trio.sleep(SECOND_LOOK_AFTER)  # the answer may be on its way
            if isinstance(await self._read(intent.spool_id), Spool):
                outcome = Unknown(f"no answer within {PATIENCE:g} s")
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(doubt)
        return outcome

    async def _settle(self, intent: Intent) -> Away | None:
        """Find out what became of an open report. Away (and still open) when Spoolman can't be read."""
        deadline = trio.current_time() + NEWS_TIMEOUT
        looked = False
        while True:
            reading = await self._read(intent.spool_id)
            if isinstance(reading, Missing):
                return await self._bury(intent.spool_id, reading)
            if isinstance(reading, Away):
                return reading
            self._take(reading)
            verdict = self._witness.verdict(intent)
            if verdict is Verdict.WAIT and trio.current_time() > deadline:
                verdict = self._witness.guess(intent)
            if verdict is Verdict.APPLIED:
                if intent.id in self._ledger.state.intents:
                    self._ledger.applied(intent, time.time(), "read back")
                return None
            if verdict is Verdict.ABSENT and looked:
                self._ledger.taken_back(intent, time.time(), "read back: not there")
                return None
            looked = looked or verdict is Verdict.ABSENT
            await trio.sleep(SECOND_LOOK_AFTER)

    async def _handle_refusal(self, spool_id: int, status: int, reason: str) -> Away | None:
        if status == 404:
            reading = await self._read(spool_id)
            if isinstance(reading, Missing):
                return await self._bury(spool_id, reading)
            return reading if isinstance(reading, Away) else Away(f"{reason}, though the spool is there")
        if status < 400 or status == 429:
            return Away(reason)
        refusals = self.parked[spool_id].refusals + 1 if spool_id in self.parked else 1
        pause = PARKED_RETRIES[refusals - 1] if refusals <= len(PARKED_RETRIES) else None
        again_at = None if pause is None else trio.current_time() + pause
        self.parked[spool_id] = Parked(reason, refusals, again_at)
        logger.warning("Spoolman refuses usage of spool %d, which is kept: %s", spool_id, reason)
        return None

    async def _bury(self, spool_id: int, missing: Missing) -> Away | None:
        """The spool seems to be gone: ask once more before anything is dropped."""
        await trio.sleep(SECOND_LOOK_AFTER)
        reading = await self._read(spool_id)
        if isinstance(reading, Missing):
            await self._on_gone(spool_id, missing.reason)
            return None
        return reading if isinstance(reading, Away) else None

    async def _read(self, spool_id: int) -> Reading:
        """What Spoolman shows. A question that hangs is asked again beside it; the first answer counts."""
        send, receive = trio.open_memory_channel[Reading](MOST_READINGS)
        answer: Reading | None = None

        async def ask() -> None:
            send.send_nowait(await self._client.read_spool(spool_id))

        async with trio.open_nursery() as nursery:
            for _ in range(MOST_READINGS):
                nursery.start_soon(ask)
                with trio.move_on_after(ASK_AGAIN_EVERY):
                    answer = await receive.receive()
                    break
            if answer is None:
                answer = await receive.receive()
            nursery.cancel_scope.cancel()
        return answer
