"""Sentences for the printer's owner: what is wrong at present, shown as warnings on every frontend."""

from __future__ import annotations

from collections.abc import Callable, Iterable

MAX_NOTICES = 100


class Notices:
    """Warnings of the whole house. Each has a key, so that a later word on the same matter replaces the earlier."""

    def __init__(self) -> None:
        self._notices: dict[str, str] = {}
        self._sources: list[Callable[[], Iterable[str]]] = []

    def post(self, key: str, sentence: str) -> None:
        """Show `sentence` until something else is posted under `key`, or it is withdrawn."""
        self._notices.pop(key, None)
        self._notices[key] = sentence
        if len(self._notices) > MAX_NOTICES:
            del self._notices[next(iter(self._notices))]

    def withdraw(self, key: str) -> None:
        """What was posted under `key` is no longer so."""
        self._notices.pop(key, None)

    def add_source(self, source: Callable[[], Iterable[str]]) -> None:
        """Ask `source` for its sentences each time somebody looks."""
        self._sources.append(source)

    def __call__(self) -> list[str]:
        """All sentences, in a steady order."""
        return [sentence for source in self._sources for sentence in source()] + list(self._notices.values())
