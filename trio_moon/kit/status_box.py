"""State for one slow reader: new values overwrite old ones, so it cannot overflow."""

from __future__ import annotations

from collections.abc import Mapping

import trio

Status = dict[str, dict[str, object]]
"""Klipper's object status: `{object: {field: value}}`."""

StatusView = Mapping[str, Mapping[str, object]]


class StatusBox:
    """What one reader hasn't been told yet. Its size is bounded by the printer's objects, not by time."""

    def __init__(self) -> None:
        self._news: Status = {}
        self._some = trio.Event()

    def __bool__(self) -> bool:
        return bool(self._news)

    def put(self, changes: StatusView) -> None:
        """Merge `changes` over what is still waiting."""
        for name, fields in changes.items():
            self._news.setdefault(name, {}).update(fields)
        if self._news:
            self._some.set()

    def take_now(self) -> Status:
        """What is waiting, which may be nothing; the box is empty afterwards."""
        self._some, news, self._news = trio.Event(), self._news, {}
        return news

    async def take(self) -> Status:
        """Wait until there is something, then take all of it. Nothing is lost by cancellation."""
        await self._some.wait()
        return self.take_now()
