from __future__ import annotations

import math

import pytest

from trio_moon.features.spoolman.ledger import Ledger, Moment, Session
from trio_moon.features.spoolman.promises import STILL_FOR, TOLD_WITHIN, Promises

FIRST, SECOND = Moment(10.0, "extruder", 5.0), Moment(11.0, "extruder1", 7.0)


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.begin_session(Session(1), complete=True)
    return ledger


@pytest.fixture
def promises() -> Promises:
    promises = Promises()
    promises.note(FIRST, 100.0)
    promises.note(SECOND, 100.2)
    return promises


def done_of(promises: Promises, now: float, clock: float | None, *, stopped: bool = False) -> list[Moment]:
    return [moment for moment, _ in promises.kept(now, clock=clock, stopped=stopped)]


def test_what_is_known_to_be_done_is_not_asked_for(promises: Promises, ledger: Ledger) -> None:
    ledger.observe("extruder", 5.0)
    assert promises.lacking(ledger) == [SECOND]
    ledger.observe("extruder1", 9.0)
    assert promises.lacking(ledger) == []


def test_a_promise_is_kept_when_its_time_has_come(promises: Promises) -> None:
    assert done_of(promises, 200.0, 9.9) == []
    assert done_of(promises, 200.0, 10.5) == [FIRST]
    assert done_of(promises, 200.0, 11.0) == [FIRST, SECOND]


def test_the_moves_themselves_are_waited_for(promises: Promises) -> None:
    assert done_of(promises, 100.0 + TOLD_WITHIN - 0.1, 99.0) == []
    assert done_of(promises, 100.0 + TOLD_WITHIN, 99.0) == [FIRST]


def test_a_printer_without_a_clock_tells_by_standing_still(promises: Promises) -> None:
    promises.note(FIRST, 100.3)  # told again, with another field changed
    assert done_of(promises, 100.0 + TOLD_WITHIN, None) == [FIRST]
    assert promises.at_the_end(100.0 + STILL_FOR, clock=None, stopped=False) == [(FIRST, math.inf)]


def test_a_stopped_printer_breaks_its_promises_after_a_second_look(promises: Promises, ledger: Ledger) -> None:
    for left in ([FIRST, SECOND], []):
        assert done_of(promises, 200.0, 99.0, stopped=True) == []
        assert promises.lacking(ledger) == left


def test_what_a_stopped_printer_had_planned_is_looked_at_to_its_end(promises: Promises, ledger: Ledger) -> None:
    for clock, left in ((9.0, [FIRST, SECOND]), (10.5, [FIRST, SECOND]), (11.1, [FIRST, SECOND]), (12.0, [])):
        assert done_of(promises, 200.0, clock, stopped=True) == []
        assert promises.lacking(ledger) == left


def test_a_stopped_printer_that_plans_for_no_sensible_time_gets_two_looks(ledger: Ledger) -> None:
    promises, commanded = Promises(), Moment(math.nan, "extruder", 5.0)
    promises.note(commanded, 100.0)
    for left in ([commanded], []):
        assert done_of(promises, 200.0, 99.0, stopped=True) == []
        assert promises.lacking(ledger) == left


def test_a_printer_that_goes_on_after_a_stop_keeps_its_promises(promises: Promises, ledger: Ledger) -> None:
    for stopped in (True, False, True):
        assert done_of(promises, 200.0, 1.0, stopped=stopped) == []
    assert promises.lacking(ledger) == [FIRST, SECOND]


def test_what_was_commanded_anew_is_waited_for_anew(promises: Promises) -> None:
    promises.note(Moment(10.1, "extruder", 6.0), 150.0)
    assert done_of(promises, 150.1, 10.5) == []


def test_where_an_extruder_was_seen_counts_if_its_moves_are_not_told(promises: Promises, ledger: Ledger) -> None:
    seen = Moment(8.0, "extruder", 3.0)
    promises.saw(seen, 100.0)
    promises.saw(Moment(9.0, "extruder", 4.0), 100.5)  # the first is not forgotten over it
    assert promises.lacking(ledger) == [FIRST, SECOND, seen]
    assert done_of(promises, 100.5, 9.0) == []
    assert promises.kept(101.0, clock=9.5, stopped=False) == [(seen, 8.0)]
    assert done_of(promises, 102.0, 9.5) == []


def test_a_stop_takes_nothing_back_that_was_seen(promises: Promises) -> None:
    seen = Moment(8.0, "extruder", 3.0)
    promises.saw(seen, 100.0)
    assert promises.kept(102.0, clock=99.0, stopped=True) == [(seen, 8.0)]


def test_at_the_end_of_a_connection_nothing_is_waited_for(promises: Promises) -> None:
    seen = Moment(8.0, "extruder", 3.0)
    promises.saw(seen, 100.3)
    assert promises.at_the_end(100.3, clock=10.0, stopped=True) == [(seen, 8.0)]
    assert promises.at_the_end(100.3, clock=10.0, stopped=False) == [(FIRST, math.inf)]
    assert promises.at_the_end(100.3, clock=math.nan, stopped=False) == []


def test_a_new_life_promises_nothing(promises: Promises, ledger: Ledger) -> None:
    promises.saw(FIRST, 100.0)
    promises.forget()
    assert promises.lacking(ledger) == []
    assert done_of(promises, 200.0, 99.0) == []


def test_commands_of_before_reach_as_far_as_the_farthest(promises: Promises) -> None:
    assert promises.upto(Moment(10.5, "extruder", 2.0)) == {"extruder": 5.0, "extruder1": 7.0}
    assert promises.upto(Moment(10.5, "extruder", 6.0)) == {"extruder": 6.0, "extruder1": 7.0}
    assert Promises().upto(FIRST) == {"extruder": 5.0}
