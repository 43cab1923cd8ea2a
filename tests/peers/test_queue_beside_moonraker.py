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
from tests.until import until
from trio_moon.testing import SimulatedKlipper

pytestmark = pytest.mark.peer

SECTIONS = "[job_queue]\nload_on_startup: True\njob_transition_gcode: SWEEP\nautomatic_transition: True\n"
SHORT = "G28\nG4 P100000\n"  # a second; Moonraker misses the end of prints that take no time
BY_THEN = 6.0
"""Seconds after which a job that is loaded on startup has been."""


class Broom:
    """The G-code between two jobs: it has begun, and goes on until it may end."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self.may_end = trio.Event()

    async def sweep(self, params: Mapping[str, str]) -> None:
        self.begun.set()
        await self.may_end.wait()


def printer(socket: Path, gcodes: Path, broom: Broom) -> SimulatedKlipper:
    return SimulatedKlipper(socket, gcodes=gcodes, startup_time=1.0, speed=100.0, macros={"SWEEP": broom.sweep})


@dataclass
class Peer:
    url: str
    klipper: SimulatedKlipper
    gcodes: Path
    broom: Broom

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
    paths, broom = configure(folder / "ours", SECTIONS), Broom()
    klipper = printer(paths.comms / "klippy.sock", paths.gcodes, broom)
    await nursery.start(klipper.run)
    async with running(paths) as (_, client):
        yield Peer(client.url, klipper, paths.gcodes, broom)


@asynccontextmanager
async def moonrakers(folder: Path, nursery: trio.Nursery, start: StartMoonraker) -> AsyncIterator[Peer]:
    gcodes, socket, broom = folder / "moonraker" / "gcodes", folder / "theirs.sock", Broom()
    gcodes.mkdir(parents=True)
    klipper = printer(socket, gcodes, broom)
    await nursery.start(klipper.run)
    yield Peer((await start(socket, SECTIONS)).url, klipper, gcodes, broom)


async def stop_at_once(peer: Peer) -> None:
    """A job waits when the printer is stopped and its firmware restarted."""
    await peer.ready()
    assert await peer.queue("one.gcode") == ["one.gcode"]
    await peer.call("POST", "/printer/emergency_stop")
    await trio.sleep(1.0)
    await peer.call("POST", "/printer/firmware_restart")
    await peer.ready()
    await trio.sleep(BY_THEN)


async def move_a_file(peer: Peer) -> None:
    """A queued file gets another name."""
    await peer.call("DELETE", "/server/job_queue/job?all=true")
    await peer.queue("two.gcode")
    await trio.sleep(1.0)
    await peer.call("POST", "/server/files/move", {"source": "gcodes/two.gcode", "dest": "gcodes/three.gcode"})
    await trio.sleep(1.0)


async def waits(peer: Peer, *names: str) -> None:
    """See that these wait, or will."""

    async def do_wait() -> bool:
        return await peer.waiting() == list(names)

    await until(do_wait)


async def pauses_while_it_sweeps(peer: Peer, within: float) -> bool:
    """Whether a pause is answered during the G-code between two jobs."""
    await peer.call("DELETE", "/server/job_queue/job?all=true")
    await peer.queue("four.gcode", "five.gcode")
    await peer.call("POST", "/server/job_queue/start")
    with trio.fail_after(60):
        await peer.broom.begun.wait()
    answered = trio.Event()

    async def pause() -> None:
        await peer.call("POST", "/server/job_queue/pause")
        answered.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pause)
        with trio.move_on_after(within):
            await answered.wait()
        at_once = answered.is_set()
        peer.broom.may_end.set()
    await trio.sleep(1.0)
    assert await peer.waiting() == ["five.gcode"]
    return at_once


async def test_our_queue_waits_after_an_emergency_stop_follows_its_files_and_pauses_at_once(
    tmp_path: Path, nursery: trio.Nursery, real_moonraker: StartMoonraker
) -> None:
    async with moonrakers(tmp_path, nursery, real_moonraker) as theirs, ours(tmp_path, nursery) as mine:
        for peer in (theirs, mine):
            await stop_at_once(peer)
        await waits(theirs)
        await waits(mine, "one.gcode")
        for peer in (theirs, mine):
            await move_a_file(peer)
        await waits(theirs, "two.gcode")
        await waits(mine, "three.gcode")
        assert not await pauses_while_it_sweeps(theirs, within=2)
        assert await pauses_while_it_sweeps(mine, within=30)
    nursery.cancel_scope.cancel()
