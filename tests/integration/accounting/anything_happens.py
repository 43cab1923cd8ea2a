"""Scenarios that nobody thought of: two tools, and whatever happens, in an order that a seed decides."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable

import trio

from tests.integration.accounting.house import USE, House
from tests.integration.accounting.scenario import scenario
from trio_moon.testing import spoolman_faults as faults
from trio_moon.testing.klipper_gcode import KlipperError

EVENTS = 14
BEYOND_ANY_PEAK = 6.0
SPOOLS = (1, 2, 3, None)
LOST_REPORTS = (faults.HangBeforeApply, faults.HangAfterApply, faults.ResetBeforeApply, faults.ResetAfterApply)


class Whim:
    """Does one thing after another to a house; `story` tells what."""

    def __init__(self, house: House, seed: int) -> None:
        self.story = [f"seed {seed}"]
        self._house = house
        self._random = random.Random(seed)
        events = (self.kill, self.end, self.cut, self.be_away, self.freeze, self.restart_klipper, self.crash_klipper)
        self._events: tuple[Callable[[], Awaitable[None]], ...] = (*events, self.choose, self.lose_reports)

    async def happen(self) -> None:
        """Print a little, then let something happen."""
        await self.work()
        event = self._random.choice(self._events)
        self.story.append(event.__name__)
        await event()

    async def work(self) -> None:
        """Small moves, retractions, tool changes, and other ways to count E."""
        pick = self._random.choice
        lines = ["M83"]
        for _ in range(self._random.randint(1, 6)):
            extrude = f"G1 E{pick((0.4, 1, 2.5, 7))} F{pick((600, 1800, 3000))}"
            other = pick(("T0", "T1", "G1 E-0.8 F2100\nG1 E0.8", "G1 E-0.4 F2100", "G92 E0\nM221 S80", "M221 S125"))
            lines += pick(((extrude,), (extrude, other), ("M82\nG92 E5\nG1 E7.5 F1800\nM83",)))
        await self._run("\n".join(lines), wait=self._random.random() < 0.7)

    async def _run(self, script: str, *, wait: bool = True) -> None:
        self.story.append(script.replace("\n", " | "))
        with contextlib.suppress(KlipperError):  # it restarts
            await self._house.klipper.run_gcode(script, wait_moves=wait)

    async def be_known(self) -> None:
        """What was told to nobody shows when each tool goes on; it is lost if Klipper goes first."""
        await self._house.printer.ready()
        for tool in (0, 1):
            await self._run(f"T{tool}\nM83\nG1 E{BEYOND_ANY_PEAK} F3000")
        await self._house.told()

    # --- what may happen

    async def kill(self) -> None:
        await self._house.printer.kill()
        await self.work()
        await self._house.printer.start()

    async def end(self) -> None:
        await self._house.printer.end()
        await self.work()
        await self._house.printer.start()

    async def cut(self) -> None:
        await self._house.klipper.cut_connections()

    async def be_away(self) -> None:
        async with self._house.klipper.away():
            await self.work()
            await trio.sleep(self._random.choice((0, 0.3, 1)))

    async def freeze(self) -> None:
        self._house.klipper.faults.silent = True
        await self.work()
        await trio.sleep(self._random.choice((0.3, 1, 2.5, 6)))
        self._house.klipper.faults.silent = False

    async def restart_klipper(self) -> None:
        await self.be_known()
        await self._house.klipper.restart(firmware=self._random.random() < 0.5)

    async def crash_klipper(self) -> None:
        await self.be_known()
        self._house.klipper.crash()
        await trio.sleep(0.1)
        await self._house.klipper.wait_state("ready")

    async def choose(self) -> None:
        choice = {"spool_id": self._random.choice(SPOOLS), "tool": self._random.choice((0, 1))}
        await self._house.printer.client.post("/server/spoolman/spool_id", json=choice)  # another's is refused

    async def lose_reports(self) -> None:
        with self._house.spoolman.fault(*USE, self._random.choice(LOST_REPORTS)(times=1)):
            await self.work()
            await trio.sleep(1.2)


async def let_happen(house: House) -> None:
    whim = Whim(house, random.randrange(10**6))
    try:
        for _ in range(EVENTS):
            await whim.happen()
        await whim.be_known()
    except BaseException:
        print("\n  ".join(whim.story), flush=True)
        raise


@scenario(extruders=2)
async def anything_happens(house: House) -> None:
    await let_happen(house)


@scenario(extruders=2, speed=1.0, keeps_clock=True)
async def anything_happens_at_real_speed(house: House) -> None:
    await let_happen(house)
