"""The pieces of a websocket message that is still coming, paid for from the common budget."""

from __future__ import annotations

import sys
from typing import cast

from trio_moon.web.budget import FREE, Budget


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
        self.size += sys.getsizeof(piece)  # many small ones aren't free, and a character may take four bytes
        missing = self.size - FREE - self._taken
        if missing > 0:
            self._budget.take(more := max(missing, FREE))
            self._taken += more
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
