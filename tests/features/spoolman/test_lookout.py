"""Low filament and prints that won't end: told once, in time, whoever is away."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from trio.testing import MockClock

from trio_moon.features.spoolman.ledger import Ledger, Session
from trio_moon.features.spoolman.lookout import Lookout
from trio_moon.features.spoolman.plan import Need
from trio_moon.features.spoolman.settings import Amount
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.topics import Topic
from trio_moon.model.events import SpoolmanAlert

LIMIT = Amount(mm=100.0)


class Room:
    """A ledger, a shelf, and a printer that can be paused."""

    def __init__(self, limit: Amount | None = LIMIT) -> None:
        self.ledger = Ledger()
        self.ledger.begin_session(Session(1), complete=True)
        self.ledger.set_tools({0: 1}, None)
        self.ledger.set_job(1, None)
        self.shelf = {1: Spool(1, 0.0, remaining_mm=1000.0), 2: Spool(2, 0.0, remaining_mm=1000.0)}
        self.alerts: Topic[SpoolmanAlert] = Topic()
        self.said: list[str] = []
        self.state = "printing"
        self.pauses = 0
        self.lookout = Lookout(self, limit, self._pause, self.said.append, lambda: self.state == "printing")

    @property
    def active_spool(self) -> int | None:
        return self.ledger.state.tools.get(0)

    async def _pause(self) -> None:
        self.pauses += 1
        self.state = "paused"

    def report(self, mm: float) -> None:
        """Spoolman has counted this and shows it."""
        self.ledger.applied(self.ledger.begin(1, mm, self.shelf[1].used_mm, at=0.0), at=1.0)
        spool = self.shelf[1]
        assert spool.remaining_mm is not None
        self.shelf[1] = replace(spool, used_mm=spool.used_mm + mm, remaining_mm=spool.remaining_mm - mm)


async def test_low_filament_is_told_once_for_each_crossing(autojump_clock: MockClock) -> None:
    room = Room()
    for position, told in ((899, 0), (901, 1), (950, 1)):
        room.ledger.observe("extruder", position)
        await room.lookout.look()
        assert (len(room.said), room.pauses) == (told, told)
    room.shelf[1] = replace(room.shelf[1], remaining_mm=2000.0)
    await room.lookout.look()
    room.shelf[1] = replace(room.shelf[1], remaining_mm=1000.0)
    await room.lookout.look()
    assert len(room.said) == 2


async def test_a_report_that_spoolman_died_with_does_not_silence_the_warnings(autojump_clock: MockClock) -> None:
    room = Room()
    room.lookout.expect("a.gcode", (Need(0, 5000.0),))
    room.ledger.observe("extruder", 20)
    room.ledger.begin(1, 20.0, 0.0, at=0.0)
    await room.lookout.look()
    assert [line.partition(":")[0] for line in room.said] == ["// spool 1 runs out before a.gcode ends"]
    room.ledger.observe("extruder", 950)
    await room.lookout.look()
    assert room.pauses == 1


async def test_a_large_report_on_its_way_is_not_taken_off_twice(autojump_clock: MockClock) -> None:
    """After an outage one report may hold an hour's filament, and the shelf may show it before it is settled."""
    room = Room()
    room.ledger.observe("extruder", 600)
    room.ledger.begin(1, 600.0, 0.0, at=0.0)
    room.shelf[1] = replace(room.shelf[1], used_mm=600.0, remaining_mm=400.0)
    await room.lookout.look()
    assert room.said == []


async def test_a_low_spool_is_not_told_again_because_its_report_is_on_its_way(autojump_clock: MockClock) -> None:
    room = Room()
    room.ledger.observe("extruder", 950)
    await room.lookout.look()
    intent = room.ledger.begin(1, 950.0, 0.0, at=0.0)
    await room.lookout.look()
    room.ledger.refused(intent, 1.0, "away")
    await room.lookout.look()
    assert len(room.said) == 1


@pytest.mark.parametrize("state", ["paused", "standby", "complete", "cancelled", ""])
async def test_only_what_is_being_printed_is_paused(state: str, autojump_clock: MockClock) -> None:
    """Many a PAUSE macro retracts and parks once more, even when the print is paused already."""
    room = Room()
    room.state = state
    room.ledger.observe("extruder", 950)
    await room.lookout.look()
    assert (len(room.said), room.pauses) == (1, 0)


async def test_tools_that_share_a_spool_and_an_extruder_raise_no_false_alarm(autojump_clock: MockClock) -> None:
    room = Room(limit=None)
    room.lookout.expect("a.gcode", (Need(0, 300.0), Need(1, 600.0)))
    for position in range(0, 900, 50):
        room.ledger.observe("extruder", position)
        if position == 450:
            room.report(450.0)
        await room.lookout.look()
    assert room.said == []


async def test_tools_that_share_a_spool_run_out_together(autojump_clock: MockClock) -> None:
    room = Room(limit=None)
    room.lookout.expect("a.gcode", (Need(0, 600.0), Need(1, 600.0)))
    await room.lookout.look()
    assert room.said == ["// spool 1 runs out before a.gcode ends: 0.20 m are missing"]


async def test_each_tool_is_compared_with_its_own_spool(autojump_clock: MockClock) -> None:
    room = Room(limit=None)
    room.ledger.set_tools({0: 1, 1: 2}, None)
    room.lookout.expect("a.gcode", (Need(0, 600.0), Need(1, 1100.0)))
    room.ledger.observe("extruder", 600)
    await room.lookout.look()
    assert [line[:21] for line in room.said] == ["// spool 2 runs out b"]


async def test_a_file_that_tells_only_grams_is_understood(autojump_clock: MockClock) -> None:
    room = Room(limit=Amount(grams=1.0))
    room.shelf[1] = replace(room.shelf[1], grams_per_mm=0.003)
    room.lookout.expect("a.gcode", (Need(0, None, 4.0),))
    await room.lookout.look()
    assert len(room.said) == 1


async def test_what_is_not_known_is_not_told(autojump_clock: MockClock) -> None:
    room = Room(limit=Amount(grams=1.0))
    room.lookout.expect("a.gcode", (Need(0, None, 4000.0), Need(3)))
    room.ledger.observe("extruder", 990)
    await room.lookout.look()
    room.shelf.clear()
    await room.lookout.look()
    assert room.said == []
