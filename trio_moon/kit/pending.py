"""A value that comes later: somebody may await it, or be called when it is there, without a task that waits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

import trio

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Pending(Generic[T]):
    """Settled or failed exactly once, by whoever promised the value; later attempts are ignored."""

    __slots__ = ("_event", "_listeners", "_value", "error", "settled")

    def __init__(self) -> None:
        self.settled = False
        self.error: Exception | None = None
        self._value: T | None = None
        self._listeners: list[Callable[[], None]] = []
        self._event: trio.Event | None = None

    def settle(self, value: T) -> None:
        """The value is there."""
        if not self.settled:
            self._value = value
            self._wake()

    def fail(self, error: Exception) -> None:
        """There won't be a value."""
        if not self.settled:
            self.error = error
            self._wake()

    def _wake(self) -> None:
        self.settled = True
        if self._event is not None:
            self._event.set()
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            try:
                listener()
            except Exception:  # many may listen, and whoever settles it has more to do
                logger.exception("a listener failed")

    def then(self, listener: Callable[[], None]) -> None:
        """Call `listener` when it is settled. It runs where the value comes in: it must not wait."""
        if self.settled:
            listener()
        else:
            self._listeners.append(listener)

    def result(self) -> T:
        """The value; raises the error if there is none. Only when it is settled."""
        assert self.settled
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]

    def __await__(self) -> Generator[Any, Any, T]:
        return self.wait().__await__()

    async def wait(self) -> T:
        """The same as to await it."""
        if self.settled:
            await trio.lowlevel.checkpoint()
        else:
            if self._event is None:
                self._event = trio.Event()
            await self._event.wait()
        return self.result()
