"""The tracker reads the mirror and Klipper's coming and going, and publishes each step of a job once."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from trio_moon.model.events import KlippyConnected, KlippyLost, KlippyShutdown
from trio_moon.model.job_state import JobEvent
from trio_moon.printer.job_tracker import JobTracker
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience


@pytest.fixture
def printer() -> Printer:
    return Printer(Path("nowhere"), Audience())


def tell(printer: Printer, **print_stats: object) -> None:
    printer.mirror.merge({"print_stats": print_stats}, 1.0)


def shut_down(printer: Printer, message: str, **print_stats: object) -> None:
    told: dict[str, dict[str, object]] = {"webhooks": {"state": "shutdown", "state_message": message}}
    printer.mirror.merge({**told, "print_stats": print_stats}, 2.0)


def drain(news: trio.MemoryReceiveChannel[JobEvent]) -> list[JobEvent]:
    return [news.receive_nowait() for _ in range(news.statistics().current_buffer_used)]


async def test_changes_of_the_mirror_become_events_at_once(printer: Printer) -> None:
    tracker = JobTracker(printer)
    with tracker.events.subscribe() as news:
        tell(printer, state="standby", filename="", total_duration=0.0)
        tell(printer, state="printing", filename="a.gcode", total_duration=0.2)
        tell(printer, total_duration=5.0)
        assert tracker.job_open
        tell(printer, state="complete", total_duration=9.0)
        started, complete = drain(news)
    assert (started.name, started.filename) == ("started", "a.gcode")
    assert complete.name == "complete"
    assert complete.previous["total_duration"] == 5.0
    assert complete.stats["total_duration"] == 9.0
    assert not tracker.job_open


async def test_who_asked_for_a_print_is_told_with_its_start_alone(printer: Printer) -> None:
    tracker = JobTracker(printer)
    with tracker.events.subscribe() as news:
        tell(printer, state="standby", filename="", total_duration=0.0)
        printer.asked_by = "ann"
        tell(printer, state="printing", filename="a.gcode", total_duration=0.2)
        tell(printer, state="complete", total_duration=9.0)
        tell(printer, state="printing", filename="a.gcode", total_duration=0.1)
        assert [(event.name, event.user) for event in drain(news)] == [
            ("started", "ann"),
            ("complete", ""),
            ("started", ""),
        ]


async def test_an_emergency_stop_is_an_error_though_klipper_says_paused(
    printer: Printer, nursery: trio.Nursery
) -> None:
    tracker = JobTracker(printer)
    await nursery.start(tracker.run)
    with tracker.events.subscribe() as news:
        tell(printer, state="printing", filename="a.gcode", total_duration=100.0)
        shut_down(printer, "Shutdown due to M112 command\nOnce the issue is corrected …", state="paused")
        printer.events.publish(KlippyShutdown("Shutdown due to M112 command"))
        await trio.testing.wait_all_tasks_blocked()
        tell(printer, total_duration=101.0)
        (error,) = drain(news)
    assert (error.name, error.reason) == ("error", "klippy_shutdown")
    assert error.stats["message"] == "Shutdown due to M112 command"


async def test_a_lost_klipper_fails_its_job_and_a_new_one_begins_anew(printer: Printer, nursery: trio.Nursery) -> None:
    tracker = JobTracker(printer)
    await nursery.start(tracker.run)
    with tracker.events.subscribe() as news:
        tell(printer, state="printing", filename="a.gcode", total_duration=100.0)
        printer.events.publish(KlippyLost("the connection ended"))
        await trio.testing.wait_all_tasks_blocked()
        (error,) = drain(news)
        printer.mirror.clear()
        printer.events.publish(KlippyConnected(7, "startup"))
        await trio.testing.wait_all_tasks_blocked()
        tell(printer, state="standby", filename="", total_duration=0.0)
        tell(printer, state="printing", filename="a.gcode", total_duration=0.1)
        (started,) = drain(news)
    assert (error.reason, error.stats["message"]) == (
        "klippy_disconnect",
        "Klipper disconnected: the connection ended",
    )
    assert started.name == "started"
