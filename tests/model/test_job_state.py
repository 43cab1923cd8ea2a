"""A job's events, as one pure state machine reads them from print_stats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_moon.model.job_state import JobEvent, JobState, freeze, thaw

Told = dict[str, object]


def stats(state: str, filename: str = "", total: float = 0.0, **more: object) -> Told:
    return {"state": state, "filename": filename, "total_duration": total, "message": "", **more}


def names(events: list[JobEvent]) -> list[str]:
    return [event.name for event in events]


def events_of(*news: Told) -> list[str]:
    """The names of all events; the first news is what stood when we came."""
    job = JobState()
    return [event.name for told in news for event in job.update(told)]


IDLE = stats("standby")


def test_a_print_is_started_paused_resumed_and_completed() -> None:
    assert events_of(
        IDLE,
        stats("printing", "a", 0.1),
        stats("printing", "a", 5),
        stats("paused", "a", 6),
        stats("printing", "a", 7),
        stats("complete", "a", 8),
        stats("complete", "a", 8),
    ) == ["started", "paused", "resumed", "complete"]


@pytest.mark.parametrize("end", ["complete", "error", "cancelled"])
@pytest.mark.parametrize("before", [IDLE, stats("complete", "b", 9), stats("complete", "a", 9)])
def test_a_print_that_begins_and_ends_within_one_update_is_started_and_ended(before: Told, end: str) -> None:
    if before["state"] == end:
        before = stats("error", str(before["filename"]), 9)
    job = JobState()
    job.update(before)
    started, ended = job.update(stats(end, "a", 0.1, message="why"))
    assert (started.name, ended.name) == ("started", end)
    assert started.previous == freeze(before)
    assert started.stats["state"] == "printing"
    assert ended.previous == started.stats
    assert ended.stats == freeze(stats(end, "a", 0.1, message="why"))


def test_a_second_short_print_of_the_same_kind_is_seen_though_the_state_is_the_same_word() -> None:
    assert events_of(stats("complete", "a", 9), stats("complete", "b", 0.1)) == ["started", "complete"]
    assert events_of(stats("complete", "a", 9), stats("complete", "a", 0.1)) == ["started", "complete"]
    assert events_of(stats("complete", "a", 9), stats("complete", "a", 9, message="M117")) == []


def test_a_second_print_that_took_as_long_is_seen_because_the_time_of_an_ended_one_stands() -> None:
    job = JobState()
    job.update(stats("complete", "a", 0.1))
    assert names(job.update(stats("complete", "a", 0.1), after=0.25)) == []
    assert names(job.update(stats("complete", "a", 0.1003), after=0.25)) == ["started", "complete"]
    assert names(job.update(stats("complete", "a", 60), after=0.25)) == []  # a fork whose clock goes on


def test_a_restart_from_pause_is_no_resume() -> None:
    assert events_of(IDLE, stats("paused", "a", 9), stats("printing", "a", 9.1)) == ["started", "paused", "resumed"]
    assert events_of(stats("paused", "a", 9), stats("printing", "a", 0.1)) == ["started"]
    assert events_of(stats("paused", "a", 9), stats("printing", "b", 10)) == ["started"]
    assert events_of(stats("printing", "a", 9), stats("printing", "a", 0.1)) == ["started"]
    assert events_of(stats("printing", "a", 9), stats("paused", "a", 0.1)) == ["started", "paused"]


def test_a_print_can_be_cancelled_while_it_is_paused() -> None:
    assert events_of(stats("paused", "a", 9), stats("cancelled", "a", 9)) == ["cancelled"]


def test_a_job_whose_file_is_reset_was_cancelled() -> None:
    job = JobState()
    job.update(stats("paused", "a", 9))
    cancelled, standby = job.update(stats("standby"))
    assert (cancelled.name, cancelled.filename, cancelled.stats["state"]) == ("cancelled", "a", "cancelled")
    assert (standby.name, standby.filename) == ("standby", "")
    assert names(job.update(stats("printing", "a", 0.1))) == ["started"]


def test_words_that_only_a_fork_knows_pass_through() -> None:
    assert events_of(IDLE, stats("heating", "a"), stats("printing", "a", 1)) == ["heating", "started"]
    assert events_of(
        stats("printing", "a", 1),
        stats("changing_filament", "a", 2),
        stats("printing", "a", 3),
        stats("complete", "a", 4),
    ) == ["changing_filament", "resumed", "complete"]


def test_what_stood_when_we_came_is_no_event() -> None:
    for state in ("standby", "printing", "paused", "complete", "error", "cancelled", "heating"):
        assert events_of(stats(state, "a", 100)) == []


def test_a_print_that_began_after_we_came_was_started() -> None:
    assert names(JobState().update(stats("printing", "a", 2), connected_for=3)) == ["started"]
    assert names(JobState().update(stats("printing", "a", 3), connected_for=2)) == []


def test_a_shutdown_in_a_print_is_an_error_with_its_reason_and_nothing_follows() -> None:
    job = JobState()
    job.update(stats("printing", "a", 5))
    (error,) = job.klippy_shut_down("MCU 'mcu' shutdown: Timer too close")
    assert (error.name, error.reason, error.filename) == ("error", "klippy_shutdown", "a")
    assert error.stats["message"] == "MCU 'mcu' shutdown: Timer too close"
    assert error.stats["state"] == "error"
    assert error.previous["state"] == "printing"
    assert job.update(stats("paused", "a", 5)) == []  # what Klipper makes of it
    assert job.klippy_lost("gone") == []
    assert job.update(stats("standby")) == []
    assert names(job.update(stats("printing", "a", 0.1))) == ["started"]


def test_a_shutdown_outside_a_print_is_no_jobs_business() -> None:
    job = JobState()
    job.update(stats("complete", "a", 5))
    assert job.klippy_shut_down("why") == []


def test_a_job_that_klipper_took_away_with_it_has_failed() -> None:
    job = JobState()
    job.update(stats("paused", "a", 5))
    (error,) = job.klippy_lost("connection reset")
    assert (error.name, error.reason, error.stats["message"]) == ("error", "klippy_disconnect", "connection reset")
    assert not job.job_open
    assert job.stats == {}
    assert job.update(stats("standby")) == []


@pytest.mark.parametrize(
    ("found", "expected"), [("printing", "resumed"), ("paused", "paused"), ("complete", "complete"), ("error", "error")]
)
def test_a_job_that_went_on_without_us_is_told_as_it_is_found(found: str, expected: str) -> None:
    job = JobState()
    job.update(stats("printing", "a", 5))
    job.klippy_lost("our own socket broke")
    assert names(job.update(stats(found, "a", 7), connected_for=0.1)) == [expected]
    assert job.job_open == (found in ("printing", "paused"))


def test_another_job_after_klipper_returned_is_not_the_old_one() -> None:
    job = JobState()
    job.update(stats("printing", "a", 50))
    job.klippy_lost("restart")
    assert names(job.update(stats("printing", "a", 1), connected_for=2)) == ["started"]


def test_snapshots_do_not_change_with_the_printer() -> None:
    told = stats("printing", "a", 1, info={"current_layer": 1})
    job = JobState()
    job.update(IDLE)
    (event,) = job.update(told)
    told["filename"] = "b"
    told["info"]["current_layer"] = 2  # type: ignore[index]
    assert thaw(event.stats) == stats("printing", "a", 1, info={"current_layer": 1})
    with pytest.raises(TypeError):
        event.stats["filename"] = "c"  # type: ignore[index]


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)
states = st.sampled_from(["standby", "printing", "paused", "complete", "error", "cancelled", "else"]) | anything
news = st.dictionaries(st.sampled_from(["filename", "total_duration", "message", "info"]), anything)


@given(st.lists(st.tuples(states, news)))
def test_whatever_klipper_tells_a_job_is_ended_as_often_as_it_was_opened(told: list[tuple[object, Told]]) -> None:
    job = JobState()
    job.update(IDLE)
    is_open = False
    for state, more in told:
        for event in job.update({"state": state, **more}):
            if event.name == "started":
                is_open = True
            elif event.name in ("paused", "resumed"):
                assert is_open
            elif event.ends_job:
                assert is_open
                is_open = False
    assert job.job_open == is_open


def test_durations_that_fall_make_a_new_job_only_if_that_can_have_begun_since_the_last_news() -> None:
    job = JobState()
    job.update(stats("printing", "a", 60))
    assert names(job.update(stats("printing", "a", 20), after=0.25)) == []
    assert names(job.update(stats("printing", "a", 0.1), after=0.25)) == ["started"]
