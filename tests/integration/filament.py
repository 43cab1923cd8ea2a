"""A printer, a Spoolman and the service between them, for tests that compare the accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from tests.integration.service import Client, Process, configure
from trio_moon.model.paths import DataPaths
from trio_moon.testing import MockSpoolman, SimulatedKlipper

SETTLE_TIMEOUT = 40.0
EXACT_MM = 1e-4


@dataclass(eq=False)
class Bench:
    """Both doubles and a configured data path; the service is started by the test, once or often."""

    paths: DataPaths
    klipper: SimulatedKlipper
    spoolman: MockSpoolman
    foreign_mm: float = 0.0
    processes: list[Process] = field(default_factory=list)

    def extruded(self) -> float:
        """What the printer gave so far."""
        return sum(self.klipper.extruded_mm.values())

    def reported(self) -> float:
        """What Spoolman counted of ours."""
        return sum(use.used_mm for use in self.spoolman.uses) - self.foreign_mm

    async def accounts_agree(self, timeout: float = SETTLE_TIMEOUT, *, unassigned: float = 0.0) -> None:
        """Wait until Spoolman has exactly what was extruded, and stays so."""
        steady = 0
        with trio.move_on_after(timeout):
            while steady < 4:
                agree = abs(self.extruded() - unassigned - self.reported()) < EXACT_MM
                steady = steady + 1 if agree else 0
                await trio.sleep(0.05)
            return
        uses = [use.used_mm for use in self.spoolman.uses]
        raise AssertionError(f"extruded {self.extruded()}, reported {self.reported()}: {uses}")

    async def process(self) -> tuple[Process, Client]:
        """The service as a process of its own, for `kill -9`."""
        process = Process(self.paths)
        self.processes.append(process)
        return process, await process.start()


@asynccontextmanager
async def opened_bench(root: Path, *, extruders: int = 2, speed: float = 20.0, more: str = "") -> AsyncIterator[Bench]:
    """Doubles that run; `[spoolman]` is configured for them with `more` options."""
    spoolman = MockSpoolman()
    spoolman.add_spool()
    spoolman.add_spool()
    async with trio.open_nursery() as nursery:
        await nursery.start(spoolman.run)
        paths = configure(root, f"[spoolman]\nserver: {spoolman.url}\nsync_rate: 1\n{more}\n")
        klipper = SimulatedKlipper(
            paths.comms / "klippy.sock",
            gcodes=paths.gcodes,
            extruders=extruders,
            speed=speed,
            status_interval=0.05,
            restart_pause=0.2,
        )
        await nursery.start(klipper.run)
        bench = Bench(paths, klipper, spoolman)
        try:
            yield bench
        finally:
            for process in bench.processes:
                process.clean_up()
            nursery.cancel_scope.cancel()


async def status(client: Client) -> dict[str, Any]:
    """`server.spoolman.status`."""
    found: dict[str, Any] = await client.result("/server/spoolman/status")
    return found


async def choose(client: Client, spool_id: int | None, tool: int | None = None) -> None:
    """Set a spool by the API."""
    body: dict[str, object] = {"spool_id": spool_id} if tool is None else {"spool_id": spool_id, "tool": tool}
    answer = await client.post("/server/spoolman/spool_id", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"]["spool_id"] == spool_id
