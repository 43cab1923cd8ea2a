"""Work that is done again and again at a fixed pace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio


def beat(period: float) -> float:
    """When Trio's clock will next show a whole multiple of `period`, in seconds.

    Whoever waits for that moment wakes together with the others: an idle processor pays most for waking up.
    """
    return (trio.current_time() // period + 1) * period


async def next_beat(period: float) -> None:
    """Sleep until the next beat."""
    await trio.sleep_until(beat(period))


async def periodic(period: float, work: Callable[[], Awaitable[object]]) -> NoReturn:
    """Do `work` on every beat. A round that was missed because the one before took long is not made up for."""
    while True:
        await next_beat(period)
        await work()
