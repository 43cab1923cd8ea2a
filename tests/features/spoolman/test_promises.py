from __future__ import annotations

import pytest

from trio_moon.features.spoolman.ledger import Ledger, Moment, Session
from trio_moon.features.spoolman.promises import Promises

FIRST, SECOND = Moment(10.0, "extruder", 5.0), Moment(11.0, "extruder1", 7.0)


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.begin_session(Session(1), complete=True)
    return ledger


def test_what_is_known_to_be_done_is_not_asked_for(ledger: Ledger) -> None:
    promises = Promises()
    promises.note(FIRST)
    promises.note(SECOND)
    ledger.observe("extruder", 5.0)
    assert promises.lacking(ledger) == {SECOND: False}
    assert promises.lacking(ledger) == {SECOND: True}
    ledger.observe("extruder1", 9.0)
    assert promises.lacking(ledger) == {}


def test_a_promise_is_kept_when_its_time_has_come(ledger: Ledger) -> None:
    promises = Promises()
    promises.note(FIRST)
    promises.note(SECOND)
    lacking = promises.lacking(ledger)
    assert promises.kept(lacking, 9.9, stopped=False) == []
    assert promises.kept(lacking, 10.5, stopped=False) == [FIRST]
    assert promises.kept(lacking, 11.0, stopped=False) == [FIRST, SECOND]


def test_a_printer_without_a_clock_tells_by_standing_still(ledger: Ledger) -> None:
    promises = Promises()
    promises.note(FIRST)
    assert promises.kept(promises.lacking(ledger), None, stopped=False) == []
    assert promises.kept(promises.lacking(ledger), None, stopped=False) == [FIRST]


def test_a_stopped_printer_breaks_its_promises_after_a_last_look(ledger: Ledger) -> None:
    promises = Promises()
    promises.note(FIRST)
    assert promises.kept(promises.lacking(ledger), 99.0, stopped=True) == []
    assert promises.lacking(ledger) == {FIRST: True}
    assert promises.kept({FIRST: True}, 99.0, stopped=True) == []
    assert promises.lacking(ledger) == {}


def test_what_went_on_while_somebody_asked_is_looked_at_again(ledger: Ledger) -> None:
    promises = Promises()
    promises.note(FIRST)
    lacking = promises.lacking(ledger)
    promises.note(Moment(12.0, "extruder", 6.0))
    assert promises.kept(lacking, 10.5, stopped=False) == []


def test_a_new_life_promises_nothing(ledger: Ledger) -> None:
    promises = Promises()
    promises.note(FIRST)
    lacking = promises.lacking(ledger)
    promises.forget()
    assert promises.lacking(ledger) == {}
    assert promises.kept(lacking, 99.0, stopped=False) == []
