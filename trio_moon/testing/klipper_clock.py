"""Printer time: it may run faster than Trio's clock, and everything a printer does is waited for in it."""

import math
from collections.abc import Callable

import trio

TICK = 1e-9  # shorter waits are over: a virtual clock would never get there


class PrintClock:
    """Printer time: runs `speed` times as fast as Trio's clock; infinite speed follows the commands."""

    def __init__(self, speed: float, start: float = 0.0) -> None:
        self._speed = speed
        self._since = trio.current_time()
        self._base = start
        self._changed = trio.Event()

    @property
    def speed(self) -> float:
        """How many seconds of printer time pass in a second of the clock."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._base, self._since, self._speed = self.now(), trio.current_time(), speed
        self.wake()

    def now(self) -> float:
        """The printer's time, as the host estimates it."""
        elapsed = trio.current_time() - self._since
        return self._base + elapsed * (1.0 if math.isinf(self._speed) else self._speed)

    def wake(self) -> None:
        """Let everybody who sleeps look again: the speed or the printer's state has changed."""
        self._changed.set()
        self._changed = trio.Event()

    async def sleep_until(self, print_time: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Wait for a moment of printer time, or until `stop` after a `wake`."""
        if math.isinf(self._speed) and print_time > self.now():
            self._base, self._since = print_time, trio.current_time()
            await trio.lowlevel.checkpoint()
        while not stop():
            left = print_time - self.now()
            if left <= TICK:
                return
            with trio.move_on_after(left / self._speed):
                await self._changed.wait()
