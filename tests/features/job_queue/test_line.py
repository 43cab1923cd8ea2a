"""The queue's states: what each wish and each news of the printer leads to."""

from __future__ import annotations

import pytest

from trio_moon.features.job_queue.job import Intent, QueuedJob, number_of
from trio_moon.features.job_queue.line import Line, Load, Memory
from trio_moon.features.job_queue.settings import JobQueueSettings

ONE, TWO = QueuedJob(1, "one.gcode", 0.0), QueuedJob(2, "two.gcode", 0.0)
AUTOMATIC = JobQueueSettings(automatic=True, transition_delay=5.0)
ON_STARTUP = JobQueueSettings(load_on_startup=True)


class Told(list[tuple[str, str]]):
    """What a line has told, with the state at that moment."""

    line: Line

    def __call__(self, action: str, queue_changed: bool) -> None:
        self.append((action, self.line.state))


def line_of(
    settings: JobQueueSettings = AUTOMATIC, *jobs: QueuedJob, memory: Memory | None = None, doubt: bool = False
) -> tuple[Line, Told]:
    told = Told()
    told.line = line = Line(settings, told)
    line.begin(memory or Memory(boot="today"), jobs, "today", doubt=doubt)
    return line, told


def start_idle(line: Line) -> Load | None:
    return line.start(at_work=False, connected=True)


def ready(line: Line, state: str = "standby", *, came_up: bool = True) -> Load | None:
    return line.klippy_ready(state, at_work=state in ("printing", "paused"), came_up=came_up)


# --- from job to job


def test_an_automatic_queue_loads_one_job_after_the_other() -> None:
    line, told = line_of(AUTOMATIC, ONE, TWO)
    assert start_idle(line) == Load(0.01)
    assert line.starting()
    line.loaded((TWO,))
    assert line.state == "ready"
    line.job_goes_on()
    assert line.job_completed() == Load(5.0, transition=True)
    assert line.starting()
    line.loaded(())
    line.job_goes_on()
    assert line.job_completed() is None
    assert told == [
        ("state_changed", "loading"),
        ("state_changed", "starting"),
        ("job_loaded", "ready"),
        ("state_changed", "loading"),
        ("state_changed", "starting"),
        ("job_loaded", "paused"),
    ]


def test_a_queue_that_is_not_automatic_waits_for_a_person_after_each_job() -> None:
    line, _ = line_of(JobQueueSettings(), ONE, TWO)
    start_idle(line)
    line.starting()
    line.loaded((TWO,))
    line.job_goes_on()
    assert line.state == "paused"
    assert line.job_completed() is None


def test_a_print_of_a_moment_is_followed_by_the_next_job_though_it_ended_before_its_start_was_written_down() -> None:
    line, _ = line_of(AUTOMATIC, ONE, TWO)
    start_idle(line)
    line.starting()
    line.job_goes_on()
    assert line.job_completed() is None
    assert line.loaded((TWO,)) == Load(5.0, transition=True)
    assert line.state == "loading"


def test_jobs_that_are_added_to_a_print_under_way_make_an_automatic_queue_ready_unless_it_was_paused() -> None:
    line, told = line_of()
    line.added((ONE,), at_work=True)
    assert told == [("jobs_added", "paused"), ("state_changed", "ready")]
    line.pause()
    line.added((ONE, TWO), at_work=True)
    assert line.state == "paused"
    assert line.start(at_work=True, connected=True) is None
    assert line.state == "ready"
    by_hand, _ = line_of(JobQueueSettings())
    by_hand.added((ONE,), at_work=True)
    assert by_hand.state == "paused"


def test_starting_an_empty_queue_does_nothing() -> None:
    line, told = line_of()
    assert start_idle(line) is None
    assert (line.state, told) == ("paused", [])


def test_a_start_that_was_called_off_is_no_start() -> None:
    line, _ = line_of(AUTOMATIC, ONE)
    start_idle(line)
    line.pause()
    assert not line.starting()
    assert line.state == "paused"


def test_a_pause_while_klipper_is_asked_lasts_beyond_the_start() -> None:
    line, _ = line_of(AUTOMATIC, ONE, TWO)
    start_idle(line)
    line.starting()
    line.pause()
    line.loaded((TWO,))
    assert line.state == "paused"


# --- what must never start


def test_after_a_cancel_or_an_error_nothing_follows() -> None:
    line, _ = line_of(AUTOMATIC, ONE, memory=Memory(ready=True, boot="today"))
    line.job_goes_on()
    line.job_aborted("x.gcode was cancelled")
    assert line.state == "paused"
    assert line.job_completed() is None


def test_an_emergency_stop_takes_back_a_load() -> None:
    line, _ = line_of(AUTOMATIC, ONE)
    start_idle(line)
    line.klippy_stopped("Shutdown due to webhooks request")
    assert line.state == "paused"
    assert not line.starting()


def test_losing_klipper_takes_back_a_load_but_a_print_may_go_on() -> None:
    line, _ = line_of(AUTOMATIC, ONE)
    start_idle(line)
    line.klippy_lost()
    assert line.state == "paused"
    printing, _ = line_of(AUTOMATIC, ONE, memory=Memory(ready=True, under_way=True, boot="today"))
    printing.klippy_lost()
    ready(printing, "printing")
    assert printing.state == "ready"
    assert printing.job_completed() is not None


def test_a_ready_queue_pauses_when_klipper_comes_back_without_its_print() -> None:
    line, _ = line_of(AUTOMATIC, ONE, memory=Memory(ready=True, under_way=True, boot="today"))
    assert ready(line) is None
    assert line.state == "paused"


def test_on_startup_the_next_job_is_loaded_when_klipper_comes_up() -> None:
    line, _ = line_of(ON_STARTUP, ONE)
    assert ready(line, came_up=False) is None
    assert ready(line) == Load(1.0)
    assert line.state == "loading"
    empty, _ = line_of(ON_STARTUP)
    assert ready(empty) is None
    other, _ = line_of(AUTOMATIC, ONE)
    assert ready(other) is None


def test_on_startup_a_print_under_way_is_left_alone() -> None:
    line, told = line_of(ON_STARTUP, ONE)
    assert ready(line, "printing") is None
    assert (line.state, told) == ("paused", [])


def stop(line: Line) -> None:
    line.klippy_stopped("Shutdown due to webhooks request\nOnce the underlying issue is corrected …")


def switch_off(line: Line) -> None:
    line.klippy_stopped("Lost communication with MCU 'mcu'\nOnce the underlying issue is corrected …")


def switch_off_while_printing(line: Line) -> None:
    line.job_goes_on()
    switch_off(line)


def cancel(line: Line) -> None:
    line.job_goes_on()
    line.job_aborted("x.gcode was cancelled")


def lose_while_printing(line: Line) -> None:
    line.job_goes_on()
    line.klippy_lost()


@pytest.mark.parametrize("happens", [stop, switch_off_while_printing, cancel, lose_while_printing])
def test_what_stopped_a_print_holds_the_startup_back_until_somebody_starts_something(happens: object) -> None:
    assert callable(happens)
    line, _ = line_of(ON_STARTUP, ONE)
    happens(line)
    assert ready(line) is None
    assert line.holds_back
    remembered, _ = line_of(ON_STARTUP, ONE, memory=line.memory)
    assert ready(remembered) is None
    start_idle(line)
    line.klippy_lost()
    assert ready(line) == Load(1.0)
    remembered.job_goes_on()
    remembered.job_completed()
    assert ready(remembered) == Load(1.0)


def test_an_idle_printer_that_was_switched_off_goes_on_when_it_comes_back() -> None:
    line, _ = line_of(ON_STARTUP, ONE)
    switch_off(line)
    assert ready(line) == Load(1.0)


def test_what_waited_when_the_host_was_started_anew_does_not_start_by_itself() -> None:
    line, _ = line_of(ON_STARTUP, ONE, memory=Memory(boot="yesterday"))
    assert ready(line) is None
    assert "started anew" in line.held
    new, _ = line_of(ON_STARTUP, memory=Memory(boot="yesterday"))
    new.added((ONE,), at_work=False)
    assert ready(new) == Load(1.0)


def test_a_start_that_was_cut_off_holds_the_startup_back() -> None:
    line, _ = line_of(ON_STARTUP, ONE, doubt=True)
    assert ready(line) is None


# --- doubts


STATS = {"state": "complete", "filename": "one.gcode", "total_duration": 10.0}


@pytest.mark.parametrize(
    ("after", "happened"),
    [
        (STATS, False),
        ({**STATS, "state": "printing", "total_duration": 0.5}, True),
        ({**STATS, "total_duration": 11.0}, True),
        ({**STATS, "state": "error"}, True),
        ({"state": "printing", "filename": "two.gcode", "total_duration": 1.0}, False),
        ({"state": "standby", "filename": "", "total_duration": 0.0}, False),
    ],
)
def test_whether_a_start_has_happened_is_seen_in_what_klipper_tells(after: dict[str, object], happened: bool) -> None:
    assert Intent.of(ONE, STATS).has_happened(after) is happened


def test_a_first_print_of_a_file_is_seen_as_well() -> None:
    intent = Intent.of(ONE, {"state": "standby", "filename": "", "total_duration": 0.0})
    assert intent.has_happened(STATS)


def test_what_is_found_printing_is_followed_by_the_next_job() -> None:
    line, told = line_of(AUTOMATIC, ONE, TWO, doubt=True)
    line.found_loaded((TWO,), at_work=True)
    assert told == [("job_loaded", "ready")]
    assert line.held == ""


@pytest.mark.parametrize("uid", ["", "x", "1", "-000000000000001", "0x00000000000001", "FFFFFFFFFFFFFFFF", "0" * 17])
def test_what_is_no_number_of_a_job_is_none(uid: str) -> None:
    assert number_of(uid) is None


def test_a_uid_is_sixteen_hexadecimal_digits() -> None:
    assert QueuedJob(171, "a", 0.0).uid == "00000000000000AB"
    assert number_of("00000000000000ab") == 171
