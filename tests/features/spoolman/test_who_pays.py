"""A change of spool splits where the printer stood at that moment, whatever was told by then."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.features.spoolman.quiet_klipper import EXTRUDERS, PrintingKlipper
from trio_moon.features.spoolman.ledger import Ledger, tool_of
from trio_moon.features.spoolman.motion import FilamentMeter

Deed = tuple[str, float]
DEEDS = st.tuples(st.sampled_from(["plan", "look ahead", "tool", "spool", "time", "tell", "cut"]), st.floats(0, 9))


class Payers:
    """Each change of spool puts new ones on both tools."""

    def __init__(self) -> None:
        self.klipper, self.ledger = PrintingKlipper(), Ledger()
        self.meter = FilamentMeter(
            self.klipper, self.ledger, None, source="auto", on_extruder=lambda: None, save_soon=lambda: None
        )
        self.expected: dict[int, float] = {}
        self.spools = 0

    async def run(self, deeds: list[Deed]) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.meter.run)
            await self.klipper.connect()
            await self.do("spool", 0.0)
            for deed, amount in deeds:
                await self.do(deed, amount)
            self.klipper.finish()
            self.klipper.tell_steps(*EXTRUDERS)
            nursery.cancel_scope.cancel()

    async def do(self, deed: str, amount: float) -> None:
        match deed:
            case "plan" | "look ahead":
                self.klipper.plan(amount, flushed=deed == "plan")
                spool = self.ledger.state.tools[tool_of(self.klipper.extruder)]
                assert spool is not None
                self.expected[spool] = self.expected.get(spool, 0.0) + amount
            case "tool":
                self.klipper.activate(EXTRUDERS[int(amount) % 2])
            case "spool":
                self.spools += 2
                self.ledger.set_tools({0: self.spools, 1: self.spools + 1}, await self.meter.moment())
            case "time":
                self.klipper.pass_time(amount)
                self.klipper.refresh_live_position()
                await trio.sleep(amount)
            case "tell":
                self.klipper.tell_steps(*EXTRUDERS)
            case "cut":
                await self.klipper.lose()
                await self.klipper.come_back()


@given(st.lists(DEEDS, max_size=40))
@settings(deadline=None, max_examples=150)
def test_each_spool_pays_what_was_commanded_while_it_was_set(deeds: list[Deed]) -> None:
    payers = Payers()
    trio.run(payers.run, deeds, clock=MockClock(autojump_threshold=0))
    paid = {spool: mm for spool, mm in payers.ledger.state.pending.items() if mm > 1e-9}
    assert paid == pytest.approx({spool: mm for spool, mm in payers.expected.items() if mm > 1e-9}, abs=1e-9)
