"""Before the print: what a file needs, and whether the spools have it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from trio_moon.features.spoolman.checks import PrintCheck, check
from trio_moon.features.spoolman.client import Away, Missing
from trio_moon.features.spoolman.ledger import Ledger, Tools
from trio_moon.features.spoolman.plan import Need, needs_of
from trio_moon.features.spoolman.shelf import Shelf
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import Conflict, NotFound
from trio_moon.model.events import SpoolmanAlert

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
    assert needs_of({"filament_total": 1.0, "filament_type": "[" * 100_000})[0].mm == 1.0
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


class Stock:
    """Spool 1 of PLA is on tool 0; Spoolman answers what the test says."""

    def __init__(self, answer: Spool | Missing | Away, metadata: dict[str, object]) -> None:
        self.ledger = Ledger()
        self.tools: Tools = {0: 1}
        self.shelf = Shelf(self, on_put=lambda spool: None, on_gone=self._gone)
        self.shelf.put(PLA)
        self.alerts: Topic[SpoolmanAlert] = Topic()
        self.said: list[str] = []
        self.check = PrintCheck(self, self._metadata_of, self.said.append, "block")
        self._answer = answer
        self._metadata = metadata

    async def read_spool(self, spool_id: int) -> Spool | Missing | Away:
        await trio.lowlevel.checkpoint()
        return self._answer

    async def _metadata_of(self, filename: str) -> Mapping[str, object]:
        await trio.lowlevel.checkpoint()
        if filename == "missing.gcode":
            raise NotFound("no such file")
        return self._metadata

    async def _gone(self, spool_id: int, reason: str) -> None:
        pass

    async def codes(self) -> list[str]:
        return [finding.code for finding in (await self.check.check("a.gcode")).findings]


ABS = {"filament_total": 100.0, "filament_type": "ABS"}


async def test_what_spoolman_says_now_blocks_a_print(autojump_clock: MockClock) -> None:
    stock = Stock(replace(PLA, remaining_mm=50.0, archived=True), ABS)
    assert await stock.codes() == ["archived", "material", "not_enough"]
    with pytest.raises(Conflict, match=r"a\.gcode was not started"):
        await stock.check.guard("a.gcode")


async def test_a_report_that_may_have_arrived_is_not_taken_off_twice(autojump_clock: MockClock) -> None:
    """After an outage one report may hold an hour's filament, and Spoolman show it before it is settled."""
    stock = Stock(replace(PLA, used_mm=850.0, remaining_mm=150.0), {"filament_total": 100.0})
    stock.ledger.state.pending[1] = 860.0
    stock.ledger.begin(1, 850.0, 0.0, at=0.0)
    await stock.check.guard("a.gcode")
    assert stock.said == []
    stock.ledger.state.pending[1] = 60.0
    assert await stock.codes() == ["not_enough"]


async def test_a_spool_that_spoolman_does_not_know_is_told(autojump_clock: MockClock) -> None:
    stock = Stock(Missing("gone"), ABS)
    assert await stock.codes() == ["unknown_spool"]
    assert 1 not in stock.shelf


async def test_while_spoolman_is_away_nothing_is_blocked_and_what_was_known_is_told(autojump_clock: MockClock) -> None:
    stock = Stock(Away("away"), ABS)
    await stock.check.guard("a.gcode")
    assert [line.rpartition(", ")[2] for line in stock.said] == ["spool 1 (PLA) is PLA"]


async def test_without_any_spool_every_print_is_told_of_and_only_a_file_that_uses_filament_blocked(
    autojump_clock: MockClock,
) -> None:
    for tools in ({}, {0: None}, {0: None, 1: None}):
        stock = Stock(PLA, {})
        stock.tools = tools
        assert await stock.codes() == ["no_spool"]
        await stock.check.guard("a.gcode")
    stock = Stock(PLA, ABS)
    stock.tools = {}
    with pytest.raises(Conflict):
        await stock.check.guard("a.gcode")


async def test_a_file_that_cannot_be_read_is_not_blocked(autojump_clock: MockClock) -> None:
    stock = Stock(PLA, {})
    await stock.check.guard("missing.gcode")
    assert (await stock.check.check("missing.gcode")).unchecked == "no such file"
