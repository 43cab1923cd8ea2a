"""Where our queue is meant to differ from Moonraker's: each on a simulated printer of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.integration.service import configure, running
from tests.peers.moonraker import StartMoonraker
from trio_moon.testing import SimulatedKlipper

pytestmark = pytest.mark.peer

SECTIONS = "[job_queue]\nload_on_startup: True\njob_transition_gcode: SWEEP\nautomatic_transition: True\n"
SHORT = "G28\nG4 P100000\n"  # a second; Moonraker misses the end of prints that take no time
SWEEPS_FOR = 4.0
BY_THEN = 6.0
"""Seconds after which a job that is loaded on startup has been."""


async def sweep(params: Mapping[str, str]) -> None:
    await trio.sleep(SWEEPS_FOR)


def printer(socket: Path, gcodes: Path) -> SimulatedKlipper:
    return SimulatedKlipper(socket, gcodes=gcodes, startup_time=1.0, speed=100.0, macros={"SWEEP": sweep})


@dataclass
class Peer:
    url: str
    klipper: SimulatedKlipper
    gcodes: Path

    async def call(self, verb: str, path: str, value: object = None) -> Any:
        async with httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False) as client:
            answer = await client.request(verb, path, json=value)
        return answer.json()["result"]

    async def ready(self) -> None:
        with trio.fail_after(60):
            while (await self.call("GET", "/server/info"))["klippy_state"] != "ready":
                await trio.sleep(0.1)
        await trio.sleep(0.5)

    async def queue(self, *names: str) -> list[str]:
        for name in names:
            (self.gcodes / name).write_text(SHORT)
        told = await self.call("POST", "/server/job_queue/job", {"filenames": list(names)})
        return [job["filename"] for job in told["queued_jobs"]]

    async def waiting(self) -> list[str]:
        return [job["filename"] for job in (await self.call("GET", "/server/job_queue/status"))["queued_jobs"]]


@asynccontextmanager
async def ours(folder: Path, nursery: trio.Nursery) -> AsyncIterator[Peer]:
    paths = configure(folder / "ours", SECTIONS)
    klipper = printer(paths.comms / "klippy.sock", paths.gcodes)
    await nursery.start(klipper.run)
    async with running(paths) as (_, client):
        yield Peer(client.url, klipper, paths.gcodes)


@asynccontextmanager
async def moonrakers(folder: Path, nursery: trio.Nursery, start: StartMoonraker) -> AsyncIterator[Peer]:
    gcodes, socket = folder / "moonraker" / "gcodes", folder / "theirs.sock"
    gcodes.mkdir(parents=True)
    klipper = printer(socket, gcodes)
    await nursery.start(klipper.run)
    yield Peer((await start(socket, SECTIONS)).url, klipper, gcodes)


async def after_an_emergency_stop(peer: Peer) -> list[str]:
    """What still waits when the printer was stopped and its firmware restarted."""
    await peer.ready()
    assert await peer.queue("one.gcode") == ["one.gcode"]
    await peer.call("POST", "/printer/emergency_stop")
    await trio.sleep(1.0)
    await peer.call("POST", "/printer/firmware_restart")
    await peer.ready()
    await trio.sleep(BY_THEN)
    return await peer.waiting()


async def after_a_move(peer: Peer) -> list[str]:
    """What waits when the queued file was moved."""
    await peer.call("DELETE", "/server/job_queue/job?all=true")
    await peer.queue("two.gcode")
    await trio.sleep(1.0)
    await peer.call("POST", "/server/files/move", {"source": "gcodes/two.gcode", "dest": "gcodes/three.gcode"})
    await trio.sleep(1.0)
    return await peer.waiting()


async def pause_while_it_sweeps(peer: Peer) -> float:
    """How long a pause takes during the G-code between two jobs."""
    await peer.call("DELETE", "/server/job_queue/job?all=true")
    await peer.queue("four.gcode", "five.gcode")
    await peer.call("POST", "/server/job_queue/start")
    with trio.fail_after(60):
        while (await peer.call("GET", "/server/job_queue/status"))["queue_state"] != "ready":
            await trio.sleep(0.02)
        while (await peer.call("GET", "/server/job_queue/status"))["queue_state"] != "loading":
            await trio.sleep(0.02)
    await trio.sleep(0.3)
    began = trio.current_time()
    await peer.call("POST", "/server/job_queue/pause")
    took = trio.current_time() - began
    await trio.sleep(SWEEPS_FOR + 1)
    assert await peer.waiting() == ["five.gcode"]
    return took


async def test_our_queue_waits_after_an_emergency_stop_follows_its_files_and_pauses_at_once(
    tmp_path: Path, nursery: trio.Nursery, real_moonraker: StartMoonraker
) -> None:
    async with moonrakers(tmp_path, nursery, real_moonraker) as theirs, ours(tmp_path, nursery) as mine:
        assert await after_an_emergency_stop(theirs) == []
        assert await after_an_emergency_stop(mine) == ["one.gcode"]
        assert await after_a_move(theirs) == ["two.gcode"]
        assert await after_a_move(mine) == ["three.gcode"]
        assert await pause_while_it_sweeps(mine) < SWEEPS_FOR / 2 < await pause_while_it_sweeps(theirs)
    nursery.cancel_scope.cancel()
