"""Work that is done again and again at a fixed pace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio


async def periodic(period: float, work: Callable[[], Awaitable[object]]) -> NoReturn:
    """Do `work` every `period` seconds, the first time after one period.

    A late round is not made up for: the next one keeps to the beat.
    """
    due = trio.current_time() + period
    while True:
        await trio.sleep_until(due)
        await work()
        now = trio.current_time()
        due += period
        if due <= now:
            due += period * ((now - due) // period + 1)
