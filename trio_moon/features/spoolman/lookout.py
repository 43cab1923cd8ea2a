"""During a print: is a spool about to run out? Told once for each crossing, from what Spoolman and the ledger know."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from trio_moon.features.spoolman.ledger import Ledger, spool_for
from trio_moon.features.spoolman.plan import Need, needed_mm
from trio_moon.features.spoolman.settings import Amount
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.periodic import next_beat
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import MoonError
from trio_moon.model.events import SpoolmanAlert

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
REARM = 1.05
"""A spool must have that much more than the limit before it can be low again."""


class Stock(Protocol):
    """The room's state, as far as the lookout needs it."""

    @property
    def ledger(self) -> Ledger: ...

    @property
    def shelf(self) -> Mapping[int, Spool]: ...

    @property
    def alerts(self) -> Topic[SpoolmanAlert]: ...

    @property
    def active_spool(self) -> int | None: ...


class Lookout:
    """Watches the spools in use."""

    def __init__(
        self,
        stock: Stock,
        limit: Amount | None,
        pause: Callable[[], Awaitable[object]] | None,
        say: Callable[[str], None],
        is_printing: Callable[[], bool],
    ) -> None:
        """`pause` stops the print; None when that isn't wanted. It isn't called unless `is_printing`."""
        self._stock = stock
        self._limit = limit
        self._pause = pause
        self._say = say
        self._is_printing = is_printing
        self._needs: tuple[Need, ...] = ()
        self._filename = ""
        self._short: set[int] = set()

    def expect(self, filename: str, needs: tuple[Need, ...]) -> None:
        """A print of this file has begun; with no needs: it is over."""
        self._filename, self._needs = filename, needs
        self._short.clear()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await next_beat(LOOK_EVERY, lambda: self._limit is not None or bool(self._needs))
            await self.look()

    async def look(self) -> None:
        """Tell what has changed for the worse."""
        spool_id = self._stock.active_spool
        if spool_id is not None and self._limit is not None:
            await self._look_at_limit(spool_id, self._limit)
        self._look_ahead()

    async def _look_at_limit(self, spool_id: int, limit: Amount) -> None:
        spool, left = self._stock.shelf.get(spool_id), self.remaining_mm(spool_id)
        least = None if spool is None else _as_mm(limit, spool)
        if spool is None or left is None or least is None:
            return
        told = self._stock.ledger.state.told_low
        if left > least * REARM and spool_id in told and self._stock.ledger.open_intent(spool_id) is None:
            self._stock.ledger.note_low(spool_id, low=False)
        elif left <= least and spool_id not in told:
            self._stock.ledger.note_low(spool_id, low=True)
            self._tell("filament_low", f"{spool.label} is low: {_amount(left, spool)} left", spool_id)
            if self._pause is not None and self._is_printing():
                try:
                    await self._pause()
                except MoonError as error:
                    logger.warning("the print can't be paused: %s", error)

    def _look_ahead(self) -> None:
        """Does what the file still needs exceed what its spools have? Tools may share a spool."""
        tools = self._stock.ledger.state.tools
        for spool_id in {spool_for(tools, need.tool) for need in self._needs}:
            spool = None if spool_id is None else self._stock.shelf.get(spool_id)
            if spool is None or spool.id in self._short:
                continue
            needs = [need for need in self._needs if spool_for(tools, need.tool) == spool.id]
            missing = self._missing_mm(spool, needs)
            if missing is not None and missing > 0:
                self._short.add(spool.id)
                words = f"{spool.label} runs out before {self._filename} ends: {_amount(missing, spool)} are missing"
                self._tell("filament_runs_out", words, spool.id, needs[0].tool)

    def _missing_mm(self, spool: Spool, needs: Sequence[Need]) -> float | None:
        state = self._stock.ledger.state
        needed, left = [needed_mm(need, spool) for need in needs], self.remaining_mm(spool.id)
        if left is None or None in needed:
            return None
        done = [mm for tool, mm in state.job_tools.items() if spool_for(state.tools, tool) == spool.id]
        return math.fsum(mm for mm in needed if mm is not None) - math.fsum(done) - left

    def remaining_mm(self, spool_id: int) -> float | None:
        """What is left at most: what Spoolman showed last, minus what it surely wasn't told yet."""
        spool = self._stock.shelf.get(spool_id)
        if spool is None or spool.remaining_mm is None:
            return None
        return spool.remaining_mm - self._stock.ledger.unreported(spool_id)

    def _tell(self, name: str, message: str, spool_id: int, tool: int | None = None) -> None:
        logger.warning("%s", message)
        self._say(f"// {message}")
        self._stock.alerts.publish(SpoolmanAlert(name, message, spool_id, tool, self._filename))


def _as_mm(amount: Amount, spool: Spool) -> float | None:
    if amount.mm is not None:
        return amount.mm
    return amount.grams / spool.grams_per_mm if amount.grams is not None and spool.grams_per_mm else None


def _amount(mm: float, spool: Spool) -> str:
    grams = f" ({mm * spool.grams_per_mm:.0f} g)" if spool.grams_per_mm else ""
    return f"{mm / 1000:.2f} m{grams}"
