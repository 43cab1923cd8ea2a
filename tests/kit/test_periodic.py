from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_moon.kit.notices import MAX_NOTICES, Notices
from trio_moon.kit.periodic import beat_early, next_beat, periodic


async def test_who_works_on_every_beat_and_takes_too_long_does_not_make_up_for_it(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    start, rounds = trio.current_time(), []

    async def work() -> None:
        while True:
            await next_beat(1.0)
            rounds.append(round(trio.current_time() - start, 6))
            await trio.sleep(2.5 if len(rounds) == 2 else 0.3)

    nursery.start_soon(work)
    await trio.sleep(7.5)
    assert rounds == [1, 2, 5, 6, 7]


async def test_all_of_the_same_period_is_done_at_the_same_moment(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    moments: list[float] = []

    for _ in range(3):
        nursery.start_soon(periodic, 1.0, lambda: moments.append(trio.current_time()))
        await trio.sleep(0.3)
    await next_beat(1.0)
    assert trio.current_time() == 1.0
    await trio.sleep_until(3.5)
    assert moments == [1.0] * 3 + [2.0] * 3 + [3.0] * 3


async def test_a_beat_comes_early_with_something_else_that_happens_but_not_twice(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    moments: list[float] = []

    def work() -> None:
        moments.append(trio.current_time())

    nursery.start_soon(periodic, 1.0, work)
    nursery.start_soon(periodic, 4.0, work)
    for moment in (0.7, 0.8, 0.9, 2.2, 3.1, 3.8):
        await trio.sleep_until(moment)
        beat_early()
    await trio.sleep_until(8.5)
    assert moments == [0.8, 2.0, 3.0, 3.1, 3.8, 5.0, 6.0, 7.0, 8.0, 8.0]


async def test_a_beat_comes_once_when_something_else_happens_at_the_moment_it_is_due(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    moments: list[float] = []
    nursery.start_soon(periodic, 1.0, lambda: moments.append(trio.current_time()))
    for moment in range(1, 30):  # which task Trio runs first is a matter of chance
        await trio.sleep_until(moment)
        beat_early()
    await trio.sleep_until(29.5)
    assert moments == list(range(1, 30))


async def test_who_waits_for_a_beat_may_be_cancelled(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    moments: list[float] = []
    nursery.start_soon(periodic, 1.0, lambda: moments.append(trio.current_time()))
    await trio.testing.wait_all_tasks_blocked()
    with trio.move_on_after(0.1):
        await next_beat(1.0)
    with trio.move_on_after(0.1):
        await periodic(1.0, lambda: moments.append(-1))
    await trio.sleep_until(0.8)
    beat_early()
    await trio.sleep_until(2.5)
    assert moments == [0.8, 2.0]


async def test_work_that_fails_ends_for_itself_alone_and_says_why(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    moments: list[float] = []

    def fail() -> None:
        moments.append(-1)
        raise ValueError("no more")

    async def failing() -> None:
        with pytest.raises(ValueError, match="no more"):
            await periodic(1.0, fail)
        moments.append(trio.current_time())

    nursery.start_soon(failing)
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(periodic, 1.0, lambda: moments.append(trio.current_time()))
    await trio.sleep_until(2.5)
    assert moments == [-1, 1.0, 1.0, 2.0]


async def test_who_is_not_needed_sleeps_on(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    moments: list[float] = []
    nursery.start_soon(periodic, 1.0, lambda: moments.append(trio.current_time()))
    await next_beat(1.0, lambda: len(moments) >= 3)
    assert trio.current_time() == 3.0
    await next_beat(1.0, lambda: bool(1 // 0))
    assert trio.current_time() == 4.0
    assert "can't be said" in caplog.text


async def test_beats_end_with_the_last_who_wants_them_and_begin_anew(autojump_clock: trio.testing.MockClock) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    await next_beat(1.0)
    await trio.sleep_until(2.5)
    assert trio.lowlevel.current_statistics().tasks_living == before
    await next_beat(1.0)
    assert trio.current_time() == 3.0


def test_a_later_word_on_the_same_matter_replaces_the_earlier() -> None:
    notices = Notices()
    notices.add_source(lambda: ["from the file"])
    notices.post("disk", "the disk is nearly full")
    notices.post("disk", "the disk is full")
    assert notices() == ["from the file", "the disk is full"]
    notices.withdraw("disk")
    assert notices() == ["from the file"]


def test_notices_are_bounded() -> None:
    notices = Notices()
    for number in range(MAX_NOTICES * 2):
        notices.post(str(number), f"sentence {number}")
    assert len(notices()) == MAX_NOTICES
    assert notices()[-1] == f"sentence {MAX_NOTICES * 2 - 1}"
