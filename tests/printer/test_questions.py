from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.printer.conftest import House
from trio_moon.kit.json_codec import Raw
from trio_moon.kit.pending import Pending
from trio_moon.model.errors import KlippyAway
from trio_moon.printer.questions import FRESH, JOINABLE, MOST, Questions


class Klipper:
    """Takes requests down and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object, Pending[Raw]]] = []

    def begin(self, method: str, params: object) -> Pending[Raw]:
        pending: Pending[Raw] = Pending()
        self.asked.append((method, params, pending))
        return pending

    def answer(self, text: bytes) -> None:
        self.asked[-1][2].settle(Raw(text))


@pytest.fixture
def klipper() -> Klipper:
    return Klipper()


@pytest.fixture
def questions(klipper: Klipper) -> Questions:
    return Questions(klipper.begin)


async def test_who_asks_the_same_at_the_same_time_gets_the_same_answer(klipper: Klipper, questions: Questions) -> None:
    first, second = questions.ask("info"), questions.ask("info")
    told: list[bytes] = []
    for pending in (first, second):
        pending.then(lambda: told.append(bytes(first.result())))
    klipper.answer(b"1")
    assert told == [b"1", b"1"]
    assert await second == Raw(b"1")
    assert len(klipper.asked) == 1


async def test_different_questions_are_different(klipper: Klipper, questions: Questions) -> None:
    questions.ask("info")
    questions.ask("objects/query", {"objects": {"toolhead": None}})
    questions.ask("objects/query", {"objects": {"extruder": None}})
    questions.ask("objects/query", {"objects": {"extruder": None}})
    assert len(klipper.asked) == 3


async def test_an_answer_is_given_again_for_a_moment_only(
    klipper: Klipper, questions: Questions, autojump_clock: trio.testing.MockClock
) -> None:
    questions.ask("info")
    await trio.sleep(JOINABLE / 2)
    klipper.answer(b"1")
    await trio.sleep(FRESH * 0.9)
    assert questions.ask("info").result() == Raw(b"1")
    await trio.sleep(FRESH * 0.2)
    assert not questions.ask("info").settled
    assert len(klipper.asked) == 2


async def test_nobody_waits_for_long_with_somebody_elses_question(
    klipper: Klipper, questions: Questions, autojump_clock: trio.testing.MockClock
) -> None:
    questions.ask("info")
    await trio.sleep(JOINABLE * 1.1)
    questions.ask("info")
    assert len(klipper.asked) == 2


@pytest.mark.parametrize("answered", [True, False])
async def test_what_was_said_or_heard_makes_answers_old(klipper: Klipper, questions: Questions, answered: bool) -> None:
    questions.ask("info")
    if answered:
        klipper.answer(b"1")
    questions.forget()
    assert not questions.ask("info").settled
    assert len(klipper.asked) == 2


async def test_a_failure_is_told_to_those_who_wait_and_to_nobody_later(klipper: Klipper, questions: Questions) -> None:
    first, second = questions.ask("info"), questions.ask("info")
    klipper.asked[0][2].fail(KlippyAway("gone"))
    for pending in (first, second):
        with pytest.raises(KlippyAway):
            pending.result()
    assert not questions.ask("info").settled


async def test_few_answers_are_kept(klipper: Klipper, questions: Questions) -> None:
    for number in range(MOST * 3):
        questions.ask("objects/query", number)
    assert len(questions._asked) <= MOST


async def test_what_a_command_has_changed_is_seen_by_whoever_asks_next(ready: House, nursery: trio.Nursery) -> None:
    printer, seen = ready.printer, []

    async def keep_asking() -> None:
        while True:
            await printer.question("objects/query", {"objects": {"gcode_move": ["speed_factor"]}})

    for _ in range(3):
        nursery.start_soon(keep_asking)
    for percent in (50, 60, 70, 80):
        await printer.run_gcode(f"M220 S{percent}")
        answer = await printer.question("objects/query", {"objects": {"gcode_move": ["speed_factor"]}})
        seen.append(bytes(answer))
    assert [b"0.%d" % number in answer for number, answer in zip((5, 6, 7, 8), seen, strict=True)] == [True] * 4


async def test_a_crowd_costs_klipper_what_one_client_costs(ready: House) -> None:
    async def ask() -> None:
        await ready.printer.question("info")

    asked_before = len(ready.klipper.requests("info"))
    async with trio.open_nursery() as clients:
        for _ in range(200):
            clients.start_soon(ask)
    assert len(ready.klipper.requests("info")) - asked_before < 20
