"""What a spool is made of, whoever claims to be Spoolman."""

from __future__ import annotations

import pytest

from trio_moon.features.spoolman.spool import Spool

PLAIN = {"id": 1, "used_length": 5.0}


@pytest.mark.parametrize(
    "more",
    [
        {"price": 10**400, "initial_weight": 1000},
        {"price": 1e308, "initial_weight": 1e-308},
        {"remaining_weight": float("nan"), "remaining_length": 10**400},
        {"filament": {"density": 1e300, "diameter": 1e300}},
        {"filament": {"density": "heavy", "diameter": True}},
    ],
)
def test_numbers_beyond_all_measure_are_as_good_as_none(more: dict[str, object]) -> None:
    assert Spool.from_wire({**PLAIN, **more}) == Spool(id=1, used_mm=5.0)


@pytest.mark.parametrize("value", [None, [], {}, {"id": 1}, {**PLAIN, "used_length": 10**400}, {**PLAIN, "id": True}])
def test_what_is_no_spool_is_none(value: object) -> None:
    assert Spool.from_wire(value) is None
