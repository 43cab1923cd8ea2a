"""A printer, a Spoolman and the service between them, and the books that must balance whatever happens to the three.

The truth is what the extruders gave (`klipper.extruded_mm`). It must equal what Spoolman was charged by us, plus
what the service says it still holds: pending, open, orphaned or of no spool.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from tests.integration.service import Client, Process, RpcSocket, configure
from tests.until import until
from trio_moon.testing import MockSpoolman, SimulatedKlipper
from trio_moon.testing.klipper_gcode import KlipperError
from trio_moon.testing.spoolman_faults import Fault

EXACT_MM = 1e-4
SETTLED_WITHIN = 40.0
"""How long the books may take to balance before it is an error of theirs; the usual is far less."""
STAY_SETTLED = 2.5
"""They must still balance after two more rounds of reports."""
LOOK_EVERY = 0.1
STRUCK_WITHIN = 60.0
SPEED = 20.0
USE = ("PUT", "/spool/*/use")


@dataclass
class Printer:
    """A simulated printer with its own service."""

    root: Path
    klipper: SimulatedKlipper
    spoolman_url: str
    options: str = ""
    client: Client = field(init=False)
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        section = f"[spoolman]\nserver: {self.spoolman_url}\nsync_rate: 1\n{self.options}"
        self.process = Process(configure(self.root, section))
        conf = self.process.paths.config / "moonraker.conf"
        text = conf.read_text()
        conf.write_text(text.replace("[server]\n", f"[server]\nklippy_uds_address: {self.klipper.socket_path}\n"))

    def use_spoolman(self, url: str) -> None:
        """Talk to Spoolman at another address from the next start on."""
        conf = self.process.paths.config / "moonraker.conf"
        conf.write_text(conf.read_text().replace(self.spoolman_url, url))
        self.spoolman_url = url

    async def start(self) -> None:
        """Start the service, and wait until it has found Klipper (if that is there)."""
        self.client = await self.process.start()
        if self.klipper.state == "ready" and not self.klipper.faults.silent:
            await self.ready()

    async def ready(self) -> None:
        """Wait until the service has found Klipper and measures."""
        await self.client.klippy_ready()

    async def restart(self) -> None:
        """Let it restart by its own API, and find it again."""
        log = self.process.log
        before = log.read_text().count("listening on http")
        await self.client.post("/server/restart")
        await until(lambda: log.read_text().count("listening on http") != before, within=SETTLED_WITHIN)
        self.find()
        await self.ready()

    def find(self) -> None:
        """Talk to where it listens now."""
        self.client = Client(self.process.log.read_text().rpartition("listening on ")[2].split(",")[0])

    async def kill(self) -> None:
        """`kill -9`."""
        await self.process.kill()

    async def end(self) -> None:
        """SIGTERM."""
        await self.process.end()

    async def status(self) -> dict[str, Any]:
        """server.spoolman.status."""
        status = await self.client.result("/server/spoolman/status")
        assert isinstance(status, dict)
        return status

    async def choose(self, spool_id: int | None, tool: int | None = None) -> None:
        """Set the spool by HTTP."""
        choice: dict[str, object] = {"spool_id": spool_id} if tool is None else {"spool_id": spool_id, "tool": tool}
        answer = await self.client.post("/server/spoolman/spool_id", json=choice)
        assert answer.status_code == 200, answer.text

    @asynccontextmanager
    async def websocket(self) -> AsyncIterator[RpcSocket]:
        """A JSON-RPC websocket of the service."""
        async with self.client.websocket() as socket:
            yield socket

    async def extrude(self, length_mm: float, extruder: str | None = None) -> None:
        """Extrude (or retract), and wait until the printer has done it."""
        await self.klipper.extrude(length_mm, extruder)

    @property
    def extruded_mm(self) -> float:
        """The truth."""
        return math.fsum(self.klipper.extruded_mm.values())

    def held_mm(self, status: dict[str, Any]) -> float:
        """What the service says it still holds."""
        lists = (status["pending_reports"], status["orphaned"], status["open_intents"])
        return math.fsum([*(each["filament_used"] for amounts in lists for each in amounts), status["unassigned"]])


@dataclass
class House:
    """One Spoolman and one or more printers on it."""

    root: Path
    nursery: trio.Nursery
    spoolman: MockSpoolman
    printers: list[Printer] = field(default_factory=list)
    recovered_after: float = 0.0
    """Seconds that the books needed to balance, the longest of all `settle` since the beginning."""

    @property
    def printer(self) -> Printer:
        """The first, for most scenarios the only one."""
        return self.printers[0]

    @property
    def klipper(self) -> SimulatedKlipper:
        """The first printer's Klipper."""
        return self.printer.klipper

    async def add_printer(self, *, options: str = "", keeps_clock: bool = False, **klipper: Any) -> Printer:
        """Another printer with a running Klipper and a service that isn't started yet."""
        root = self.root / f"printer{len(self.printers)}"
        (root / "gcodes").mkdir(parents=True)
        klipper = {"speed": SPEED, "restart_pause": 0.3, **klipper}
        printer = SimulatedKlipper(root / "klippy.sock", gcodes=root / "gcodes", **klipper)
        printer.setup.mcu_keeps_clock = keeps_clock
        await self.nursery.start(printer.run)
        self.printers.append(Printer(root, printer, self.spoolman.url, options))
        return self.printers[-1]

    async def begin(self) -> None:
        """Start the service with spool 1, and see some filament arrive."""
        await self.printer.start()
        await self.printer.choose(1)
        await self.printer.extrude(10)
        await self.settle(stay=LOOK_EVERY)
        self.recovered_after = 0.0

    async def told(self) -> None:
        """Wait until Klipper has told what was done, and that is on disk: what it tells to nobody can't be known later.

        It tells moves twice a second, and dwells half a second before it restarts; at our pace that is no time.
        """
        with trio.fail_after(SETTLED_WITHIN):
            while abs(await self.error_mm()) > EXACT_MM:
                await trio.sleep(LOOK_EVERY)
        await trio.sleep(1.2)

    @property
    def charged_mm(self) -> float:
        """What Spoolman has applied of our reports."""
        return math.fsum(use.used_mm for use in self.spoolman.uses if use.request is not None)

    def charged_to(self, spool_id: int) -> float:
        """What Spoolman has applied of our reports on this spool."""
        uses = [use for use in self.spoolman.uses if use.request is not None]
        return math.fsum(use.used_mm for use in uses if use.spool_id == spool_id)

    async def error_mm(self) -> float:
        """Charged and held minus extruded: above zero something was counted twice, below it was lost."""
        for _ in range(20):
            charged = self.charged_mm
            held = [printer.held_mm(await printer.status()) for printer in self.printers]
            if charged == self.charged_mm:  # nothing moved while we looked
                break
        return charged + math.fsum(held) - math.fsum(printer.extruded_mm for printer in self.printers)

    async def quiet(self) -> bool:
        """Nothing is open or to be reported."""
        for printer in self.printers:
            status = await printer.status()
            if status["open_intents"] or any(abs(each["filament_used"]) > 2e-6 for each in status["pending_reports"]):
                return False
        return True

    async def settle(self, *, parked: bool = False, stay: float = STAY_SETTLED) -> None:
        """The books come to balance and stay so, with everything reported (unless Spoolman refuses: `parked`)."""
        began = trio.current_time()
        right_since: float | None = None
        while trio.current_time() < began + SETTLED_WITHIN:
            right = abs(await self.error_mm()) < EXACT_MM and (parked or await self.quiet())
            right_since = (right_since or trio.current_time()) if right else None
            if right_since is not None and trio.current_time() >= right_since + stay:
                self.recovered_after = max(self.recovered_after, right_since - began)
                return
            await trio.sleep(LOOK_EVERY)
        await self.check(parked=parked, after=f"{SETTLED_WITHIN:.1f} s")
        raise AssertionError(f"the books balance only now, after {SETTLED_WITHIN:.1f} s")

    async def check(self, *, parked: bool = False, after: str = "") -> None:
        """The books balance now."""
        error = await self.error_mm()
        statuses = [await printer.status() for printer in self.printers]
        truth = [printer.klipper.extruded_mm for printer in self.printers]
        story = f"after {after}: extruded {truth}, charged {self.charged_mm}, {statuses}"
        assert abs(error) < EXACT_MM, f"{'double' if error > 0 else 'LOST'} {abs(error):.6f} mm {story}"
        assert parked or await self.quiet(), f"not everything was reported {story}"

    @asynccontextmanager
    async def struck(self, fault: Fault, length_mm: float = 12.5) -> AsyncIterator[None]:
        """Use so much filament, and wait until its report is struck; the fault stays for the length of the block."""
        with self.spoolman.fault(*USE, fault):
            await self.extrude_until_struck(fault, length_mm)
            yield

    async def extrude_until_struck(self, fault: Fault, length_mm: float, times: int = 1) -> None:
        """Use so much filament, and wait until the fault has struck so often."""
        await self.printer.extrude(length_mm)
        with trio.fail_after(STRUCK_WITHIN):
            await fault.wait_struck(times)

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the first printer's status is like this."""
        with trio.fail_after(SETTLED_WITHIN):
            while not condition(await self.printer.status()):
                await trio.sleep(LOOK_EVERY)

    @asynccontextmanager
    async def printing(self, *, step_mm: float = 3.0, pause: float = 0.05) -> AsyncIterator[None]:
        """Small moves and retractions go on inside the block; all are done behind it."""
        enough = trio.Event()
        done = trio.Event()

        async def extrude() -> None:
            while not enough.is_set():
                for length_mm in (step_mm, -1.5, 1.5):
                    try:
                        await self.klipper.extrude(length_mm)
                    except KlipperError:  # it restarts
                        await trio.sleep(0.1)
                await trio.sleep(pause)
            done.set()

        self.nursery.start_soon(extrude)
        try:
            yield
        finally:
            enough.set()
            await done.wait()


@asynccontextmanager
async def open_house(root: Path, **printer: Any) -> AsyncIterator[House]:
    """A Spoolman with spools 1, 2 and 3 and a printer whose service has spool 1; everything ends with the block."""
    async with trio.open_nursery() as nursery:
        spoolman = MockSpoolman()
        for _ in range(3):
            spoolman.add_spool()
        await nursery.start(spoolman.run)
        house = House(root, nursery, spoolman)
        await house.add_printer(**printer)
        try:
            yield house
        finally:
            for each in house.printers:
                each.process.clean_up()
            nursery.cancel_scope.cancel()
