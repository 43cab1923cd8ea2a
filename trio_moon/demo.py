"""The main job, shown: a simulated printer prints, and a mock Spoolman is told of every millimetre."""

from __future__ import annotations

import base64
import io
import math
import signal
import socket
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import trio

from trio_moon.app import App, Options, run_app
from trio_moon.config.document import Document
from trio_moon.logbook import Logbook
from trio_moon.model.paths import DataPaths
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.testing import MockSpoolman, SimulatedKlipper
from trio_moon.testing.klipper_macros import Macro

SYNC_RATE = 5
EXACT_MM = 1e-6
PAUSE_BETWEEN_PRINTS = 20.0
SETTLE_TIMEOUT = 60.0

FRONTENDS_MACROS = {
    name: Macro(f"{name}_BASE", rename_existing=f"{name}_BASE") for name in ("PAUSE", "RESUME", "CANCEL_PRINT")
}
"""Mainsail and Fluidd warn of printers that have no such macros."""


def main(port: int, *, once: bool) -> int:
    """Run the demo until Ctrl-C; with `once` one quick print, and status 1 if the accounts don't agree."""
    with tempfile.TemporaryDirectory(prefix="trio_moon-demo-") as folder:
        demo = Demo(DataPaths(Path(folder)), port, once=once)
        logbook = Logbook(demo.paths.logs / "moonraker.log")
        logbook.open()
        try:
            trio.run(demo.run)
        finally:
            logbook.close()
    return 0 if demo.exact else 1


class Demo:
    """A printer, a Spoolman, and trio_moon between them."""

    def __init__(self, paths: DataPaths, port: int, *, once: bool) -> None:
        self.paths = paths
        self.exact = True
        self._once = once
        self._sync_rate = 1 if once else SYNC_RATE
        self._port = port if _is_free(port) else 0
        paths.make()
        (paths.gcodes / "vase.gcode").write_text("\n".join(vase()))
        self._spoolman = MockSpoolman()
        vendor = self._spoolman.add_vendor("Moonshot")
        self._spool = self._spoolman.add_spool(
            self._spoolman.add_filament(vendor=vendor, name="Lunar Grey PLA", material="PLA", color_hex="8D99AE")
        )
        self._klipper = SimulatedKlipper(
            paths.comms / "klippy.sock", gcodes=paths.gcodes, speed=20.0 if once else 1.0, macros=FRONTENDS_MACROS
        )

    async def run(self) -> None:
        """Bring everything up, print, compare the accounts; for ever, or once."""
        async with trio.open_nursery() as world:
            await world.start(self._klipper.run)
            await world.start(self._spoolman.run)
            app = self._build()
            async with trio.open_nursery() as service:
                addresses = await service.start(run_app, app)
                world.start_soon(_mind_signals, app)
                self._welcome(addresses)
                with trio.CancelScope() as printing:
                    service.start_soon(_until_stopped, app, printing)
                    await self._print_for_ever(app)
                app.stop.stop()
            world.cancel_scope.cancel()

    def _build(self) -> App:
        config = self.paths.config / "moonraker.conf"
        config.write_text(
            f"[server]\nhost: 127.0.0.1\nport: {self._port}\n\n"
            f"[authorization]\ntrusted_clients:\n  127.0.0.1\n\n"
            f"[spoolman]\nserver: {self._spoolman.url}\nsync_rate: {self._sync_rate}\n\n"
            "[octoprint_compat]\n\n[file_manager]\n"
        )
        return App(Document.load(config, self.paths.root), self.paths, Options())

    def _welcome(self, addresses: list[str]) -> None:
        tell(f"trio_moon shows its page and serves its API at {addresses[0]}/")
        tell(f"a mock Spoolman is at {self._spoolman.url}; usage is reported every {self._sync_rate} s; Ctrl-C ends it")

    async def _print_for_ever(self, app: App) -> None:
        while app.printer.state != "ready":
            await trio.sleep(0.05)
        await self._choose_spool(app)
        while True:
            tell("printing vase.gcode ...")
            await app.printer.start_print("vase.gcode")
            await self._klipper.wait_print()
            await self._compare()
            if self._once:
                return
            await trio.sleep(PAUSE_BETWEEN_PRINTS)

    async def _choose_spool(self, app: App) -> None:
        await self._klipper.run_gcode(f"SET_ACTIVE_SPOOL ID={self._spool.id}")
        active_spool, asking = app.registry.named("server.spoolman.get_spool_id"), Caller(Transport.UNIX)
        while await active_spool({}, asking) != {"spool_id": self._spool.id}:
            await trio.sleep(0.05)

    async def _compare(self) -> None:
        extruded = sum(self._klipper.extruded_mm.values())
        with trio.move_on_after(SETTLE_TIMEOUT):
            while abs(self._spoolman.used_mm(self._spool.id) - extruded) > EXACT_MM:
                await trio.sleep(0.1)
        reported = self._spoolman.used_mm(self._spool.id)
        self.exact = abs(reported - extruded) <= EXACT_MM
        verdict = "exact" if self.exact else "NOT EQUAL"
        tell(f"extruded {extruded:.6f} mm, Spoolman was told {reported:.6f} mm: {verdict}")


def vase() -> Iterator[str]:
    """A small vase as G-code, with retractions at each layer, as a slicer would write it."""
    layers, sides, radius, height = 30, 36, 20.0, 0.2
    yield "; generated by trio_moon demo"
    yield from thumbnail(160)
    yield "; estimated printing time (normal mode) = 1m 30s"
    yield "; total layers count = 30"
    yield from ("M140 S60", "M104 S210", "G28", "G90", "M83", "G1 Z5 F600")
    yield f"SET_PRINT_STATS_INFO TOTAL_LAYER={layers}"
    for layer in range(layers):
        swell = radius * (1 + 0.3 * math.sin(layer / layers * math.pi * 2))
        yield f"SET_PRINT_STATS_INFO CURRENT_LAYER={layer + 1}"
        yield f"G1 X{100 + swell:.3f} Y100 Z{(layer + 1) * height:.2f} F6000"
        yield "G1 E0.8 F2100"
        for side in range(1, sides + 1):
            angle = side / sides * math.tau
            yield f"G1 X{100 + swell * math.cos(angle):.3f} Y{100 + swell * math.sin(angle):.3f} E0.11632 F2400"
        yield "G1 E-0.8 F2100"
    yield from ("G1 E0.8 F2100", "M104 S0", "M140 S0", "G1 X0 Y180 F6000")


def thumbnail(size: int) -> Iterator[str]:
    """A picture of the vase, as slicers put it into their files."""
    from PIL import Image, ImageDraw

    image = Image.new("RGBA", (size, size))
    draw = ImageDraw.Draw(image)
    top, bottom = size * 0.1, size * 0.9
    for y in range(int(top), int(bottom)):
        height = 1 - (y - top) / (bottom - top)
        half = size * 0.24 * (1 + 0.3 * math.sin(height * math.tau))
        for x in range(int(size / 2 - half), int(size / 2 + half)):
            light = 0.55 + 0.45 * math.cos((x - size / 2 + half * 0.35) / half * 1.4) - 0.05 * (y % 4 == 0)
            draw.point((x, y), tuple(int(channel * light) for channel in (196, 204, 222)))
    picture = io.BytesIO()
    image.save(picture, "PNG", optimize=True)
    text = base64.b64encode(picture.getvalue()).decode()
    yield f"; thumbnail begin {size}x{size} {len(text)}"
    yield from (f"; {line}" for line in textwrap.wrap(text, 78))
    yield "; thumbnail end"


def tell(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True, file=sys.stdout)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


async def _mind_signals(app: App) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            app.stop.stop()
            return


async def _until_stopped(app: App, printing: trio.CancelScope) -> None:
    await app.stop.asked.wait()
    printing.cancel()
