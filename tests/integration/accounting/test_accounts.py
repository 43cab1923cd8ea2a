"""No millimetre is lost or counted twice, whatever fails: the scenarios of this folder, each against its own service.

Those that tell most are played each time, all of them with TRIO_MOON_ACCOUNTING=all in the environment.
`python -m tests.integration.accounting -n 3` plays all of them three times.
"""

from __future__ import annotations

import os

import pytest

from tests.integration.accounting import (
    anything_happens,
    klipper_fails,
    service_dies,
    spoolman_fails,
    spoolman_returns,
    spools_change,
)
from tests.integration.accounting.scenario import SCENARIOS
from tests.integration.together import play_asked

__all__ = ["anything_happens", "klipper_fails", "service_dies", "spoolman_fails", "spoolman_returns", "spools_change"]

ALL = os.environ.get("TRIO_MOON_ACCOUNTING") == "all"
PLAYED = [name for name, scenario in SCENARIOS.items() if scenario.telling or ALL]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def errors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong in each scenario."""
    plays = {name: scenario.run for name, scenario in SCENARIOS.items()}
    return play_asked(plays, request, tmp_path_factory.mktemp("accounting"))


@pytest.mark.parametrize("name", PLAYED)
def test_every_millimetre_is_counted_once_when(errors: dict[str, str], name: str) -> None:
    assert not errors[name], errors[name]
