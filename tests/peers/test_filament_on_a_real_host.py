"""The accounts on a real Klipper host: what its extruders were told to give is what Spoolman counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from tests.integration.filament import choose, status
from tests.integration.service import Client, Process, configure, running
from tests.peers.kalico import RealKlipper
from tests.until import until
from trio_moon.model.paths import DataPaths
from trio_moon.testing import MockSpoolman

pytestmark = pytest.mark.peer

HEAT = "SET_KINEMATIC_POSITION X=100 Y=100 Z=10\nM302 S0 P1"
SETTLED = 20.0


def tool_changes(count: int, mm: float) -> list[str]:
    """A file that gives `mm` after each change, with retractions around it, in pieces that a sampler would miss."""
    lines = ["SET_KINEMATIC_POSITION X=100 Y=100 Z=10", "M302 S0 P1", "G90", "M83"]
    for change in range(count):
        lines += [f"ACTIVATE_EXTRUDER EXTRUDER=extruder{change % 2 or ''}", "G92 E0", "G1 X40 F9000"]
        lines += [f"G1 X{50 + 10 * step} E{mm / 5} F3000" for step in range(5)]
        lines += ["G1 E-0.8 F2100", "G1 E0.8 F2100"]
    return lines


@dataclass
class House:
    klipper: RealKlipper
    spoolman: MockSpoolman
    paths: DataPaths

    async def gcode(self, script: str) -> None:
        client = await self.klipper.connect()
        await client.result("gcode/script", {"script": script})

    async def print_file(self, name: str, lines: list[str]) -> None:
        (self.klipper.gcodes / name).write_text("\n".join(lines) + "\n")
        client = await self.klipper.connect()
        await client.result("gcode/script", {"script": f"SDCARD_PRINT_FILE FILENAME={name}"})
        with trio.fail_after(SETTLED):
            while True:
                answer = await client.result("objects/query", {"objects": {"print_stats": ["state"]}})
                if answer["status"]["print_stats"]["state"] == "complete":
                    return
                await trio.sleep(0.05)

    async def counted(self, total_mm: float, spool_id: int | None = None) -> None:
        """Wait until Spoolman has so much, and see that it stays so."""

        def used() -> float:
            uses = self.spoolman.uses
            return sum(use.used_mm for use in uses if spool_id in (None, use.spool_id))

        with trio.move_on_after(SETTLED):
            while abs(used() - total_mm) > 1e-4:
                await trio.sleep(0.05)
            await trio.sleep(2.5)
        assert used() == pytest.approx(total_mm, abs=1e-4)


async def open_house(klipper: RealKlipper, folder: Path, nursery: trio.Nursery) -> House:
    """With a Spoolman of two spools, and configured for a service that isn't started yet."""
    spoolman = MockSpoolman()
    for _ in range(2):
        spoolman.add_spool()
    await nursery.start(spoolman.run)
    paths = configure(folder / "data", f"[spoolman]\nserver: {spoolman.url}\nsync_rate: 1\n")
    config = paths.config / "moonraker.conf"
    config.write_text(config.read_text().replace("[server]", f"[server]\nklippy_uds_address: {klipper.socket_path}"))
    return House(klipper, spoolman, paths)


@pytest.fixture
async def house(real_klipper: RealKlipper, tmp_path: Path, nursery: trio.Nursery) -> House:
    return await open_house(real_klipper, tmp_path, nursery)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(DataPaths(tmp_path / "data"))
    yield process
    process.clean_up()


async def ready(client: Client) -> bool:
    return str((await client.result("/server/info"))["klippy_state"]) == "ready"


async def test_twenty_tool_changes_of_200_mm_arrive_as_200_mm(house: House) -> None:
    async with running(house.paths) as (_, client):
        await until(lambda: ready(client))
        await choose(client, 1)
        await house.print_file("changes.gcode", tool_changes(20, 10.0))
        await house.counted(200.0)
        found = await status(client)
        assert found["accounting"] == "motion"
        assert found["unassigned"] == 0
        await choose(client, 2, tool=1)
        await house.print_file("again.gcode", tool_changes(20, 10.0))
        await house.counted(300.0, 1)
        await house.counted(100.0, 2)


async def test_restarts_of_each_of_the_three_in_any_order_lose_nothing(house: House, process: Process) -> None:
    client = await process.start()
    await until(lambda: ready(client))
    await choose(client, 1)
    extrude = "\n".join([HEAT, "M83", "G1 E30 F1800", "G1 E-1 F1800"])
    await house.gcode(extrude)
    await house.counted(30.0)
    await house.klipper.restart()
    await until(lambda: ready(client))
    await house.gcode(extrude)
    await house.counted(60.0)
    await house.spoolman.go_away()
    await house.gcode("M83\nG1 E1 F1800\nG1 E20 F1800")
    await trio.sleep(1.5)
    await process.kill()
    await house.gcode("M83\nG1 E5 F1800")
    await house.spoolman.come_back()
    client = await process.start()
    await house.counted(85.0)
    await house.klipper.kill()
    await process.kill()
    await house.klipper.start()
    await house.gcode(extrude)
    client = await process.start()
    await house.counted(115.0)
    assert (await status(client))["spool_id"] == 1
    await process.end()


async def test_the_macros_of_the_manual_set_and_clear_the_spool(house: House) -> None:
    async with running(house.paths) as (_, client):
        await until(lambda: ready(client))
        await house.gcode("SET_ACTIVE_SPOOL ID=2")

        async def spool_is(spool_id: int | None) -> bool:
            return bool((await status(client))["spool_id"] == spool_id)

        await until(lambda: spool_is(2))
        await house.gcode("\n".join([HEAT, "M83", "G1 E12 F1800"]))
        await house.counted(12.0, 2)
        await house.gcode("CLEAR_ACTIVE_SPOOL")
        await until(lambda: spool_is(None))
        await house.gcode("M83\nG1 E7 F1800")

        async def is_told() -> bool:
            return bool(abs((await status(client))["unassigned"] - 7.0) < 1e-4)

        await until(is_told)
        await house.counted(12.0)
        assert (await status(client))["unassigned"] == pytest.approx(7.0)


async def test_an_extruder_that_moves_with_another_uses_its_own_spool(house: House) -> None:
    async with running(house.paths) as (_, client):
        await until(lambda: ready(client))
        await choose(client, 1)
        await choose(client, 2, tool=1)
        await house.gcode(HEAT)
        for synchronised, expected in (
            ("extruder", (12.0, 12.0)),
            ("extruder1", (24.0, 12.0)),
            ("extruder", (36.0, 24.0)),
        ):
            sync = f"SYNC_EXTRUDER_MOTION EXTRUDER=extruder1 MOTION_QUEUE={synchronised}"
            await house.gcode("\n".join([sync, "M83", "G1 E12 F1800"]))
            for spool_id, mm in enumerate(expected, 1):
                await house.counted(mm, spool_id)
