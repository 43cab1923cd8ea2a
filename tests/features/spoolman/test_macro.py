"""A macro's variables follow the spool, and a print is left alone otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from trio_moon.features.spoolman.macro import SpoolMacro
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.json_codec import Raw
from trio_moon.kit.status_box import Status
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import KlippyAway, KlippyRefused, MoonError
from trio_moon.model.events import KlippyEvent, KlippyReady


class Klipper:
    """It has one macro, and keeps the scripts that it ran."""

    def __init__(self, *variables: str) -> None:
        self.events: Topic[KlippyEvent] = Topic()
        self.variables = dict.fromkeys(variables)
        self.scripts: list[str] = []
        self.trouble: MoonError | None = None

    async def query(self, objects: Mapping[str, list[str] | None]) -> tuple[Status, float]:
        await trio.lowlevel.checkpoint()
        if self.trouble is not None:
            raise self.trouble
        return {name: dict(self.variables) if name == "gcode_macro SPOOL_INFO" else {} for name in objects}, 0.0

    async def request(self, method: str, params: object = None, *, deadline: float | None = None) -> Raw:
        await trio.lowlevel.checkpoint()
        if self.trouble is not None:
            raise self.trouble
        assert isinstance(params, dict)
        self.scripts.append(params["script"])
        return Raw(b"{}")


class Room:
    def __init__(self, *variables: str, name: str = "SPOOL_INFO") -> None:
        self.klipper = Klipper(*variables)
        self.spool: Spool | None = Spool(1, 0.0, material="PLA", remaining_mm=1000.0)
        self.macro = SpoolMacro(name, self.klipper, lambda: (0, self.spool.id if self.spool else None, self.spool))

    async def change(self, spool: Spool | None) -> None:
        self.spool = spool
        self.macro.update()
        await trio.sleep(1)


@asynccontextmanager
async def running(room: Room) -> AsyncIterator[Spool]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.macro.run)
        await trio.sleep(1)
        assert room.spool is not None
        yield room.spool
        nursery.cancel_scope.cancel()


async def test_only_what_is_new_is_told(autojump_clock: MockClock) -> None:
    room = Room("spool_id", "material", "unrelated")
    async with running(room) as spool:
        for remaining in (900.0, 800.0, 700.0):
            await room.change(replace(spool, remaining_mm=remaining))
        await room.change(Spool(2, 0.0, material="PLA"))
        await room.change(None)
    assert room.klipper.scripts == [
        "SET_GCODE_VARIABLE MACRO=SPOOL_INFO VARIABLE=spool_id VALUE=1\n"
        "SET_GCODE_VARIABLE MACRO=SPOOL_INFO VARIABLE=material VALUE='\"PLA\"'",
        "SET_GCODE_VARIABLE MACRO=SPOOL_INFO VARIABLE=spool_id VALUE=2",
        "SET_GCODE_VARIABLE MACRO=SPOOL_INFO VARIABLE=spool_id VALUE=None\n"
        "SET_GCODE_VARIABLE MACRO=SPOOL_INFO VARIABLE=material VALUE='\"\"'",
    ]


async def test_a_klipper_that_is_ready_again_is_told_all_of_it(autojump_clock: MockClock) -> None:
    room = Room("spool_id")
    async with running(room):
        room.klipper.variables["material"] = None
        room.klipper.events.publish(KlippyReady(1))
        await trio.sleep(1)
    assert [script.count("\n") for script in room.klipper.scripts] == [0, 1]


async def test_what_was_not_said_is_said_with_the_next_change(autojump_clock: MockClock) -> None:
    room = Room("spool_id")
    async with running(room) as spool:
        for trouble in (KlippyAway("gone"), KlippyRefused("!! no")):
            room.klipper.trouble = trouble
            await room.change(Spool(7, 0.0))
            room.klipper.trouble = None
            await room.change(replace(spool, id=spool.id + 1))
            await room.change(spool)
    assert [script.rpartition("=")[2] for script in room.klipper.scripts] == ["1", "2", "1", "2", "1"]


@pytest.mark.parametrize("room", [Room("spool_id", name="spool_info"), Room("unrelated"), Room()])
async def test_a_macro_that_is_not_there_is_complained_of_once(
    room: Room, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(room):
        await room.change(Spool(2, 0.0))
        await room.change(None)
    assert room.klipper.scripts == []
    assert len([record for record in caplog.records if "no such macro" in record.getMessage()]) == 1
