"""The job tracker against the real Klipper host: what it makes of a real print_stats."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.peers.kalico import RealKlipper
from tests.until import until
from trio_moon.model.job_state import JobEvent
from trio_moon.printer.job_tracker import JobTracker
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience

pytestmark = [pytest.mark.peer, pytest.mark.slow]


async def ready(printer: Printer) -> None:
    await until(lambda: printer.state == "ready", within=60)


async def heard_until(news: trio.MemoryReceiveChannel[JobEvent], name: str) -> list[JobEvent]:
    """The events up to the next one of this name."""
    found: list[JobEvent] = []
    with trio.fail_after(60):
        while not found or found[-1].name != name:
            found.append(await news.receive())
    return found


async def test_prints_pauses_cancels_and_an_emergency_stop_are_told_as_they_are(
    real_klipper: RealKlipper, nursery: trio.Nursery, tmp_path: Path
) -> None:
    (real_klipper.gcodes / "short.gcode").write_text("G28\n")
    (real_klipper.gcodes / "pausing.gcode").write_text("G28\nPAUSE\nG1 X10 F6000\n")
    printer = Printer(real_klipper.socket_path, Audience())
    jobs = JobTracker(printer)
    await nursery.start(jobs.run)
    with jobs.events.subscribe() as news:
        await nursery.start(printer.run)
        await ready(printer)
        await printer.start_print("short.gcode")
        assert [event.name for event in await heard_until(news, "complete")] == ["started", "complete"]

        await printer.start_print("pausing.gcode")
        assert [event.name for event in await heard_until(news, "paused")] == ["started", "paused"]
        await printer.run_gcode("RESUME")
        assert (await heard_until(news, "complete"))[-1].filename == "pausing.gcode"

        await printer.start_print("pausing.gcode")
        await heard_until(news, "paused")
        await printer.run_gcode("CANCEL_PRINT")
        (cancelled,) = await heard_until(news, "cancelled")
        assert cancelled.previous["state"] == "paused"

        await printer.start_print("pausing.gcode")
        await heard_until(news, "paused")
        await printer.request("emergency_stop")
        (error,) = await heard_until(news, "error")
        assert (error.reason, error.filename) == ("klippy_shutdown", "pausing.gcode")
        assert "M112" in str(error.stats["message"]) or "shutdown" in str(error.stats["message"]).lower()

        await real_klipper.kill()
        await trio.sleep(1)
        assert news.statistics().current_buffer_used == 0  # the job had ended already
