"""Work that is done again and again at a fixed pace, all of it at the same moments.

An idle processor pays most for waking up: the caches are cold, and Trio looks at everything. So whoever waits for a
beat of the same period wakes together with the others, and if something else has woken the service shortly before,
the beat comes then. With Klipper's four status updates a second that saves a sixth of what an idle service costs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

_coming: trio.lowlevel.RunVar[dict[float, trio.Event]] = trio.lowlevel.RunVar("coming beats")
"""The beats that somebody waits for, by the moment from which they may come."""


def _beats() -> dict[float, trio.Event]:
    try:
        return _coming.get()
    except LookupError:
        _coming.set({})
        return _coming.get()


async def next_beat(period: float) -> None:
    """Sleep until Trio's clock shows the next whole multiple of `period`, or up to a quarter of it less.

    There is one beat for each multiple, however early it comes.
    """
    early = period / 4
    due = ((trio.current_time() + early) // period + 1) * period
    beats = _beats()
    come = beats.setdefault(due - early, trio.Event())
    try:
        with trio.move_on_at(due):
            await come.wait()
    finally:
        beats.pop(due - early, None)


def beat_early() -> None:
    """Said by who has woken the service for something else: what may happen now needn't wake it again."""
    now = trio.current_time()
    for earliest, come in _beats().items():
        if earliest <= now:
            come.set()


async def periodic(period: float, work: Callable[[], Awaitable[object]]) -> NoReturn:
    """Do `work` on every beat. A round that was missed because the one before took long is not made up for."""
    while True:
        await next_beat(period)
        await work()
