"""The books: marks, tools, eras, and where each millimetre stands."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_moon.features.spoolman.ledger import Ledger, Moment, Move, Session, spool_for, tool_of

HERE = Session(1, "a")


def new_ledger(**tools: int) -> Ledger:
    ledger = Ledger()
    ledger.begin_session(HERE, complete=True)
    ledger.set_tools({int(name[1:]): spool_id for name, spool_id in tools.items()}, None)
    return ledger


def moves(*positions: float, begin: float = 0.0) -> list[Move]:
    return [Move(begin + number, start, end) for number, (start, end) in enumerate(itertools.pairwise(positions))]


def test_usage_is_what_rises_above_the_mark() -> None:
    ledger = new_ledger(t0=1)
    ledger.move("extruder", moves(0, 10, 8, 10, 15))
    assert ledger.state.pending == {1: 15.0}
    ledger.observe("extruder", 12.0)
    ledger.observe("extruder", 15.0)
    assert ledger.state.pending == {1: 15.0}


@given(st.lists(st.floats(-50, 100), max_size=40))
def test_whatever_goes_back_and_forth_only_the_highest_counts(steps: list[float]) -> None:
    ledger, position, highest = new_ledger(t0=1), 0.0, 0.0
    for step in steps:
        ledger.move("extruder", [Move(0.0, position, position + step)])
        position += step
        highest = max(highest, position)
    assert math.isclose(ledger.state.pending.get(1, 0.0), highest, abs_tol=1e-9)


@given(st.lists(st.tuples(st.sampled_from(["extruder", "extruder1"]), st.floats(0, 50)), max_size=40), st.data())
def test_telling_moves_twice_or_in_pieces_changes_nothing(steps: list[tuple[str, float]], data: st.DataObject) -> None:
    once, again = new_ledger(t0=1), new_ledger(t0=1)
    position = {"extruder": 0.0, "extruder1": 0.0}
    for name, length in steps:
        start, end = position[name], position[name] + length
        middle = start + length * data.draw(st.floats(0, 1))
        position[name] = end
        once.move(name, [Move(0.0, start, end)])
        again.move(name, [Move(0.0, start, middle), Move(0.0, middle, end)])
        again.move(name, [Move(0.0, start, middle)])
    for name, end in position.items():
        again.observe(name, end)
    assert again.state.pending.get(1, 0.0) == pytest.approx(once.state.pending.get(1, 0.0))


def test_missed_moves_are_counted_by_where_the_next_one_begins() -> None:
    ledger = new_ledger(t0=1)
    ledger.move("extruder", moves(0, 10))
    ledger.move("extruder", moves(40, 39, begin=50))
    assert ledger.state.pending == {1: 40.0}


def test_a_tool_change_moves_nothing() -> None:
    ledger = new_ledger(t0=1, t1=2)
    for position in (10.0, 20.0):
        ledger.observe("extruder", position)
        ledger.observe("extruder1", position / 2)
    assert ledger.state.pending == {1: 20.0, 2: 10.0}


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf, 1e9, -1e300])
def test_what_is_no_position_is_refused(nonsense: float) -> None:
    ledger = new_ledger(t0=1)
    ledger.observe("extruder", nonsense)
    ledger.move("extruder", [Move(0.0, nonsense, 1.0), Move(0.0, 1.0, nonsense), Move(nonsense, 1.0, math.nan)])
    assert ledger.state.pending == {}
    ledger.observe("extruder", 1.0)
    assert ledger.state.pending == {1: 1.0}


def test_a_new_life_of_klipper_counts_from_nothing() -> None:
    ledger = new_ledger(t0=1)
    ledger.observe("extruder", 100.0)
    ledger.begin_session(Session(2, "b"), complete=True)
    ledger.observe("extruder", 30.0)
    ledger.observe("extruder1", 5.0)
    assert ledger.state.pending == {1: 135.0}


def test_what_was_extruded_before_we_ever_ran_is_not_ours() -> None:
    ledger = Ledger()
    ledger.begin_session(HERE, complete=False)
    ledger.set_tools({0: 1}, None)
    ledger.observe("extruder", 5000.0)
    ledger.observe("extruder", 5001.0)
    ledger.move("extruder1", moves(300, 302))
    assert ledger.state.pending == {1: 3.0}


def test_a_change_of_spool_splits_at_the_position_of_that_moment() -> None:
    ledger = new_ledger(t0=1)
    ledger.move("extruder", moves(0, 10))
    ledger.set_tools({0: 2}, Moment(print_time=20.0, extruder="extruder", position_mm=14.0))
    ledger.move("extruder", [Move(1.5, 10.0, 12.0), Move(19.0, 12.0, 16.0), Move(21.0, 14.0, 18.0)])
    assert ledger.state.pending == {1: 16.0, 2: 2.0}


def test_moves_of_the_other_extruder_that_are_told_late_belong_to_the_former_spool() -> None:
    ledger = new_ledger(t0=1)
    ledger.set_tools({0: 2}, Moment(10.0, "extruder1", 0.0))
    ledger.set_tools({0: 3}, Moment(20.0, "extruder", 5.0))
    ledger.move("extruder1", [Move(12.0, 0.0, 7.0)])
    ledger.move("extruder", [Move(8.0, 0.0, 5.0), Move(25.0, 5.0, 6.0)])
    assert ledger.state.pending == {2: 5.0 + 7.0, 3: 1.0}


def test_filament_without_a_spool_is_never_charged_to_a_later_one() -> None:
    ledger = new_ledger()
    ledger.observe("extruder", 400.0)
    ledger.set_tools({0: 1}, Moment(1.0, "extruder", 400.0))
    ledger.observe("extruder", 405.0)
    assert ledger.state.pending == {1: 5.0}
    assert ledger.state.unassigned == 400.0


def test_tools_share_the_spool_of_tool_0_until_one_has_its_own() -> None:
    assert [spool_for({0: 5}, tool) for tool in (0, 1, 2)] == [5, 5, 5]
    assert [spool_for({0: 5, 1: 6}, tool) for tool in (0, 1, 2)] == [5, 6, None]
    assert [spool_for({0: 5, 1: None}, tool) for tool in (0, 1)] == [5, None]
    assert spool_for({}, 0) is None
    assert [tool_of(name) for name in ("extruder", "extruder1", "extruder12", "extruder_x", "")] == [0, 1, 12, 0, 0]


def test_extruders_that_move_together_each_pay_from_their_own_spool() -> None:
    ledger = new_ledger(t0=1, t1=2)
    ledger.move("extruder", moves(0, 10))
    ledger.set_drives({0: [0, 1], 1: []}, Moment(1.0, "extruder", 12.0, promised={"extruder": 12.0}))
    ledger.move("extruder", moves(10, 15, begin=2.0))
    assert ledger.state.pending == {1: 15.0, 2: 3.0}
    ledger.move("extruder1", moves(0, 9, begin=2.0))  # its motor is the other's: nothing moves
    ledger.set_tools({0: 1}, None)
    ledger.move("extruder", moves(15, 20, begin=4.0))
    assert ledger.state.pending == {1: 20.0, 2: 3.0}
    assert ledger.state.unassigned == 5.0, "two filaments don't come from one spool"
    ledger.begin_session(Session(2, "b"), complete=True)
    ledger.move("extruder", moves(0, 7))
    assert ledger.state.pending == {1: 27.0, 2: 3.0}


def test_a_report_moves_its_amount_and_gives_it_back_when_refused() -> None:
    ledger = new_ledger(t0=1)
    ledger.observe("extruder", 10.0)
    intent = ledger.begin(1, 9.0, before_mm=100.0, at=1.0)
    assert (ledger.state.pending, ledger.unreported(1)) == ({1: 1.0}, 1.0)
    ledger.refused(intent, 2.0, "no")
    assert (ledger.state.pending, ledger.state.intents) == ({1: 10.0}, {})
    assert [settled.outcome for settled in ledger.settled] == ["refused"]


def test_a_report_that_turns_up_late_is_taken_off_the_next_one() -> None:
    ledger = new_ledger(t0=1)
    ledger.observe("extruder", 10.0)
    intent = ledger.begin(1, 10.0, before_mm=0.0, at=1.0)
    ledger.taken_back(intent, 2.0, "not there")
    assert ledger.state.pending == {1: 10.0}
    ledger.applied(intent, 3.0)
    assert ledger.state.pending == {}
    assert ledger.last_settled is not None
    assert ledger.last_settled.outcome == "late"


def test_usage_of_a_spool_that_is_gone_can_be_given_to_another() -> None:
    ledger = new_ledger(t0=1)
    ledger.observe("extruder", 10.0)
    ledger.begin(1, 4.0, before_mm=0.0, at=1.0)
    assert ledger.orphan(1) == 10.0
    assert (ledger.state.orphaned, ledger.state.pending) == ({1: 10.0}, {})
    assert ledger.assign_orphaned(1, 2) == 10.0
    assert (ledger.state.orphaned, ledger.state.pending) == ({}, {2: 10.0})


def test_a_report_that_left_almost_nothing_leaves_no_orphan() -> None:
    ledger = new_ledger(t0=1)
    ledger.observe("extruder", 10.0)
    ledger.applied(ledger.begin(1, 10.0 - 4e-7, before_mm=0.0, at=1.0), 2.0)
    assert ledger.orphan(1) == 0.0
    assert (ledger.state.orphaned, ledger.state.pending) == ({}, {})
    assert ledger.state.unassigned == pytest.approx(4e-7)


def test_what_a_spool_was_charged_too_much_stays_in_the_books_when_it_is_gone() -> None:
    ledger = new_ledger(t0=1)
    ledger.observe("extruder", 10.0)
    hung = ledger.begin(1, 10.0, before_mm=0.0, at=1.0)
    ledger.taken_back(hung, 2.0, "not there")
    ledger.applied(ledger.begin(1, 10.0, before_mm=0.0, at=3.0), 4.0)
    ledger.applied(hung, 5.0)
    ledger.orphan(1)
    charged = 20.0
    assert charged + sum(ledger.state.orphaned.values()) + ledger.state.unassigned == 10.0


def test_a_job_knows_what_it_took_from_which_spool_and_tool() -> None:
    ledger = new_ledger(t0=1, t1=2)
    ledger.observe("extruder", 3.0)
    ledger.set_job(7, None)
    ledger.observe("extruder", 5.0)
    ledger.observe("extruder1", 4.0)
    ledger.set_tools({0: 1, 1: None}, None)
    ledger.observe("extruder1", 5.0)
    assert ledger.job_use == {(7, 1): 2.0, (7, 2): 4.0, (7, None): 1.0}
    assert ledger.state.job_tools == {0: 2.0, 1: 5.0}
