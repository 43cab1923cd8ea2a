"""No millimetre is lost or counted twice, whatever fails: the scenarios of this folder, each against its own service.

They wait more than they work, so they are played together, a few at a time, before the first test looks at its own.
Those that tell most are played each time, all of them with TRIO_MOON_ACCOUNTING=all in the environment.
`python -m tests.integration.accounting -n 3` plays all of them three times.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from pathlib import Path

import pytest
import trio

from tests.integration.accounting import klipper_fails, service_dies, spoolman_fails, spoolman_returns, spools_change
from tests.integration.accounting.scenario import SCENARIOS, Scenario

__all__ = ["klipper_fails", "service_dies", "spoolman_fails", "spoolman_returns", "spools_change"]

TOGETHER = 6
ALL = os.environ.get("TRIO_MOON_ACCOUNTING") == "all"
PLAYED = [name for name, scenario in SCENARIOS.items() if scenario.telling or ALL]

pytestmark = pytest.mark.slow


async def play(scenarios: Iterable[Scenario], root: Path) -> dict[str, str]:
    """What went wrong in each; "" where nothing did."""
    errors: dict[str, str] = {}
    places = trio.CapacityLimiter(TOGETHER)

    async def play_one(scenario: Scenario) -> None:
        async with places:
            folder = root / f"s{len(errors)}-{scenario.name[:20]}"
            errors[scenario.name] = "was not played to its end"
            try:
                await scenario.run(folder)
            except Exception as error:
                errors[scenario.name] = "".join(traceback.format_exception(error))
            else:
                errors[scenario.name] = ""

    async with trio.open_nursery() as nursery:
        for scenario in scenarios:
            nursery.start_soon(play_one, scenario)
    return errors


@pytest.fixture(scope="module")
def errors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The errors of every scenario that is to be looked at in this run."""
    ours = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    asked = [item.callspec.params["name"] for item in ours]
    chosen = [scenario for name, scenario in SCENARIOS.items() if name in asked]
    return trio.run(play, chosen, tmp_path_factory.mktemp("accounting"))


@pytest.mark.parametrize("name", PLAYED)
def test_every_millimetre_is_counted_once_when(errors: dict[str, str], name: str) -> None:
    assert not errors[name], errors[name]
