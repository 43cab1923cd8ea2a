"""One notifier's queue: order, retries, age, restraint, and what survives a restart. On a clock that jumps."""

from __future__ import annotations

from datetime import datetime

import trio
from msgspec.structs import replace
from trio.testing import MockClock

from tests.features.notifiers.doubles import NOON, Household, Postman, settings
from trio_moon.config.templates import Template
from trio_moon.features.notifiers.news import News
from trio_moon.features.notifiers.outbox import CAPACITY

JOB = ("started", "paused", "resumed", "error", "cancelled", "complete")


async def test_messages_go_out_in_the_order_of_their_events(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = Household(settings())
    await nursery.start(house.notifier.run)
    house.hear(*JOB)
    await trio.sleep(1)
    assert house.courier.bodies == list(JOB)
    assert house.memory.rows == {}
    assert house.status["sent"] == 6
    assert house.status["last_success"] == house.wall_clock() - 1


async def test_a_slow_picture_does_not_change_the_order_and_shows_the_moment_of_the_event(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings("attach: {event_name}.jpg"), Postman(takes=20))
    house.album.takes = 4
    await nursery.start(house.notifier.run)
    house.hear("started", "complete")
    await trio.sleep(60)
    assert house.courier.attempts == [4, 24]
    assert [(letter.body, letter.pictures[0].name) for _, letter in house.courier.delivered] == [
        ("started", "started.jpg"),
        ("complete", "complete.jpg"),
    ]


async def test_only_wanted_events_are_told(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = Household(settings(events="complete, klippy_shutdown, heating"))
    await nursery.start(house.notifier.run)
    house.hear(
        "started", "klippy_shutdown", "klippy_ready", "standby", "heating", "complete", "remote_action", "progress:50"
    )
    await trio.sleep(1)
    assert house.courier.bodies == ["klippy_shutdown", "heating", "complete", "remote_action", "progress:50"]


async def test_a_star_means_every_step_of_a_job_and_a_forks_states_but_nothing_else(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings())
    await nursery.start(house.notifier.run)
    house.hear("standby", "klippy_ready", "spoolman_lost", "filament_low", "first_layer", "heating", "complete")
    await trio.sleep(1)
    assert house.courier.bodies == ["heating", "complete"]


async def test_what_failed_is_tried_again_with_growing_pauses_until_the_network_is_back(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings(), Postman(online=False))
    await nursery.start(house.notifier.run)
    house.hear("complete", "started")
    await trio.sleep(600)
    assert len(house.courier.attempts) in range(20, 30)
    assert house.status["attempts"] == len(house.courier.attempts)
    assert (house.status["queued"], house.status["failed"]) == (2, 0)
    assert house.status["last_error"] == "connection refused"
    house.courier.online = True
    await trio.sleep(31)
    assert house.courier.bodies == ["complete", "started"]
    assert house.notices() == []


async def test_a_message_that_grew_too_old_is_given_up_with_one_sentence(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings("max_age: 60"), Postman(online=False))
    await nursery.start(house.notifier.run)
    house.hear("complete")
    await trio.sleep(59)
    assert house.notices() == []
    await trio.sleep(2)
    assert (house.status["queued"], house.status["failed"]) == (0, 1)
    assert house.notices() == ["[notifier phone] the message about 'complete' was given up: connection refused"]
    assert house.memory.rows == {}
    house.courier.online = True
    await trio.sleep(100)
    assert house.courier.bodies == []


async def test_retries_can_be_limited(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = Household(settings("retries: 2"), Postman(online=False))
    await nursery.start(house.notifier.run)
    house.hear("complete", "started")
    await trio.sleep(100)
    assert len(house.courier.attempts) == 6
    assert house.status["failed"] == 2
    assert house.notices() == [
        "[notifier phone] the message about 'started' was given up: connection refused (2 given up so far)"
    ]


async def test_an_address_that_can_not_work_is_not_tried_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings(), Postman(hopeless=True))
    await nursery.start(house.notifier.run)
    await house.notifier.check()
    assert house.notices() == ["[notifier phone] option 'url': Apprise can't use this address"]
    house.hear("complete")
    await trio.sleep(100)
    assert len(house.courier.attempts) == 1
    assert "was given up: no such chat" in house.notices()[1]


async def test_a_secret_that_is_missing_is_told_before_the_first_message(nursery: trio.Nursery) -> None:
    house = Household(replace(settings(), url=Template("{secrets.chat.token}")), Postman())
    await nursery.start(house.notifier.run)
    await house.notifier.check()
    assert house.notices() == ["[notifier phone] option 'url': template failed: there is no secret 'chat'"]


async def test_an_attempt_that_hangs_is_ended_by_its_deadline(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = Household(settings("timeout: 5\nretries: 0"), Postman(hangs_for=10_000))
    await nursery.start(house.notifier.run)
    house.hear("complete", "started")
    await trio.sleep(4)
    assert house.notices() == []
    await trio.sleep(2)
    assert (house.status["failed"], house.status["last_error"]) == (1, "no answer within 5 s")
    house.courier.hangs_for = 0
    await trio.sleep(5)
    assert house.courier.bodies == []  # its own attempt began while the service still hung
    await trio.sleep(100)
    assert house.status["failed"] == 2
    house.hear("error")
    await trio.sleep(1)
    assert house.courier.bodies == ["error"]


async def test_when_too_many_wait_the_newest_are_kept(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = Household(settings(), Postman(online=False))
    await nursery.start(house.notifier.run)
    for number in range(CAPACITY + 5):
        house.notifier.hear(News("remote_action", (), str(number), at=house.wall_clock()))
        await trio.sleep(0.01)
    assert (house.status["queued"], house.status["failed"]) == (CAPACITY, 5)
    house.courier.online = True
    await trio.sleep(100)
    assert house.courier.bodies[-CAPACITY + 1 :] == [str(number) for number in range(6, CAPACITY + 5)]
    assert house.memory.rows == {}


async def test_what_was_not_delivered_is_delivered_after_a_restart_as_it_was_written(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings("attach: then.jpg"), Postman(online=False))
    with trio.CancelScope() as first_run:
        async with trio.open_nursery() as inner:
            await inner.start(house.notifier.run)
            house.hear("started", "complete")
            await trio.sleep(10)
            first_run.cancel()
    assert len(house.memory.rows) == 2
    later = Household(settings("attach: later.jpg"), memory=house.memory, starts_at=house.wall_clock() + 100)
    await nursery.start(later.notifier.run)
    await trio.sleep(1)
    assert later.courier.bodies == ["started", "complete"]
    names = [letter.pictures[0].name for _, letter in later.courier.delivered]
    assert names == ["then.jpg", "later.jpg"]  # the second was never tried, so it is written anew
    assert later.memory.rows == {}


async def test_what_grew_too_old_while_we_were_away_is_given_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings("max_age: 600"))
    await house.memory.add("phone", News("complete", at=NOON - 601))
    await house.memory.add("phone", News("started", at=NOON - 599))
    await house.memory.add("phone", News("paused", at=NOON + 5000))  # before the clock was set
    await nursery.start(house.notifier.run)
    await trio.sleep(1)
    assert house.courier.bodies == ["started", "paused"]
    assert house.status["last_error"] == "older than 600 s"


async def test_a_pause_shorter_than_the_debounce_is_not_told(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = Household(settings("pause_debounce: 10"))
    await nursery.start(house.notifier.run)
    house.hear("started")
    for _ in range(3):  # a timelapse pauses every layer
        house.hear("paused")
        await trio.sleep(9)
        house.hear("resumed")
        await trio.sleep(5)
    assert house.courier.bodies == ["started"]
    house.hear("paused")
    await trio.sleep(11)
    house.hear("resumed")
    await trio.sleep(1)
    assert house.courier.bodies == ["started", "paused", "resumed"]
    house.hear("paused")
    await trio.sleep(1)
    house.hear("cancelled")
    await trio.sleep(1)
    assert house.courier.bodies == ["started", "paused", "resumed", "cancelled"]
    assert house.status["suppressed"] == 4
    assert house.memory.rows == {}


async def test_a_debounced_pause_ends_even_when_resumed_is_not_wanted(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings("pause_debounce: 10", events="paused"))
    await nursery.start(house.notifier.run)
    house.hear("paused")
    await trio.sleep(5)
    house.hear("resumed")
    await trio.sleep(100)
    assert house.courier.bodies == []


async def test_the_same_event_is_not_told_again_within_the_least_interval(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings("min_interval: 60"))
    await nursery.start(house.notifier.run)
    for _ in range(4):
        house.hear("paused", "resumed")
        await trio.sleep(25)
    assert house.courier.bodies == ["paused", "resumed", "paused", "resumed"]
    assert house.status["suppressed"] == 4


def clock(hour: int, minute: int) -> float:
    return datetime(2026, 6, 1, hour, minute).timestamp()


async def test_quiet_hours_keep_messages_for_the_morning(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = Household(settings("quiet_hours: 22:00-07:00\nmax_age: 600"), starts_at=clock(21, 59))
    await nursery.start(house.notifier.run)
    house.hear("started")
    await trio.sleep(61)
    assert house.courier.bodies == ["started"]
    house.hear("error")
    await trio.sleep(9 * 3600 - 120)
    assert house.courier.bodies == ["started"]
    await trio.sleep(120)
    assert house.courier.bodies == ["started", "error"]


async def test_a_template_that_fails_costs_only_its_own_text_and_says_so(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings("title: Print\nbody: {event_args[1].x.y}\nattach: missing"))
    await nursery.start(house.notifier.run)
    house.hear("complete")
    await trio.sleep(1)
    ((_, letter),) = house.courier.delivered
    assert letter.title == "Print"
    assert letter.body == (
        "complete\n(body: template failed: 'dict object' has no attribute 'x')\n(no picture: it is missing)"
    )
    assert house.notices() == ["[notifier phone] complete: no picture: it is missing"]


async def test_a_template_that_gives_nothing_sends_nothing(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = Household(settings("body: {% if event_name == 'error' %}Help{% endif %}"))
    await nursery.start(house.notifier.run)
    house.hear("complete", "error")
    await trio.sleep(1)
    assert house.courier.bodies == ["Help"]
    assert house.status["suppressed"] == 1


async def test_an_attempt_in_flight_may_end_when_the_service_does(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings(), Postman(takes=1.2))
    with trio.move_on_after(1):
        await house.notifier.run()
    assert house.courier.attempts == []
    house.hear("complete")
    with trio.move_on_after(1):
        await house.notifier.run()
    assert house.courier.bodies == ["complete"]
    assert house.memory.rows == {}


async def test_a_hanging_attempt_does_not_hold_up_the_end(autojump_clock: MockClock) -> None:
    house = Household(settings(), Postman(hangs_for=10_000))
    house.hear("complete")
    began = trio.current_time()
    with trio.move_on_after(1):
        await house.notifier.run()
    assert trio.current_time() - began < 1.5
    assert len(house.memory.rows) == 1


async def test_a_mistake_of_ours_in_writing_costs_the_letter_its_form_not_the_notifier_its_life(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = Household(settings("attach: {event_name}.jpg"))
    house.album.broken_for = "started.jpg"
    await nursery.start(house.notifier.run)
    house.hear("started", "complete")
    await trio.sleep(1)
    assert house.courier.bodies == ["started", "complete"]
    assert house.memory.rows == {}
