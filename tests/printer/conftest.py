"""A printer room that talks to a simulated Klipper over a real socket."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from tests.until import until
from trio_moon.kit.status_box import StatusView
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Session
from trio_moon.rpc.packet import Packet
from trio_moon.testing import SimulatedKlipper


@dataclass(eq=False)
class Ear:
    """An outbox that remembers what it was told."""

    events: list[bytes] = field(default_factory=list)
    updates: list[StatusView] = field(default_factory=list)

    def event(self, packet: Packet) -> None:
        self.events.append(packet.payload)

    def status(self, news: StatusView, eventtime: float, packet: Packet) -> None:
        self.updates.append(news)

    def close(self, reason: str) -> None:
        self.events.append(reason.encode())


@dataclass(eq=False)
class House:
    """The parts under test."""

    klipper: SimulatedKlipper
    printer: Printer
    audience: Audience
    ear: Ear
    session: Session


@pytest.fixture
async def house(nursery: trio.Nursery, tmp_path: Path) -> House:
    """A printer that isn't running yet, and a Klipper that is."""
    klipper = SimulatedKlipper(
        tmp_path / "klippy.sock", gcodes=tmp_path, speed=100.0, status_interval=0.05, restart_pause=0.1
    )
    await nursery.start(klipper.run)
    audience = Audience()
    printer = Printer(tmp_path / "klippy.sock", audience)
    ear = Ear()
    session = Session(ear)
    audience.join(session)
    return House(klipper, printer, audience, ear, session)


@pytest.fixture
async def ready(house: House, nursery: trio.Nursery) -> House:
    """The same, running and ready."""
    await nursery.start(house.printer.run)
    await until(lambda: house.printer.state == "ready")
    return house
