"""What only shows when moves take their time: Klipper plans and tells them long before the printer makes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.integration.filament import choose, status
from tests.integration.service import Process
from tests.peers.kalico import RealKlipper
from tests.peers.test_filament_on_a_real_host import House, open_house, ready, tool_changes
from tests.testing.klipper_client import KlipperClient
from tests.until import until
from trio_moon.testing import SimulatedKlipper

pytestmark = pytest.mark.peer

FIELDS: dict[str, object] = {
    "toolhead": ["position", "print_time", "estimated_print_time"],
    "motion_report": ["live_position"],
}


async def look(client: KlipperClient) -> tuple[float, bool]:
    """Where the extruder is, and whether the time of all that was planned has come."""
    shown: dict[str, Any] = (await client.result("objects/query", {"objects": FIELDS}))["status"]
    toolhead = shown["toolhead"]
    live_mm: float = shown["motion_report"]["live_position"][3]
    return live_mm, toolhead["estimated_print_time"] > toolhead["print_time"] + 0.5


async def stop_in_a_move(klipper_socket: Path) -> None:
    """All of it was planned and told before it began, and is shown to its end."""
    client = KlipperClient(await trio.open_unix_socket(klipper_socket))
    commander = KlipperClient(await trio.open_unix_socket(klipper_socket))
    await client.result("motion_report/dump_trapq", {"name": "extruder", "response_template": {"moves": 1}})
    await commander.send("gcode/script", {"script": "M83\nG1 E24 F360"})
    with trio.fail_after(10):
        while not client.news:
            await look(client)
            await trio.sleep(0.05)
    _, duration, velocity, acceleration, start, direction = client.news[-1]["params"]["data"][-1]
    assert start[0] + direction[0] * (velocity + acceleration * duration / 2) * duration == pytest.approx(24, abs=0.1)
    await client.result("emergency_stop")
    live_mm, over = await look(client)
    assert live_mm < 20
    assert not over
    with trio.fail_after(20):
        while not over:
            await trio.sleep(0.2)
            live_mm, over = await look(client)
    assert live_mm == pytest.approx(24)
    await client.aclose()
    await commander.aclose()


async def test_a_stopped_klipper_goes_on_to_show_a_move_that_it_had_planned(real_time_klipper: RealKlipper) -> None:
    await stop_in_a_move(real_time_klipper.socket_path)


async def test_a_stopped_simulator_goes_on_to_show_a_move_that_it_had_planned(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    klipper = SimulatedKlipper(tmp_path / "klippy.sock")
    await nursery.start(klipper.run)
    await stop_in_a_move(tmp_path / "klippy.sock")


@pytest.fixture
async def house(real_time_klipper: RealKlipper, tmp_path: Path, nursery: trio.Nursery) -> House:
    return await open_house(real_time_klipper, tmp_path, nursery)


@pytest.fixture
def process(house: House) -> Iterator[Process]:
    process = Process(house.paths)
    yield process
    process.clean_up()


async def test_kills_in_a_print_with_two_tools_that_takes_its_time_lose_nothing(house: House, process: Process) -> None:
    client = await process.start()
    await until(lambda: ready(client))
    await house.klipper.restart()  # a life that we see from its beginning
    await until(lambda: ready(client))
    await choose(client, 1)
    await choose(client, 2, tool=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.print_file, "changes.gcode", tool_changes(10, 10.0))
        for _ in range(2):
            await trio.sleep(3)
            await process.kill()
            client = await process.start()
    await house.counted(50.0, 1)
    await house.counted(50.0, 2)
    assert (await status(client))["unassigned"] == 0
    await process.end()
