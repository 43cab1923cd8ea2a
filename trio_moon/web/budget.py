"""A common purse of memory, so that many clients together can't take more than there is."""

from __future__ import annotations

from trio_moon.model.errors import TooMany

FREE = 64 * 1024
"""What is smaller than this isn't counted: connections are limited anyway."""


class Budget:
    """Bytes that all bodies and messages that are still incomplete may hold together."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Reserve; TooMany when nothing is left."""
        if size > self._left:
            raise TooMany("too much is being sent at once: try again in a moment")
        self._left -= size

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self._left += size
