"""Blocking libraries run in worker threads, each behind its own small limiter."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Workers:
    """At most `threads` calls of one library at a time; the others wait their turn in order."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self.name = name
        self._limiter = trio.CapacityLimiter(threads)

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return self._limiter.statistics().tasks_waiting

    async def run(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Do `work` in a thread and wait for its end, even when cancelled: it changes something that matters."""
        return await trio.to_thread.run_sync(work, *args, limiter=self._limiter, thread_name=self.name)

    async def run_abandonable(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Do `work` in a thread; a cancelled caller leaves at once and the thread's result is thrown away."""
        return await trio.to_thread.run_sync(
            work, *args, limiter=self._limiter, abandon_on_cancel=True, thread_name=self.name
        )
