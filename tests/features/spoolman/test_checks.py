"""Before the print: what a file needs, and whether the spools have it."""

from __future__ import annotations

import json

from msgspec.structs import replace

from trio_moon.features.spoolman.checks import check
from trio_moon.features.spoolman.plan import Need, needs_of
from trio_moon.features.spoolman.spool import Spool

PLA = Spool(1, used_mm=0.0, remaining_mm=1000.0, material="PLA", grams_per_mm=0.003)
PETG = Spool(2, used_mm=0.0, remaining_mm=500.0, material="PETG", grams_per_mm=0.003)
SHELF = {1: PLA, 2: PETG}


def codes(needs: tuple[Need, ...], tools: dict[int, int | None], unreported: float = 0.0) -> list[tuple[str, int]]:
    return [(finding.code, finding.tool) for finding in check(needs, tools, SHELF, lambda spool_id: unreported)]


def test_a_file_tells_what_each_tool_needs() -> None:
    both = {"filament_lengths": [100.0, 0.0, 50.0], "filament_type": json.dumps(["PLA", "ABS", "PETG"])}
    assert needs_of(both) == (Need(0, 100.0, None, "PLA"), Need(2, 50.0, None, "PETG"))
    assert needs_of({"filament_total": 80.0, "filament_type": "PLA"}) == (Need(0, 80.0, None, "PLA"),)
    assert needs_of({"filament_weights": [0.0, 5.0], "filament_total": 80.0}) == (Need(1, 80.0, 5.0, ""),)
    assert needs_of({"referenced_tools": [1, 0, 1], "filament_total": 80.0}) == (Need(0), Need(1))
    assert needs_of({}) == ()
    assert needs_of({"filament_total": True, "filament_weights": "x", "filament_type": "[broken"}) == ()


def test_enough_of_the_right_material_is_fine() -> None:
    assert codes((Need(0, 900.0, None, "PLA"),), {0: 1}) == []
    assert codes((Need(0, 900.0, None, "pla+"),), {0: 1}) == []
    assert codes((Need(0, None, 2.9, ""),), {0: 1}) == []


def test_each_lack_is_found() -> None:
    assert codes((Need(0, 1100.0, None, "PLA"),), {0: 1}) == [("not_enough", 0)]
    assert codes((Need(0, 900.0, None, "PLA"),), {0: 1}, unreported=150.0) == [("not_enough", 0)]
    assert codes((Need(0, None, 3.1, "PLA"),), {0: 1}) == [("not_enough", 0)]
    assert codes((Need(0, 10.0, None, "PETG"),), {0: 1}) == [("material", 0)]
    assert codes((Need(0, 10.0),), {}) == [("no_spool", 0)]
    assert codes((Need(0, 10.0), Need(1, 10.0)), {0: 1, 1: None}) == [("no_spool", 1)]


def test_tools_that_share_a_spool_share_what_is_on_it() -> None:
    needs = (Need(0, 600.0, None, "PLA"), Need(1, 600.0, None, "PETG"))
    assert codes(needs, {0: 1}) == [("not_enough", 1)]
    assert codes(needs, {0: 1, 1: 2}) == [("not_enough", 1)]


def test_an_archived_spool_is_told() -> None:
    shelf = {1: replace(PLA, archived=True)}
    found = check((Need(0, 1.0),), {0: 1}, shelf, lambda spool_id: 0.0)
    assert [finding.code for finding in found] == ["archived"]


def test_what_is_not_known_is_not_held_against_the_print() -> None:
    shelf = {1: replace(PLA, remaining_mm=None, material="")}
    assert check((Need(0, 1e9, None, "PLA"),), {0: 1}, shelf, lambda spool_id: 0.0) == []
    assert check((Need(0, 1e9, None, "PLA"),), {0: 9}, shelf, lambda spool_id: 0.0) == []
    assert codes((Need(0),), {0: 1}) == []
