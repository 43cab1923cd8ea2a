from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_moon.kit.topics import Topic


async def test_every_subscriber_hears_every_item_in_order() -> None:
    topic: Topic[int] = Topic()
    with topic.subscribe() as first, topic.subscribe() as second:
        for number in range(3):
            topic.publish(number)
        assert [first.receive_nowait() for _ in range(3)] == [0, 1, 2]
        assert [second.receive_nowait() for _ in range(3)] == [0, 1, 2]


async def test_publishing_without_subscribers_goes_nowhere() -> None:
    Topic[int]().publish(1)


async def test_a_reader_that_stops_reading_keeps_what_it_had_and_sees_the_end() -> None:
    topic: Topic[int] = Topic(buffer=2)
    with topic.subscribe() as slow, topic.subscribe() as quick:
        for number in range(3):
            topic.publish(number)
            assert quick.receive_nowait() == number
        assert [item async for item in slow] == [0, 1]
        topic.publish(3)
        assert quick.receive_nowait() == 3


async def test_who_left_hears_nothing_more_and_disturbs_nobody() -> None:
    topic: Topic[int] = Topic()
    with topic.subscribe() as receive:
        pass
    topic.publish(1)
    with pytest.raises(trio.ClosedResourceError):
        receive.receive_nowait()


async def test_an_observer_has_seen_an_item_when_publish_returns() -> None:
    topic: Topic[int] = Topic(buffer=1)
    seen: list[int] = []
    topic.observe(seen.append)
    for number in range(3):
        topic.publish(number)
        assert seen[-1] == number
    assert seen == [0, 1, 2]


async def test_who_follows_hears_what_comes_after_a_flood(nursery: trio.Nursery) -> None:
    topic: Topic[int] = Topic(buffer=2)
    heard: list[int] = []
    await nursery.start(topic.follow, heard.append)
    for number in range(9):  # without a pause
        topic.publish(number)
    await trio.testing.wait_all_tasks_blocked()
    topic.publish(99)
    await trio.testing.wait_all_tasks_blocked()
    assert heard == [0, 1, 2, 99]
