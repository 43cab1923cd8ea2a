"""The meter on a Klipper that tells just what a test says, so that each moment can be chosen."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.features.spoolman.quiet_klipper import EXTRUDERS, QuietKlipper
from trio_moon.features.spoolman.ledger import Ledger
from trio_moon.features.spoolman.lives import FAREWELL
from trio_moon.features.spoolman.motion import FilamentMeter
from trio_moon.model.events import ConsoleLine, KlippyShutdown


class Bench:
    """The meter, its ledger and what it said."""

    def __init__(self, source: str = "auto", klipper: QuietKlipper | None = None, ledger: Ledger | None = None) -> None:
        self.klipper = klipper or QuietKlipper()
        self.ledger = ledger or Ledger()
        self.ledger.state.tools = {0: 1, 1: 2}
        self.activated: list[str] = []
        self.saves = 0
        self.meter = FilamentMeter(
            self.klipper,
            self.ledger,
            None,
            source=source,
            on_extruder=lambda: self.activated.append(self.meter.extruder),
            save_soon=self._save,
        )

    def _save(self) -> None:
        self.saves += 1

    def measured(self) -> tuple[float, float]:
        """Millimetres of tool 0 and of tool 1."""
        return self.ledger.state.pending.get(1, 0.0), self.ledger.state.pending.get(2, 0.0)


@asynccontextmanager
async def measuring(bench: Bench) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.meter.run)
        await bench.klipper.connect()
        yield
        nursery.cancel_scope.cancel()
    assert bench.klipper.mirror.errors == []


async def test_moves_are_counted_as_they_are_told(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    async with measuring(bench):
        assert bench.klipper.asked == list(EXTRUDERS)
        bench.klipper.tell_move(0, 10)
        bench.klipper.tell_move(10, 6)
        bench.klipper.tell_move(6, 12)
        bench.klipper.tell_move(0, 3, "extruder1")
    assert bench.measured() == (12, 3)


async def test_only_the_moves_of_extruders_are_asked_for(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    async with measuring(bench):
        await trio.sleep(1)
    assert bench.klipper.asked == ["extruder", "extruder1"]


async def test_a_cut_after_a_restart_does_not_count_the_life_twice(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    async with measuring(bench):
        bench.klipper.tell_move(0, 10)
        bench.klipper.console.publish(ConsoleLine(FAREWELL, 0.0, "response"))
        await trio.testing.wait_all_tasks_blocked()
        await bench.klipper.lose()
        await trio.sleep(1.2)
        await bench.klipper.connect("startup")
        bench.klipper.command(30)
        bench.klipper.tell_move(0, 30)
        bench.klipper.live_mm = 30
        for _ in range(2):
            await bench.klipper.lose()
            await bench.klipper.connect()
    assert bench.measured() == (40, 0)


async def test_what_was_done_between_two_connections_is_counted(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    async with measuring(bench):
        bench.klipper.tell_move(0, 10)
        await bench.klipper.lose()
        bench.klipper.command(25)
        bench.klipper.live_mm = 25
        await bench.klipper.connect()
        assert bench.measured() == (10, 0), "the moves themselves may still be told"
        await trio.sleep(2)
    assert bench.measured() == (25, 0)


async def test_the_former_extruders_live_position_is_not_the_new_ones(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    async with measuring(bench):
        bench.klipper.command(1000)
        bench.klipper.tell_move(0, 1000)
        await bench.klipper.lose()
        bench.klipper.live_mm = 1000  # computed a moment ago
        bench.klipper.command(10, "extruder1")
        await bench.klipper.connect()
        await trio.sleep(3)
    assert bench.measured()[0] == 1000
    assert bench.measured()[1] <= 10


async def test_a_promise_of_the_idle_tool_outlives_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    """Its last moves were told to a connection that had just ended; that they were commanded was known before."""
    bench = Bench()
    async with measuring(bench):
        bench.klipper.command(8, "extruder1")
        bench.klipper.tell_status()
        await bench.klipper.lose()
        bench.klipper.command(1, "extruder")
        bench.klipper.live_mm = 1
        await bench.klipper.connect()
        bench.klipper.clock = 50
        await trio.sleep(2.5)
    assert bench.measured() == (1, 8)


async def test_moves_that_are_never_told_count_once_their_time_has_come(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench()
    async with measuring(bench):
        bench.klipper.command(8, seconds=20)
        bench.klipper.tell_status()
        bench.klipper.clock, bench.klipper.live_mm = 10, 4
        await trio.sleep(2.5)
        assert bench.measured() == (4, 0)
        bench.klipper.clock = 20
        await trio.sleep(2.5)
    assert bench.measured() == (8, 0)


async def test_moves_that_a_stop_has_dropped_are_not_counted(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    async with measuring(bench):
        bench.klipper.command(8, seconds=2)
        bench.klipper.tell_status()
        bench.klipper.state, bench.klipper.live_mm = "shutdown", 3
        bench.klipper.events.publish(KlippyShutdown("M112"))
        bench.klipper.clock = 50
        await trio.sleep(5)
    assert bench.measured() == (3, 0)


@pytest.mark.parametrize(("rest", "counted"), [(0.2, 0.0), (0.5, 8.0)])
async def test_a_klipper_without_a_clock_has_done_what_it_was_commanded_before_it_dies(
    rest: float, counted: float, autojump_clock: trio.testing.MockClock
) -> None:
    bench = Bench()
    async with measuring(bench):
        await trio.sleep(1.1)
        bench.klipper.command(8)
        bench.klipper.tell_status()
        await trio.sleep(rest)
        await bench.klipper.lose()
        await bench.klipper.connect("startup", process_id=2)
    assert bench.measured() == (counted, 0)


async def test_where_moves_are_not_told_the_commanded_position_counts(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    bench.klipper.tells_moves = False
    async with measuring(bench):
        assert bench.meter.source == "position"
        bench.klipper.command(8)
        bench.klipper.tell_status()
        bench.klipper.command(-5)
        bench.klipper.tell_status()
        bench.klipper.command(6, "extruder1")
        bench.klipper.tell_status()
    assert bench.measured() == (8, 6)
    assert bench.activated == ["extruder1"]


async def test_position_as_the_source_asks_for_no_moves(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench("position")
    async with measuring(bench):
        bench.klipper.command(8)
        bench.klipper.tell_status()
    assert bench.klipper.asked == []
    assert bench.measured() == (8, 0)


async def test_a_klipper_that_does_not_answer_at_first_is_asked_again(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    bench.klipper.answers = False
    async with measuring(bench):
        await trio.sleep(10)
        assert bench.klipper.asked == []
        bench.klipper.command(5)
        bench.klipper.live_mm = 5
        bench.klipper.answers = True
        await trio.sleep(2.9)
        assert bench.klipper.asked == list(EXTRUDERS)
    assert bench.measured() == (5, 0)


async def test_moves_of_the_idle_tool_are_saved_at_once(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    async with measuring(bench):
        before = bench.saves
        bench.klipper.tell_move(0, 10)
        assert bench.saves == before
        bench.klipper.tell_move(0, 3, "extruder1")
        assert bench.saves == before + 1
        await bench.klipper.lose()
        assert bench.saves == before + 2


async def test_the_next_process_goes_on_from_the_books(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    async with measuring(bench):
        bench.klipper.tell_move(0, 10)
    bench.klipper.command(30)
    bench.klipper.live_mm = 30
    again = Bench(klipper=bench.klipper, ledger=Ledger(bench.ledger.state))
    async with measuring(again):
        await trio.sleep(2)
    assert again.measured() == (30, 0)


async def test_a_klipper_that_began_anew_while_nobody_followed_is_another(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The room was restarted after some error of its own: events of that time are nobody's."""
    bench = Bench()
    async with measuring(bench):
        bench.klipper.tell_move(0, 10)
    await bench.klipper.lose()
    bench.klipper.command(4)
    bench.klipper.live_mm = 4
    await bench.klipper.connect(process_id=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.meter.run)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert bench.measured() == (14, 0)


async def test_an_error_of_our_own_is_no_new_life(autojump_clock: trio.testing.MockClock) -> None:
    """What Klipper answered last may be newer than what its status told."""
    bench = Bench()
    async with measuring(bench):
        bench.klipper.command(10, seconds=20)
        bench.klipper.tell_move(0, 10)
        moment = await bench.meter.moment()
        bench.ledger.set_tools({0: 1, 1: 2}, moment)
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.meter.run)
        await trio.testing.wait_all_tasks_blocked()
        bench.klipper.tell_move(0, 10)
        nursery.cancel_scope.cancel()
    assert bench.measured() == (10, 0)


async def test_at_the_first_meeting_what_was_extruded_before_is_not_ours(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench()
    bench.klipper.command(500)
    bench.klipper.live_mm = 500
    async with measuring(bench):
        bench.klipper.tell_move(500, 520, time=2)
        bench.klipper.tell_move(800, 807, "extruder1", time=3)
    assert bench.measured() == (20, 7)


async def test_a_peak_before_a_change_of_spool_is_the_former_spools(autojump_clock: trio.testing.MockClock) -> None:
    """Extruded, retracted, and the spool changed, before any of it is told move by move."""
    bench = Bench()
    async with measuring(bench):
        bench.klipper.command(17)
        bench.klipper.tell_status()
        bench.klipper.command(-3)
        bench.ledger.set_tools({0: 2}, await bench.meter.moment())
        bench.klipper.clock = 50
        await trio.sleep(2)
        assert bench.measured() == (17, 0)
        bench.klipper.command(11)
        bench.klipper.tell_status()
        await trio.sleep(2)
    assert bench.measured() == (17, 8)


async def test_a_live_position_of_before_a_change_of_spool_is_the_former_spools(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench()
    async with measuring(bench):
        bench.klipper.command(17, seconds=10)
        bench.klipper.command(-3, seconds=1)
        bench.ledger.set_tools({0: 2}, await bench.meter.moment())
        bench.klipper.command(11, seconds=9)
        bench.klipper.tell_status()
        bench.klipper.clock, bench.klipper.live_mm = 10, 17
        await trio.sleep(2.5)
        assert bench.measured() == (17, 0)
        bench.klipper.clock = 20
        await trio.sleep(2.5)
    assert bench.measured() == (17, 8)


async def test_a_peak_that_is_seen_too_late_is_told_by_the_moves(autojump_clock: trio.testing.MockClock) -> None:
    """No status showed the peak, and the printer is past it already when somebody looks: the moves come first."""
    bench = Bench()
    async with measuring(bench):
        await trio.sleep(0.6)
        bench.klipper.command(17, seconds=2)
        bench.klipper.command(-3, seconds=1)
        bench.ledger.set_tools({0: 2}, await bench.meter.moment())
        bench.klipper.command(11, seconds=2)
        bench.klipper.tell_status()
        bench.klipper.clock, bench.klipper.live_mm = 5, 25
        await trio.sleep(0.5)
        bench.klipper.tell_move(0, 17, time=0)
        bench.klipper.tell_move(17, 14, time=2)
        bench.klipper.tell_move(14, 25, time=3)
        await trio.sleep(3)
    assert bench.measured() == (17, 8)


@pytest.mark.parametrize("print_time", ["soon", math.nan, -math.inf, -5.0, 1e300, 10**400, {}])
@pytest.mark.parametrize("source", ["auto", "position"])
async def test_a_print_time_that_makes_no_sense_is_no_new_life(
    source: str, print_time: object, autojump_clock: trio.testing.MockClock
) -> None:
    bench = Bench(source)
    async with measuring(bench):
        bench.klipper.command(8)
        bench.klipper.live_mm = 8
        bench.klipper.tell_status()
        bench.klipper.print_time = print_time
        for _ in range(2):
            bench.klipper.tell_status()
            bench.ledger.set_tools({0: 1, 1: 2}, await bench.meter.moment())
            await bench.klipper.lose()
            await bench.klipper.connect()
            await trio.sleep(2)
        bench.klipper.print_time = 2.0
        bench.klipper.tell_status()
        await bench.klipper.lose()
        await bench.klipper.connect()
    assert bench.measured() == (8, 0)


async def test_a_clock_that_goes_back_while_klipper_is_connected_is_no_new_life(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Each life of Klipper has connections of its own."""
    for source in ("auto", "position"):
        bench = Bench(source)
        async with measuring(bench):
            bench.klipper.command(8, seconds=20)
            bench.klipper.live_mm = 8
            bench.klipper.tell_status()
            await bench.meter.moment()
            bench.klipper.print_time = 0.0
            bench.klipper.tell_status()
            await trio.sleep(3)
        assert bench.measured() == (8, 0)


async def test_a_klipper_that_once_says_no_process_id_is_known_by_the_one_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench()
    async with measuring(bench):
        bench.klipper.tell_move(0, 10)
        await bench.klipper.lose()
        await bench.klipper.connect(process_id=0)
        await bench.klipper.lose()
        bench.klipper.command(30)
        bench.klipper.live_mm = 30
        await bench.klipper.connect(process_id=2)
        await trio.sleep(2)
    assert bench.measured() == (40, 0)


async def test_at_the_first_meeting_the_idle_tools_past_is_not_ours(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    bench.klipper.command(500, "extruder1")
    bench.klipper.command(0, "extruder")
    async with measuring(bench):
        bench.klipper.tell_move(490, 500, "extruder1", time=0.5)  # Klipper tells the last half minute
        bench.klipper.tell_move(0, 6, time=0.9)
        bench.klipper.tell_move(6, -2, time=0.95)
        bench.klipper.tell_move(500, 507, "extruder1", time=4)
        bench.klipper.tell_move(-2, 9, time=5)
    assert bench.measured() == (3, 7)


async def test_an_extruder_that_is_synchronised_with_another_uses_filament_when_that_moves(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench()
    klipper = bench.klipper
    async with measuring(bench):
        klipper.command(10)
        klipper.tell_status()
        klipper.tell_move(0, 10, time=0.5)
        klipper.tell_queue("extruder1", "extruder")
        klipper.command(5)
        klipper.tell_status()
        klipper.tell_move(10, 15, time=1.5)
        await klipper.lose()
        klipper.live_mm = klipper.clock = 15
        await klipper.connect()
        klipper.tell_move(15, 18, time=3)
        klipper.tell_status()
        freed = "// Extruder 'extruder1' now syncing with 'extruder1'"
        klipper.console.publish(ConsoleLine(freed, 0.0, "command"))  # a client wrote it
        klipper.tell_move(18, 19, time=3.5)
        klipper.console.publish(ConsoleLine(freed, 0.0, "response"))
        klipper.tell_move(19, 20, time=4)  # in the same read
        klipper.tell_move(0, 1, "extruder1", time=5)
    assert bench.measured() == (20, 10)


@pytest.mark.parametrize(
    "row",
    [
        None,
        "move",
        [],
        [0.0, 1.0, 1.0, 0.0, [0.0], []],
        [0.0, 1.0, 1.0, 0.0, 5, 7],
        [0.0, 1.0, "1", 0.0, [0.0, 0, 0], [1.0, 0, 0]],
        [0.0, 1.0, math.nan, 0.0, [0.0, 0, 0], [1.0, 0, 0]],
        [0.0, math.inf, 1.0, 0.0, [0.0, 0, 0], [1.0, 0, 0]],
        [0.0, 1.0, 10**400, 0.0, [10**400, 0, 0], [1, 0, 0]],
        [0.0, 1.0, 1e200, 0.0, [0.0, 0, 0], [1e200, 0, 0]],
    ],
)
async def test_rows_that_are_no_moves_are_skipped_and_the_rest_counts(
    row: Any, autojump_clock: trio.testing.MockClock
) -> None:
    bench = Bench()
    async with measuring(bench):
        good = [0.0, 1.0, 4.0, 0.0, [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
        bench.klipper.tell_rows("extruder", row, good)
    assert bench.measured() == (4, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"position": None},
        {"position": [0.0, 0.0]},
        {"position": [0.0, 0.0, 0.0, math.nan]},
        {"position": [0.0, 0.0, 0.0, 10**400]},
        {"position": [0.0, 0.0, 0.0, "7"]},
        {"extruder": ""},
        {"extruder": None},
        {"extra_axes": {"extruder": 99}},
        {"print_time": "soon"},
    ],
)
async def test_a_toolhead_that_makes_no_sense_costs_nothing(
    fields: dict[str, object], autojump_clock: trio.testing.MockClock
) -> None:
    bench = Bench("position")
    async with measuring(bench):
        bench.klipper.mirror.merge({"toolhead": fields}, 0.0)
        bench.klipper.extruder = "extruder"
        bench.klipper.command(8)
        bench.klipper.tell_status()
        await trio.sleep(2)
    assert bench.measured() == (8, 0)


@pytest.mark.parametrize("source", ["motion", "position"])
async def test_what_is_told_while_a_call_of_klippers_waits_is_counted_after_it(
    source: str, autojump_clock: trio.testing.MockClock
) -> None:
    bench = Bench(source)
    klipper = bench.klipper

    def give(start: float, end: float) -> None:
        klipper.command(end - start)
        klipper.tell_status()
        if source == "motion":
            klipper.tell_move(start, end, time=klipper.print_time - 1)

    async with measuring(bench):
        give(0, 10)
        moment = bench.meter.begin_call()
        assert moment is not None
        bench.meter.begin_call()
        give(10, 50)  # a purge that the same macro makes behind its call
        bench.ledger.set_tools({0: 3}, moment)
        bench.meter.end_call()
        assert bench.ledger.state.pending.get(3, 0.0) == 0
        bench.meter.end_call()
        assert bench.measured()[0] == 10
        assert bench.ledger.state.pending[3] == 40
        bench.meter.begin_call()
        give(50, 51)
        await klipper.lose()  # who has called is gone
        assert bench.ledger.state.pending[3] == 41
