"""The spools that matter here, as Spoolman showed them last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Protocol

import trio

from trio_moon.features.spoolman.client import Away, Missing
from trio_moon.features.spoolman.spool import Spool

ASK_TWICE_AFTER = 0.5
"""Seconds until a spool that seems to be gone is asked for once more."""


class Reader(Protocol):
    """HTTP to Spoolman."""

    async def read_spool(self, spool_id: int) -> Spool | Missing | Away: ...


class Shelf(Mapping[int, Spool]):
    """Spools by number."""

    def __init__(
        self,
        client: Reader,
        *,
        on_put: Callable[[Spool], None],
        on_gone: Callable[[int, str], Awaitable[None]],
    ) -> None:
        """`on_put` hears of every spool that is put here; `on_gone` of one that Spoolman doesn't know (twice asked)."""
        self._client = client
        self._on_put = on_put
        self._on_gone = on_gone
        self._spools: dict[int, Spool] = {}
        self._to_look_at: set[int] = set()
        self._look = trio.Event()

    def __getitem__(self, spool_id: int) -> Spool:
        return self._spools[spool_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._spools)

    def __len__(self) -> int:
        return len(self._spools)

    def put(self, spool: Spool) -> None:
        """Spoolman shows a spool like this now."""
        self._spools[spool.id] = spool
        self._on_put(spool)

    def remove(self, spool_id: int) -> None:
        """The spool is gone."""
        self._spools.pop(spool_id, None)

    def look_at(self, *spool_ids: int) -> None:
        """Read these spools from Spoolman soon, and see whether they are still there."""
        if spool_ids:
            self._to_look_at.update(spool_ids)
            self._look.set()

    async def run(self) -> None:
        """Look at what is to be looked at, until cancelled."""
        while True:
            await self._look.wait()
            self._look, spool_ids, self._to_look_at = trio.Event(), self._to_look_at, set()
            for spool_id in spool_ids:
                found = await self._client.read_spool(spool_id)
                if isinstance(found, Missing):
                    await trio.sleep(ASK_TWICE_AFTER)
                    found = await self._client.read_spool(spool_id)
                if isinstance(found, Spool):
                    self.put(found)
                elif isinstance(found, Missing):
                    await self._on_gone(spool_id, found.reason)

    async def refresh(self, spool_ids: Sequence[int]) -> Away | None:
        """Read these spools now; Away as soon as Spoolman doesn't answer. Those that it doesn't know are removed."""
        for spool_id in spool_ids:
            found = await self._client.read_spool(spool_id)
            if isinstance(found, Away):
                return found
            if isinstance(found, Spool):
                self.put(found)
            else:
                self.remove(spool_id)
                self.look_at(spool_id)
        return None

    def price(self, spool_id: int) -> tuple[float | None, float | None]:
        """Grams and money for a millimetre of a spool."""
        spool = self.get(spool_id)
        return (None, None) if spool is None else (spool.grams_per_mm, spool.cost_per_mm)
