"""Macros choose spools: Klipper calls a remote method, in the midst of its moves."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from trio_moon.features.spoolman.arguments import MAX_TOOL, parse_macro_spool, parse_number
from trio_moon.features.spoolman.ledger import Moment
from trio_moon.model.errors import MoonError

logger = logging.getLogger(__name__)

REMOTE_METHOD = "spoolman_set_active_spool"
MAX_ORDERS = 256


class Meter(Protocol):
    """Who knows where the printer stands."""

    def begin_call(self) -> Moment | None: ...

    def end_call(self) -> None: ...


class Orders:
    """A bounded queue between Klipper's reader, which can't wait, and the choice of a spool, which must."""

    def __init__(
        self,
        choose: Callable[[int, int | None, Moment | None], Awaitable[None]],
        meter: Meter,
        say: Callable[[str], None],
    ) -> None:
        """`choose` is given a tool, its spool, and the moment of the call, as far as the printer has told of it.

        What is wrong with an order is said on the console by `say`.
        """
        self._choose = choose
        self._meter = meter
        self._say = say
        self._send, self._receive = trio.open_memory_channel[tuple[dict[str, object], Moment | None]](MAX_ORDERS)

    @property
    def waiting(self) -> int:
        """Orders that were called and not yet obeyed."""
        return self._send.statistics().current_buffer_used

    def take(self, params: dict[str, object]) -> None:
        """Klipper calls the remote method: before the macro's own moves, which a question now would find commanded."""
        try:
            self._send.send_nowait((params, self._meter.begin_call()))
        except trio.WouldBlock:
            self._meter.end_call()
            logger.error("%s was called too often: a call was dropped", REMOTE_METHOD)

    async def run(self) -> None:
        """Obey, one after the other."""
        async for params, moment in self._receive:
            try:
                tool = parse_number(params.get("tool", 0), "tool", 0, MAX_TOOL)
                await self._choose(tool, parse_macro_spool(params.get("spool_id")), moment)
            except MoonError as error:
                logger.warning("%s: %s", REMOTE_METHOD, error)
                self._say(f"!! {REMOTE_METHOD}: {error}")
            finally:
                self._meter.end_call()
