from __future__ import annotations

import pytest

from trio_moon.features.spoolman.ledger import Ledger, Moment, Session
from trio_moon.features.spoolman.promises import STILL_FOR, Promises

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


def test_what_is_known_to_be_done_is_not_asked_for(promises: Promises, ledger: Ledger) -> None:
    ledger.observe("extruder", 5.0)
    assert promises.lacking(ledger) == [SECOND]
    ledger.observe("extruder1", 9.0)
    assert promises.lacking(ledger) == []


def test_a_promise_is_kept_when_its_time_has_come(promises: Promises, ledger: Ledger) -> None:
    lacking = promises.lacking(ledger)
    assert promises.kept(lacking, 200.0, clock=9.9, stopped=False) == []
    assert promises.kept(lacking, 200.0, clock=10.5, stopped=False) == [FIRST]
    assert promises.kept(lacking, 200.0, clock=11.0, stopped=False) == [FIRST, SECOND]


def test_a_printer_without_a_clock_tells_by_standing_still(promises: Promises, ledger: Ledger) -> None:
    lacking = promises.lacking(ledger)
    assert promises.kept(lacking, 100.1, clock=None, stopped=False) == []
    promises.note(FIRST, 100.3)  # told again, with another field changed
    assert promises.kept(lacking, 100.0 + STILL_FOR, clock=None, stopped=False) == [FIRST]
    assert promises.kept(lacking, 101.0, clock=None, stopped=False) == [FIRST, SECOND]


def test_a_stopped_printer_breaks_its_promises_after_a_second_look(promises: Promises, ledger: Ledger) -> None:
    for left in ([FIRST, SECOND], []):
        assert promises.kept(promises.lacking(ledger), 200.0, clock=99.0, stopped=True) == []
        assert promises.lacking(ledger) == left


def test_a_printer_that_goes_on_after_a_stop_keeps_its_promises(promises: Promises, ledger: Ledger) -> None:
    assert promises.kept(promises.lacking(ledger), 200.0, clock=1.0, stopped=True) == []
    assert promises.kept(promises.lacking(ledger), 200.0, clock=1.0, stopped=False) == []
    assert promises.kept(promises.lacking(ledger), 200.0, clock=1.0, stopped=True) == []
    assert promises.lacking(ledger) == [FIRST, SECOND]


def test_what_went_on_while_somebody_asked_is_looked_at_again(promises: Promises, ledger: Ledger) -> None:
    lacking = promises.lacking(ledger)
    promises.note(Moment(12.0, "extruder", 6.0), 101.0)
    assert promises.kept(lacking, 200.0, clock=10.5, stopped=False) == []


def test_a_new_life_promises_nothing(promises: Promises, ledger: Ledger) -> None:
    lacking = promises.lacking(ledger)
    promises.forget()
    assert promises.lacking(ledger) == []
    assert promises.kept(lacking, 200.0, clock=99.0, stopped=False) == []


def test_commands_of_before_reach_as_far_as_the_farthest(promises: Promises) -> None:
    assert promises.upto(Moment(10.5, "extruder", 2.0)) == {"extruder": 5.0, "extruder1": 7.0}
    assert promises.upto(Moment(10.5, "extruder", 6.0)) == {"extruder": 6.0, "extruder1": 7.0}
    assert Promises().upto(FIRST) == {"extruder": 5.0}
