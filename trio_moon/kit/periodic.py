"""Work that is done again and again at a fixed pace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio


async def next_beat(period: float) -> None:
    """Sleep until Trio's clock shows the next whole multiple of `period`, in seconds.

    So everybody with the same period wakes at the same moment: an idle processor pays most for waking up.
    """
    await trio.sleep_until((trio.current_time() // period + 1) * period)


async def periodic(period: float, work: Callable[[], Awaitable[object]]) -> NoReturn:
    """Do `work` on every beat. A round that was missed because the one before took long is not made up for."""
    while True:
        await next_beat(period)
        await work()
