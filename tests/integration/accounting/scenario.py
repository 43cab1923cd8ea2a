"""The list of scenarios: each is a function of a House, with what its printer must be like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from tests.integration.accounting.house import House, open_house

LONGEST = 120.0
LONGEST_OF_CAMPAIGN = 900.0

Play = Callable[[House], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """What happens, and to which kind of printer."""

    play: Play
    printer: dict[str, Any]
    campaign: bool
    """Too long or too much alike another one to be played at each change."""

    @property
    def name(self) -> str:
        return self.play.__name__

    async def run(self, root: Path) -> float:
        """Play it to its end; returns how long the books needed to balance at the last look."""
        with trio.fail_after(LONGEST_OF_CAMPAIGN if self.campaign else LONGEST):
            async with open_house(root, **self.printer) as house:
                await self.play(house)
                return house.recovered_after


SCENARIOS: dict[str, Scenario] = {}


def scenario(*, campaign: bool = False, **printer: Any) -> Callable[[Play], Play]:
    """Put a function on the list; `printer` are arguments of House.add_printer."""

    def note(play: Play) -> Play:
        assert play.__name__ not in SCENARIOS
        SCENARIOS[play.__name__] = Scenario(play, printer, campaign)
        return play

    return note
