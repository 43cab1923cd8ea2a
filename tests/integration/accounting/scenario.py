"""The list of scenarios: each is what happens to a House in which filament is used, until its books must balance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from tests.integration.accounting.house import House, open_house

LONGEST = 240.0
"""Seconds, on a slow and busy machine; the usual is 10 to 30."""

Play = Callable[[House], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """What happens, and to which kind of printer."""

    play: Play
    printer: dict[str, Any]
    telling: bool
    """Played at each change; the others are much alike one of these, or long."""
    longest: float
    begins: bool
    """Whether the service runs and has reported something when the play begins."""

    @property
    def name(self) -> str:
        return self.play.__name__

    @property
    def family(self) -> str:
        return self.play.__module__.rpartition(".")[2]

    async def run(self, root: Path) -> float:
        """Play it to its end; returns how long the books needed to balance at most."""
        with trio.fail_after(self.longest):
            async with open_house(root, **self.printer) as house:
                if self.begins:
                    await house.begin()
                await self.play(house)
                await house.settle()
                return house.recovered_after


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *, telling: bool = False, longest: float = LONGEST, begins: bool = True, **printer: Any
) -> Callable[[Play], Play]:
    """Put a function on the list; `printer` are arguments of House.add_printer."""

    def note(play: Play) -> Play:
        assert play.__name__ not in SCENARIOS
        SCENARIOS[play.__name__] = Scenario(play, printer, telling, longest, begins)
        return play

    return note
