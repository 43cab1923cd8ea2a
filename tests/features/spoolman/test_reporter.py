"""The batching timer on a virtual clock, against a Spoolman that does what the test says."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from trio_moon.features.spoolman.client import Applied, Away, Missing, Refused, Unknown
from trio_moon.features.spoolman.courier import Courier
from trio_moon.features.spoolman.evidence import Witness
from trio_moon.features.spoolman.ledger import Ledger, Session
from trio_moon.features.spoolman.reporter import Reporter
from trio_moon.features.spoolman.retries import REFUSED_PAUSES
from trio_moon.features.spoolman.spool import Spool
from trio_moon.model.errors import NoSpace


class Scripted:
    """A Spoolman with one spool; `answer_use` may be replaced."""

    def __init__(self) -> None:
        self.used_mm = 0.0
        self.uses: list[float] = []
        self.readings = 0
        self.there = True
        self.away = ""
        self.read_after = 0.0
        self.answer_use: Callable[[float], Applied | Refused | Unknown] = self.apply
        self.use_after = 0.0

    def lose_reports(self) -> list[float]:
        """From now on no report counts or is answered; they are listed here."""
        lost: list[float] = []

        def lose(used_mm: float) -> Unknown:
            lost.append(used_mm)
            return Unknown("no answer")

        self.answer_use = lose
        return lost

    def apply(self, used_mm: float) -> Applied:
        self.used_mm += used_mm
        self.uses.append(used_mm)
        return Applied(Spool(1, self.used_mm))

    async def read_spool(self, spool_id: int) -> Spool | Missing | Away:
        self.readings += 1
        await trio.sleep(self.read_after)
        if self.away:
            return Away(self.away)
        return Spool(1, self.used_mm) if self.there else Missing("No spool with ID 1 found.")

    async def use(self, spool_id: int, used_mm: float) -> Applied | Refused | Unknown:
        if self.away:
            return Refused(self.away)
        answer = self.answer_use(used_mm)
        await trio.sleep(self.use_after)
        return answer


class Books:
    def __init__(self) -> None:
        self.commits = 0
        self.full = False

    async def commit(self, ledger: Ledger, *, durable: bool = True) -> None:
        await trio.lowlevel.checkpoint()
        if self.full:
            raise NoSpace("full")
        self.commits += 1


class World:
    def __init__(self) -> None:
        self.ledger, self.books, self.spoolman = Ledger(), Books(), Scripted()
        self.ledger.begin_session(Session(1), complete=True)
        self.ledger.set_tools({0: 1}, None)
        self.witness = Witness(self.ledger)
        self.gone: list[int] = []
        courier = Courier(
            self.ledger, self.witness, self.books, self.spoolman, on_spool=lambda spool: None, on_gone=self._gone
        )
        self.reporter = Reporter(self.ledger, self.witness, self.books, courier, every=5)

    async def _gone(self, spool_id: int, reason: str) -> None:
        self.gone.append(spool_id)
        self.ledger.orphan(spool_id)

    @property
    def pending(self) -> float:
        return self.ledger.state.pending.get(1, 0.0)


@pytest.fixture
async def world(nursery: trio.Nursery) -> World:
    world = World()
    nursery.start_soon(world.reporter.run)
    return world


async def test_usage_is_reported_in_batches(world: World, autojump_clock: MockClock) -> None:
    for mm in (1.0, 2.0, 3.0):
        world.ledger.observe("extruder", mm)
        await trio.sleep(1)
    assert world.spoolman.uses == []
    await trio.sleep(3)
    assert world.spoolman.uses == [pytest.approx(3.0)]
    await trio.sleep(60)
    assert len(world.spoolman.uses) == 1


async def test_usage_waits_while_spoolman_is_away(world: World, autojump_clock: MockClock) -> None:
    world.spoolman.away = "no route"
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(600)
    assert world.pending == 2.0
    assert world.reporter.away_because == "no route"
    world.spoolman.away = ""
    await trio.sleep(3)
    assert world.spoolman.used_mm == pytest.approx(2.0)


async def test_nothing_is_sent_that_is_not_written_down(world: World, autojump_clock: MockClock) -> None:
    world.books.full = True
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(60)
    assert world.spoolman.uses == []
    assert world.pending == pytest.approx(2.0)
    assert not world.ledger.state.intents
    world.books.full = False
    await trio.sleep(6)
    assert world.spoolman.used_mm == pytest.approx(2.0)


async def test_an_answer_that_never_comes_is_replaced_by_a_look_into_spoolmans_books(
    world: World, autojump_clock: MockClock
) -> None:
    world.spoolman.use_after = 1000
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(12)
    assert len(world.spoolman.uses) == 1
    assert world.pending == pytest.approx(0.0, abs=1e-6)
    assert not world.ledger.state.intents


async def test_a_report_that_was_swallowed_is_sent_again(world: World, autojump_clock: MockClock) -> None:
    world.spoolman.answer_use = lambda used_mm: Unknown("reset")
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(7)
    world.spoolman.answer_use = world.spoolman.apply
    await trio.sleep(6)
    assert world.spoolman.used_mm == pytest.approx(2.0)


async def test_a_report_that_arrives_after_it_was_sent_again_is_taken_off(
    world: World, autojump_clock: MockClock
) -> None:
    lost = world.spoolman.lose_reports()
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(6.5)
    world.spoolman.answer_use = world.spoolman.apply
    await trio.sleep(10)
    world.spoolman.apply(lost[0])
    await trio.sleep(20)
    assert world.spoolman.used_mm == pytest.approx(2.0, abs=1e-6)


async def test_what_spoolman_tells_to_have_counted_twice_is_taken_off_at_once(
    world: World, autojump_clock: MockClock
) -> None:
    world.witness.news_begin()
    lost = world.spoolman.lose_reports()
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(5.3)
    world.spoolman.answer_use = world.spoolman.apply
    await trio.sleep(10)
    world.witness.told(1, world.spoolman.used_mm, 0.0)
    world.reporter.note_change(1)
    await trio.sleep(2)
    world.spoolman.apply(lost[0])
    world.witness.told(1, world.spoolman.used_mm, 0.0)
    world.reporter.note_change(1)
    await trio.sleep(0.1)
    assert world.spoolman.used_mm == pytest.approx(2.0, abs=1e-6)
    assert len(lost) == 1


async def test_a_spool_that_is_surely_gone_is_given_up_and_its_usage_kept(
    world: World, autojump_clock: MockClock
) -> None:
    world.spoolman.there = False
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(7)
    assert world.gone == [1]
    assert world.ledger.state.orphaned == {1: 2.0}


async def test_a_404_from_somebody_else_drops_nothing(world: World, autojump_clock: MockClock) -> None:
    world.spoolman.answer_use = lambda used_mm: Refused("HTTP 404", 404)
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(60)
    assert world.gone == []
    assert world.pending == pytest.approx(2.0)


async def test_what_spoolman_refuses_is_parked_and_not_offered_for_ever(
    world: World, autojump_clock: MockClock
) -> None:
    offered: list[float] = []

    def refuse(used_mm: float) -> Refused:
        offered.append(used_mm)
        return Refused("HTTP 422: no", 422)

    world.spoolman.answer_use = refuse
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(sum(REFUSED_PAUSES) + 100)
    assert len(offered) == 1 + len(REFUSED_PAUSES)
    await trio.sleep(2 * 3600)
    assert len(offered) == 1 + len(REFUSED_PAUSES)
    assert world.reporter.parked[1].reason == "HTTP 422: no"
    assert world.pending == pytest.approx(2.0)
    world.spoolman.answer_use = world.spoolman.apply
    world.reporter.note_return()
    await trio.sleep(1)
    assert world.spoolman.used_mm == pytest.approx(2.0)
    assert not world.reporter.parked


async def test_who_asks_us_to_wait_is_left_alone_for_so_long(world: World, autojump_clock: MockClock) -> None:
    asked: list[float] = []

    def busy(used_mm: float) -> Refused:
        asked.append(trio.current_time())
        return Refused("HTTP 429", None, 120.0)

    world.spoolman.answer_use = busy
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(300)
    assert [after - before for before, after in itertools.pairwise(asked)] == [pytest.approx(120, abs=6)] * 2


async def test_a_report_that_hangs_is_sent_again_soon(world: World, autojump_clock: MockClock) -> None:
    world.spoolman.answer_use = lambda used_mm: Unknown("never")
    world.spoolman.use_after = 1000
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(5.1)  # the report is on its way now, and its answer won't come
    world.spoolman.answer_use = world.spoolman.apply
    world.spoolman.use_after = 0
    await trio.sleep(2.9)
    assert world.spoolman.used_mm == pytest.approx(2.0)


async def test_a_spoolman_that_counts_slowly_is_given_more_time(
    world: World, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def count_later(used_mm: float) -> None:
        await trio.sleep(3.0)
        world.spoolman.apply(used_mm)

    def count_slowly(used_mm: float) -> Unknown:
        nursery.start_soon(count_later, used_mm)
        return Unknown("no answer")

    world.spoolman.answer_use = count_slowly
    world.spoolman.use_after = 1000
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(60)
    assert world.spoolman.used_mm == pytest.approx(2.0, abs=1e-5)
    reports = len(world.spoolman.uses)
    for number in range(1, 6):
        world.ledger.observe("extruder", 2.0 + 10.0 * number)
        await trio.sleep(20)
    assert world.spoolman.used_mm == pytest.approx(52.0, abs=1e-5)
    assert [round(mm, 5) for mm in world.spoolman.uses[reports:]] == [10.0] * 5


async def test_reports_that_vanish_are_not_sent_too_often(world: World, autojump_clock: MockClock) -> None:
    sent = world.spoolman.lose_reports()
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(15)
    assert len(sent) > 5
    await trio.sleep(3600)
    assert len(sent) < 90
    world.spoolman.answer_use = world.spoolman.apply
    await trio.sleep(70)
    assert world.spoolman.used_mm == pytest.approx(2.0)


async def test_a_change_of_a_refused_spool_is_a_reason_to_offer_again(world: World, autojump_clock: MockClock) -> None:
    world.spoolman.answer_use = lambda used_mm: Refused("HTTP 422: no", 422)
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(3600)
    world.spoolman.answer_use = world.spoolman.apply
    world.reporter.note_change(2)
    await trio.sleep(3600)
    assert world.pending == pytest.approx(2.0)
    world.reporter.note_change(1)
    await trio.sleep(0.5)
    assert world.spoolman.used_mm == pytest.approx(2.0)


async def test_a_spoolman_that_is_away_is_not_asked_all_the_time(world: World, autojump_clock: MockClock) -> None:
    world.spoolman.answer_use = lambda used_mm: Refused("HTTP 422: no", 422)
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(20)
    world.spoolman.away = "no route"
    world.reporter.note_return()
    before = world.spoolman.readings
    await trio.sleep(100)
    assert world.spoolman.readings - before < 110


async def test_what_spoolman_asked_us_to_wait_for_ends_with_its_return(world: World, autojump_clock: MockClock) -> None:
    world.spoolman.answer_use = lambda used_mm: Refused("HTTP 503", None, 300.0)
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(20)
    world.spoolman.answer_use = world.spoolman.apply
    await trio.sleep(20)
    assert world.pending == pytest.approx(2.0)
    world.reporter.note_return()
    await trio.sleep(0.5)
    assert world.spoolman.used_mm == pytest.approx(2.0)


async def test_what_was_used_while_a_report_hung_follows_it_at_once(world: World, autojump_clock: MockClock) -> None:
    world.ledger.observe("extruder", 2.0)
    world.spoolman.use_after = 1000
    await trio.sleep(5.5)
    world.spoolman.read_after = 1000
    await trio.sleep(6.0)
    world.ledger.observe("extruder", 5.0)
    world.spoolman.use_after = world.spoolman.read_after = 0
    with trio.fail_after(2.0):
        while world.spoolman.used_mm < 4.9:
            await trio.sleep(0.01)
    world.ledger.observe("extruder", 6.0)  # told late
    await trio.sleep(1.1)
    assert world.spoolman.used_mm == pytest.approx(6.0)
    world.ledger.observe("extruder", 7.0)
    await trio.sleep(2.0)
    assert world.spoolman.used_mm == pytest.approx(6.0)
    await trio.sleep(3.5)
    assert world.spoolman.used_mm == pytest.approx(7.0)


async def test_a_question_that_hangs_is_asked_again_beside_it(world: World, autojump_clock: MockClock) -> None:
    world.spoolman.read_after = 1000
    world.ledger.observe("extruder", 2.0)
    await trio.sleep(6)
    world.spoolman.read_after = 0
    await trio.sleep(3)
    assert world.spoolman.used_mm == pytest.approx(2.0)


async def test_a_report_that_was_taken_back_is_watched_for_a_quarter_of_an_hour_whatever_the_clock_says(
    world: World, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    lost = world.spoolman.lose_reports()
    world.ledger.observe("extruder", 12.5)
    while not world.ledger.state.intents or world.ledger.open_intent(1):
        await trio.sleep(0.1)
    world.spoolman.answer_use = world.spoolman.apply
    await trio.sleep(10)
    monkeypatch.setattr("time.time", lambda: 4e9)  # the network has told it
    await trio.sleep(600)
    assert len(world.ledger.watched(1)) == len(lost) > 0
    await trio.sleep(600)
    assert world.ledger.watched(1) == []


async def test_news_of_a_report_that_was_sent_again_are_not_taken_for_the_lost_one(
    world: World, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)  # one report in a hundred has a signature like the last one's
    world.witness.news_begin()
    lost = world.spoolman.lose_reports()
    world.ledger.observe("extruder", 12.5)
    while not world.ledger.state.intents or world.ledger.open_intent(1):
        await trio.sleep(0.1)
    world.spoolman.answer_use = world.spoolman.apply
    while not world.spoolman.uses:
        await trio.sleep(0.1)
    world.witness.told(1, world.spoolman.used_mm, 0.0)  # after the answer
    assert len(world.ledger.watched(1)) == len(lost)
    assert world.pending == pytest.approx(0, abs=1e-6)
