"""The last lines of the G-code console, for frontends that come later."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NoReturn

import trio

from trio_moon.kit.topics import Topic
from trio_moon.model.events import ConsoleLine


class ConsoleStore:
    """A service that keeps the newest `size` lines."""

    def __init__(self, console: Topic[ConsoleLine], size: int) -> None:
        self._console = console
        self._lines: deque[ConsoleLine] = deque(maxlen=size)

    async def run(self, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Listen for ever. Lines that come faster than we read are lost, and only those."""
        await self._console.follow(self._lines.append, task_status=task_status)

    def vitals(self) -> Mapping[str, object]:
        return {"lines": len(self._lines)}

    def newest(self, count: int | None) -> list[dict[str, object]]:
        """The newest `count` lines (None: all), oldest first."""
        lines = list(self._lines)
        if count is not None:
            lines = lines[max(0, len(lines) - count) :]
        return [{"message": line.message, "time": line.time, "type": line.type} for line in lines]
