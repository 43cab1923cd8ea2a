"""What many ask of Klipper is asked once: a client that repeats itself must not cost the printer its time."""

from __future__ import annotations

from collections.abc import Callable

import trio
from msgspec import Struct

from trio_moon.kit.json_codec import Raw, encode
from trio_moon.kit.pending import Pending

FRESH = 0.00025
"""Seconds in which an answer is given again: less than its way to a client and back takes one that doesn't hammer."""
JOINABLE = 1.0
"""Seconds in which others may wait for the same answer. Whoever asks later has a time limit of their own."""
MOST = 16
"""Answers that are kept; they may be long."""


class _Question(Struct):
    answer: Pending[Raw]
    until: float


class Questions:
    """Requests that change nothing. Their answers are shared until anything is said or heard that may change them."""

    def __init__(self, begin: Callable[[str, object], Pending[Raw]]) -> None:
        """`begin` sends a request to Klipper."""
        self._begin = begin
        self._asked: dict[tuple[str, bytes], _Question] = {}

    def ask(self, method: str, params: object = None) -> Pending[Raw]:
        """Klipper's answer, or the one that it has just given or is about to give. Raises what `begin` raises."""
        now = trio.current_time()
        key = (method, encode(params))
        known = self._asked.get(key)
        if known is not None and now < known.until:
            return known.answer
        if len(self._asked) >= MOST:
            self._asked.clear()
        question = self._asked[key] = _Question(self._begin(method, params), now + JOINABLE)
        question.answer.then(lambda: self._answered(key, question))
        return question.answer

    def forget(self) -> None:
        """Something was said or heard: what was true before it may be so no more."""
        if self._asked:
            self._asked.clear()

    def _answered(self, key: tuple[str, bytes], question: _Question) -> None:
        if question.answer.error is None:
            question.until = trio.current_time() + FRESH
        elif self._asked.get(key) is question:
            del self._asked[key]
