"""News for many: publishing never waits, and a reader that stops reading is told so by the end of its channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, NoReturn, TypeVar

import trio

T = TypeVar("T")

DEFAULT_BUFFER = 256


class Topic(Generic[T]):
    """One to many, typed and in order.

    Subscribing has no `await`, so "subscribe, then read the snapshot" leaves no gap.
    A reader that falls `buffer` items behind finds its channel closed after what it had: it must look again.
    """

    def __init__(self, buffer: int = DEFAULT_BUFFER) -> None:
        self._buffer = buffer
        self._observers: list[Callable[[T], object]] = []
        self._subscribers: set[trio.MemorySendChannel[T]] = set()

    def observe(self, react: Callable[[T], object]) -> None:
        """Call `react` inside every `publish` from now on, before anything that follows the item is handled.

        It must neither wait nor fail. For those to whom it matters what came between the item and a task's turn.
        """
        self._observers.append(react)

    def publish(self, item: T) -> None:
        """Hand `item` to everybody who listens now; never waits and never fails."""
        for react in self._observers:
            react(item)
        for send in tuple(self._subscribers):
            try:
                send.send_nowait(item)
            except trio.WouldBlock:
                self._subscribers.discard(send)
                send.close()
            except trio.BrokenResourceError:
                self._subscribers.discard(send)

    @contextmanager
    def subscribe(self) -> Iterator[trio.MemoryReceiveChannel[T]]:
        """Listen from now until the block is left."""
        send, receive = trio.open_memory_channel[T](self._buffer)
        self._subscribers.add(send)
        try:
            with send, receive:
                yield receive
        finally:
            self._subscribers.discard(send)

    async def follow(
        self, react: Callable[[T], object], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Call `react` with every item from `started()` on; what was too much at once is lost, what follows isn't."""
        while True:
            with self.subscribe() as items:
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                async for item in items:
                    react(item)
