"""Tests that wait more than they work: played together, a few at a time, before the first looks at its own."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest
import trio

TOGETHER = 6

Play = Callable[[Path], Awaitable[object]]


def play_asked(plays: Mapping[str, Play], request: pytest.FixtureRequest, root: Path) -> dict[str, str]:
    """Play what this run asks for by the parameter `name`; returns what went wrong in each, "" where nothing did."""
    ours = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    asked = {item.callspec.params.get("name") for item in ours}
    return trio.run(_play_all, {name: play for name, play in plays.items() if name in asked}, root)


async def _play_all(plays: Mapping[str, Play], root: Path) -> dict[str, str]:
    errors = dict.fromkeys(plays, "was not played to its end")
    places = trio.CapacityLimiter(TOGETHER)

    async def play_one(number: int, name: str) -> None:
        async with places:
            try:
                await plays[name](root / f"{number}-{name[:20]}")
            except Exception as error:
                errors[name] = "".join(traceback.format_exception(error))
            else:
                errors[name] = ""

    async with trio.open_nursery() as nursery:
        for number, name in enumerate(plays):
            nursery.start_soon(play_one, number, name)
    return errors
