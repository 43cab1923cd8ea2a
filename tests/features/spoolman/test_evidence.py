"""What Spoolman's books tell of reports whose answer was lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_moon.features.spoolman.evidence import SIGNATURE_MM, Verdict, Witness, explain, signed
from trio_moon.features.spoolman.ledger import Intent, Ledger

NOISE = 1e-11
"""What Spoolman's arithmetic in grams leaves, a hundred times more than was measured."""


def open_report(ledger: Ledger, witness: Witness, used_mm: float, before_mm: float) -> Intent:
    ledger.state.pending[1] = ledger.state.pending.get(1, 0.0) + used_mm
    intent = ledger.begin(1, used_mm, before_mm, at=0.0)
    witness.begin(intent)
    return intent


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def witness(ledger: Ledger) -> Witness:
    return Witness(ledger)


def test_alone_on_a_spool_a_reading_settles_everything(ledger: Ledger, witness: Witness) -> None:
    there = open_report(ledger, witness, 12.5, 1000.0)
    witness.read(1, 1012.5 + NOISE, 1.0)
    assert witness.verdict(there) is Verdict.APPLIED
    absent = open_report(ledger, witness, 3.5, 1012.5)
    witness.read(1, 1012.5, 2.0)
    assert witness.verdict(absent) is Verdict.ABSENT


def test_a_spoolman_that_rounds_is_believed_to_a_ten_thousandth(ledger: Ledger, witness: Witness) -> None:
    intent = open_report(ledger, witness, 12.34567, 1000.0)
    witness.read(1, 1012.3456, 1.0)
    assert witness.verdict(intent) is Verdict.APPLIED


def test_a_spoolman_of_single_precision_is_believed_to_the_nearer(ledger: Ledger, witness: Witness) -> None:
    intent = open_report(ledger, witness, 12.34567, 100000.0)
    witness.read(1, 100012.375, 1.0)
    assert witness.verdict(intent) is Verdict.APPLIED
    other = open_report(ledger, witness, 12.34567, 100012.375)
    witness.read(1, 100012.3828, 2.0)
    assert witness.verdict(other) is Verdict.ABSENT


def test_a_late_report_is_found_by_the_reading_before_the_next(ledger: Ledger, witness: Witness) -> None:
    intent = open_report(ledger, witness, 5.0, 0.0)
    witness.read(1, 0.0, 1.0)
    ledger.taken_back(intent, 1.0, "")
    witness.read(1, 5.0, 2.0)
    assert ledger.state.pending == {}
    assert ledger.state.intents == {}


def test_several_late_reports_at_once_are_found(ledger: Ledger, witness: Witness) -> None:
    for used_mm in (5.25, 7.5, 1.125):
        intent = open_report(ledger, witness, used_mm, 0.0)
        witness.read(1, 0.0, 1.0)
        ledger.taken_back(intent, 1.0, "")
    witness.read(1, 5.25 + 1.125, 2.0)
    assert [intent.used_mm for intent in ledger.state.intents.values()] == [7.5]


def test_a_late_report_is_found_in_the_answer_to_the_next(ledger: Ledger, witness: Witness) -> None:
    late = open_report(ledger, witness, 5.0, 0.0)
    witness.read(1, 0.0, 1.0)
    ledger.taken_back(late, 1.0, "")
    intent = open_report(ledger, witness, 8.0, 0.0)
    witness.answered(intent, 13.0, 2.0)
    assert ledger.state.intents == {}
    assert {settled.id: settled.outcome for settled in ledger.settled} == {late.id: "late", intent.id: "applied"}


def prove_exactness(ledger: Ledger, witness: Witness) -> None:
    witness.answered(open_report(ledger, witness, 1.0, 0.0), 1.0, 0.0)


def test_among_other_writers_the_websocket_shows_our_exact_amount(ledger: Ledger, witness: Witness) -> None:
    witness.news_begin()
    prove_exactness(ledger, witness)
    intent = open_report(ledger, witness, 10.0 - 3e-7, 1.0)
    witness.told(1, 11.0, 1.0)  # the other printer's 10.0
    assert intent.id in ledger.state.intents
    witness.read(1, 21.0 - 3e-7, 2.0)
    assert witness.verdict(intent) is Verdict.WAIT
    witness.told(1, 21.0 - 3e-7, 3.0)
    assert witness.verdict(intent) is Verdict.APPLIED


def test_another_writers_equal_amount_is_not_taken_for_ours(ledger: Ledger, witness: Witness) -> None:
    witness.news_begin()
    prove_exactness(ledger, witness)
    intent = open_report(ledger, witness, 10.0 - 3e-7, 1.0)
    witness.told(1, 11.0, 1.0)
    witness.read(1, 11.0, 2.0)
    assert witness.verdict(intent) is Verdict.ABSENT


def test_news_that_come_late_are_not_counted_again(ledger: Ledger, witness: Witness) -> None:
    witness.news_begin()
    witness.told(1, 1.0, 0.0)
    intent = open_report(ledger, witness, 10.0, 3.0)
    witness.answered(intent, 13.0, 1.0)
    for used_mm in (2.0, 3.0, 13.0):  # what happened before our reading is told after it
        witness.told(1, used_mm, 2.0)
    assert ledger.state.pending == {}
    assert len(ledger.settled) == 1


@given(st.lists(st.floats(0.01, 500), min_size=1, max_size=5, unique=True), st.data())
def test_a_change_is_explained_by_the_amounts_it_is_made_of(amounts: list[float], data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(range(len(amounts))), min_size=1))
    found = explain(sum(amounts[index] for index in chosen), amounts, 1e-9)
    assert found is not None
    assert sum(amounts[index] for index in found) == pytest.approx(sum(amounts[index] for index in chosen))
    assert explain(sum(amounts) + 1.0, amounts, 1e-9) is None


@given(st.floats(1e-6, 1e6), st.floats(0, 1, exclude_max=True))
def test_a_signature_leaves_less_than_a_millionth(pending_mm: float, random: float) -> None:
    assert 0 <= pending_mm - signed(pending_mm, random) <= SIGNATURE_MM + 1e-9
    assert signed(-pending_mm, random) == -signed(pending_mm, random)


def test_news_that_come_late_do_not_settle_an_earlier_correction(ledger: Ledger, witness: Witness) -> None:
    """What was counted too much is taken off by a negative report, and that may have to be sent twice as well."""
    witness.news_begin()
    witness.told(1, 100.0, 0.0)
    lost = open_report(ledger, witness, signed(-10.0, 0.2), 100.0)
    ledger.taken_back(lost, 1.0, "")
    ledger.state.pending.clear()
    again = open_report(ledger, witness, signed(-10.0, 0.7), 100.0)
    witness.answered(again, 100.0 + again.used_mm, 2.0)
    witness.told(1, 100.0 + again.used_mm, 3.0)
    assert ledger.watched(1) != []
    assert ledger.state.pending == {}
