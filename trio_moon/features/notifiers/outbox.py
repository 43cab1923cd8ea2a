"""The messages of one notifier that wait for delivery: in order, bounded, each with its times."""

from __future__ import annotations

from collections.abc import Iterator

import trio
from msgspec import Struct, field

from trio_moon.features.notifiers.news import Letter, News

CAPACITY = 20


class Message(Struct, eq=False):
    """News on their way. `expires` and `not_before` are of Trio's clock, which a Pi's late NTP doesn't move."""

    news: News
    row: int | None
    expires: float
    not_before: float = 0.0
    letter: Letter | None = None
    written: trio.Event = field(default_factory=trio.Event)
    attempts: int = 0
    last_error: str = ""


class Outbox:
    """A queue whose head stays in it while it is being delivered."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._changed = trio.Event()
        self.in_delivery: Message | None = None

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(tuple(self._messages))

    @property
    def head(self) -> Message | None:
        """The oldest."""
        return self._messages[0] if self._messages else None

    def put(self, message: Message) -> Message | None:
        """Append. When too many wait, the oldest that isn't being delivered is taken out and returned."""
        self._messages.append(message)
        self._tell()
        if len(self._messages) <= CAPACITY:
            return None
        victim = next(waiting for waiting in self._messages if waiting is not self.in_delivery)
        self.remove(victim)
        return victim

    def remove(self, message: Message) -> None:
        """It is done with, one way or another."""
        if message in self._messages:
            self._messages.remove(message)
            self._tell()

    def clear(self) -> None:
        """Forget all."""
        self._messages.clear()
        self.in_delivery = None

    async def changed(self) -> None:
        """Wait until something is put in or taken out."""
        await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
