"""The pieces of a websocket message that is still coming, paid for from the common budget."""

from __future__ import annotations

from typing import cast

from trio_moon.web.budget import FREE, Budget

PIECE_COST = 64
"""What an empty piece costs us in memory: many small ones must not be free."""


class Pieces:
    """Collects the pieces of one message after the other."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._parts: list[bytes | str] = []
        self._taken = 0
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, piece: bytes | str) -> None:
        """Keep the next piece. Raises TooMany when all clients together hold too much."""
        self.size += len(piece) + PIECE_COST
        if self.size > self._taken + FREE:
            self._budget.take(FREE)
            self._taken += FREE
        self._parts.append(piece)

    def expect(self, size: int) -> None:
        """Reserve for so many bytes at once. Raises TooMany."""
        if size > FREE:
            self._budget.take(size)
            self._taken += size

    def take(self) -> bytes | str:
        """The whole message; the next one begins."""
        text = bool(self._parts) and isinstance(self._parts[0], str)
        whole = "".join(cast("list[str]", self._parts)) if text else b"".join(cast("list[bytes]", self._parts))
        self.drop()
        return whole

    def drop(self) -> None:
        """Forget the message that was coming."""
        self._budget.give(self._taken)
        self._parts, self._taken, self.size = [], 0, 0
