"""The last lines of the G-code console, for frontends that come later."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NoReturn

import trio
from msgspec.structs import replace

from trio_moon.kit.topics import Topic
from trio_moon.model.events import ConsoleLine

LONGEST_LINE = 8192
"""What is kept of a line: a script may be as long as a call."""


class ConsoleStore:
    """A service that keeps the newest `size` lines."""

    def __init__(self, console: Topic[ConsoleLine], size: int) -> None:
        self._console = console
        self._lines: deque[ConsoleLine] = deque(maxlen=size)

    async def run(self, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Listen for ever. Lines that come faster than we read are lost, and only those."""
        await self._console.follow(self._keep, task_status=task_status)

    def _keep(self, line: ConsoleLine) -> None:
        if line.type == "command" and not line.message.strip():
            return  # nothing was asked for
        if len(line.message) > LONGEST_LINE:
            line = replace(line, message=f"{line.message[:LONGEST_LINE]}…")
        self._lines.append(line)

    def vitals(self) -> Mapping[str, object]:
        return {"lines": len(self._lines)}

    def newest(self, count: int | None) -> list[dict[str, object]]:
        """The newest `count` lines (None: all), oldest first."""
        lines = list(self._lines)
        if count is not None:
            lines = lines[max(0, len(lines) - count) :]
        return [{"message": line.message, "time": line.time, "type": line.type} for line in lines]
