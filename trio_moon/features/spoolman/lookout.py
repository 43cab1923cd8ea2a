"""During a print: is a spool about to run out? Told once for each crossing, from what Spoolman and the ledger know."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from trio_moon.features.spoolman.ledger import Ledger, spool_for
from trio_moon.features.spoolman.plan import Need
from trio_moon.features.spoolman.settings import Amount
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.periodic import periodic
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
    ) -> None:
        """`pause` stops the print; None when that isn't wanted."""
        self._stock = stock
        self._limit = limit
        self._pause = pause
        self._say = say
        self._needs: tuple[Need, ...] = ()
        self._filename = ""
        self._short: set[int] = set()

    def expect(self, filename: str, needs: tuple[Need, ...]) -> None:
        """A print of this file has begun; with no needs: it is over."""
        self._filename, self._needs = filename, needs
        self._short.clear()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        await periodic(LOOK_EVERY, self.look)

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
        if left > least * REARM and spool_id in told:
            self._stock.ledger.note_low(spool_id, low=False)
        elif left <= least and spool_id not in told:
            self._stock.ledger.note_low(spool_id, low=True)
            self._tell("filament_low", f"{spool.label} is low: {_amount(left, spool)} left", spool_id)
            if self._pause is not None and self._needs_printing():
                try:
                    await self._pause()
                except MoonError as error:
                    logger.warning("the print can't be paused: %s", error)

    def _needs_printing(self) -> bool:
        return self._stock.ledger.state.job is not None

    def _look_ahead(self) -> None:
        """Does what the file still needs exceed what its spools have?"""
        state = self._stock.ledger.state
        for need in self._needs:
            spool_id = spool_for(state.tools, need.tool)
            left = None if spool_id is None else self.remaining_mm(spool_id)
            if spool_id is None or left is None or need.mm is None or spool_id in self._short:
                continue
            missing = need.mm - state.job_tools.get(need.tool, 0.0) - left
            if missing > 0:
                self._short.add(spool_id)
                spool = self._stock.shelf[spool_id]
                words = f"{spool.label} runs out before {self._filename} ends: {_amount(missing, spool)} are missing"
                self._tell("filament_runs_out", words, spool_id, need.tool)

    def remaining_mm(self, spool_id: int) -> float | None:
        """What is left now: what Spoolman showed last, minus what it wasn't told yet. None while that is unsure."""
        spool = self._stock.shelf.get(spool_id)
        if spool is None or spool.remaining_mm is None or self._stock.ledger.open_intent(spool_id) is not None:
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
