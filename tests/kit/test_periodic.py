from __future__ import annotations

import trio
import trio.testing

from trio_moon.kit.notices import MAX_NOTICES, Notices
from trio_moon.kit.periodic import beat_early, next_beat, periodic


async def test_work_keeps_to_the_beat_and_late_rounds_are_not_made_up_for(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    start, rounds = trio.current_time(), []

    async def work() -> None:
        rounds.append(round(trio.current_time() - start, 6))
        await trio.sleep(2.5 if len(rounds) == 2 else 0.3)

    nursery.start_soon(periodic, 1.0, work)
    await trio.sleep(7.5)
    assert rounds == [1, 2, 5, 6, 7]


async def test_everybody_with_the_same_period_wakes_at_the_same_moment(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    moments = set()

    async def work() -> None:
        moments.add(trio.current_time())

    for _ in range(3):
        nursery.start_soon(periodic, 1.0, work)
        await trio.sleep(0.3)
    await trio.sleep(3)
    assert moments == {1.0, 2.0, 3.0}


async def test_a_beat_comes_early_with_something_else_that_happens_but_not_twice(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    moments = []

    async def work() -> None:
        moments.append(trio.current_time())

    nursery.start_soon(periodic, 1.0, work)
    nursery.start_soon(periodic, 4.0, work)
    for moment in (0.7, 0.8, 0.9, 2.2, 3.1, 3.8):
        await trio.sleep_until(moment)
        beat_early()
    await trio.sleep_until(8.5)
    assert moments == [0.8, 2.0, 3.0, 3.1, 3.8, 5.0, 6.0, 7.0, 8.0, 8.0]


async def test_who_waits_for_a_beat_may_be_cancelled(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    moments = []

    async def work() -> None:
        moments.append(trio.current_time())

    nursery.start_soon(periodic, 1.0, work)
    await trio.testing.wait_all_tasks_blocked()
    with trio.move_on_after(0.1):
        await next_beat(1.0)
    await trio.sleep_until(0.8)
    beat_early()
    await trio.sleep_until(2.5)
    assert moments == [1.0, 2.0]


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
