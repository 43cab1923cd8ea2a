"""The record of each print: opened and closed whoever was away, and never held up by Spoolman or a slow file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import trio
from trio.testing import MockClock

from tests.features.told_jobs import ToldJobs
from trio_moon.features.spoolman.checks import PrintCheck
from trio_moon.features.spoolman.client import Away, Missing
from trio_moon.features.spoolman.jobs import JobKeeper
from trio_moon.features.spoolman.journal import SCHEMA, Journal
from trio_moon.features.spoolman.ledger import Ledger, Moment, Session, Tools
from trio_moon.features.spoolman.lookout import Lookout
from trio_moon.features.spoolman.shelf import Shelf
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.topics import Topic
from trio_moon.model.events import SpoolmanAlert, SpoolSelected
from trio_moon.store.schema import migrate

T = TypeVar("T")


class Disk:
    """SQLite without threads; it may be full."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self.connection, (SCHEMA,))
        self.full = False

    async def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        await trio.lowlevel.checkpoint()
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        return work(self.connection)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        await trio.lowlevel.checkpoint()
        return work(self.connection)


class Prints(ToldJobs):
    """The follower of jobs, with time after each news."""

    async def say(self, state: str, filename: str = "a.gcode", total: float = 5.0, connected_for: float = 0.0) -> None:
        self.tell(state, total, filename=filename, connected_for=connected_for)
        await trio.sleep(0.1)

    async def cut(self) -> None:
        self.lose()
        await trio.sleep(0.1)


class Room:
    """What the keeper sees of its room, with a Spoolman that answers when it may."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.ledger, self.journal = Ledger(), Journal(self.disk)
        self.prints = Prints()
        self.alerts: Topic[SpoolmanAlert] = Topic()
        self.selected: Topic[SpoolSelected] = Topic()
        self.shelf = Shelf(self, on_put=lambda spool: None, on_gone=self._gone)
        self.said: list[str] = []
        self.answers = trio.Event()
        self.answers.set()
        self.metadata: dict[str, object] = {"filament_total": 900.0}
        check = PrintCheck(self, self._metadata_of, self.said.append, "warn")
        self.lookout = Lookout(self, None, None, self.said.append, lambda: self.prints.job_open)
        self.jobs = JobKeeper(self, self.prints, check, self.lookout)
        self.ledger.begin_session(Session(1), complete=True)
        self.ledger.set_tools({0: 1}, None)
        self.shelf.put(Spool(1, 0.0, remaining_mm=1000.0))

    @property
    def meter(self) -> Room:
        return self

    @property
    def tools(self) -> Tools:
        return self.ledger.state.tools

    @property
    def active_spool(self) -> int | None:
        return self.tools.get(0)

    async def moment(self) -> Moment | None:
        await trio.lowlevel.checkpoint()
        return None

    async def read_spool(self, spool_id: int) -> Spool | Missing | Away:
        await self.answers.wait()
        return Spool(spool_id, 0.0, remaining_mm=1000.0)

    async def _metadata_of(self, filename: str) -> Mapping[str, object]:
        await trio.lowlevel.checkpoint()
        return self.metadata

    async def _gone(self, spool_id: int, reason: str) -> None:
        pass

    async def records(self) -> list[tuple[str, str]]:
        """The jobs in the books: file and outcome, the oldest first."""
        return [(job.filename, job.outcome) for job in reversed(await self.journal.jobs(10))]


@asynccontextmanager
async def keeping(room: Room) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.jobs.run)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


async def test_a_print_has_a_record_from_its_begin_to_its_end(autojump_clock: MockClock) -> None:
    room = Room()
    async with keeping(room):
        await room.prints.say("standby", "")
        await room.prints.say("printing")
        assert await room.records() == [("a.gcode", "in_progress")]
        await trio.sleep(10)
        await room.prints.say("complete", total=9.0)
        assert await room.records() == [("a.gcode", "complete")]
        assert room.ledger.state.job is None


async def test_the_history_gets_each_spool_once_however_often_tools_change(autojump_clock: MockClock) -> None:
    room = Room()
    room.ledger.set_tools({}, None)
    async with keeping(room):
        await room.prints.say("standby", "")
        await room.prints.say("printing")
        assert room.jobs.spool_ids() == []
        for spool_id in (1, 2, None, 1, 2, None, 3):
            room.ledger.set_tools({0: spool_id}, None)
            room.selected.publish(SpoolSelected(0, spool_id))
            await trio.sleep(0.1)
        assert room.jobs.spool_ids() == [1, 2, None, 3]
        await room.prints.say("printing", "b.gcode", total=0.0)
        assert room.jobs.spool_ids() == [3]


async def test_spoolman_that_hangs_does_not_give_one_print_the_filament_of_the_next(autojump_clock: MockClock) -> None:
    room = Room()
    room.answers = trio.Event()
    async with keeping(room):
        await room.prints.say("standby", "")
        await room.prints.say("printing", "a.gcode")
        room.ledger.observe("extruder", 10)
        await room.prints.say("complete", "a.gcode", total=6.0)
        room.ledger.observe("extruder", 12)
        await room.prints.say("printing", "b.gcode")
        room.ledger.observe("extruder", 17)
        await room.prints.say("complete", "b.gcode", total=6.0)
        assert room.ledger.state.job is None
        assert await room.records() == [("a.gcode", "complete"), ("b.gcode", "complete")]
        found = {job.filename: job.spools[0].used_mm for job in await room.journal.jobs(10)}
        assert found == {"a.gcode": 10, "b.gcode": 5}


async def test_a_print_that_is_over_before_its_file_was_read_is_not_expected_any_more(
    autojump_clock: MockClock,
) -> None:
    room = Room()
    room.metadata = {"filament_total": 5000.0}
    room.answers = trio.Event()
    async with keeping(room):
        await room.prints.say("standby", "")
        await room.prints.say("printing")
        await room.prints.say("cancelled", total=6.0)
        await trio.sleep(10)
        await room.lookout.look()
    assert not [line for line in room.said if "runs out" in line]


async def test_a_print_that_klipper_took_with_it_ends(autojump_clock: MockClock) -> None:
    room = Room()
    async with keeping(room):
        await room.prints.say("standby", "")
        await room.prints.say("printing")
        await room.prints.cut()
        await trio.sleep(10)
        assert await room.records() == [("a.gcode", "in_progress")], "it may come back"
        await room.prints.say("standby", "")
        await trio.sleep(3)
        assert room.ledger.state.job is None
        assert await room.records() == [("a.gcode", "klippy_disconnect")]


async def test_a_print_that_goes_on_after_a_lost_connection_is_the_same(autojump_clock: MockClock) -> None:
    room = Room()
    async with keeping(room):
        await room.prints.say("standby", "")
        await room.prints.say("printing")
        await room.prints.cut()
        await trio.sleep(10)
        await room.prints.say("printing", total=20.0)
        await trio.sleep(3)
        assert await room.records() == [("a.gcode", "in_progress")]


async def after_our_restart(state: str, filename: str = "a.gcode") -> Room:
    """We died in a print, and find Klipper like this."""
    room = Room()
    async with keeping(room):
        await room.prints.say("standby", "")
        await room.prints.say("printing")
        room.ledger.observe("extruder", 10)
        await room.journal.commit(room.ledger)
    again = Room(room.disk)
    again.metadata = {"filament_total": 5000.0}
    again.ledger.state = await again.journal.load()
    again.said.clear()
    async with keeping(again):
        await trio.sleep(3)
        assert again.ledger.state.job is not None, "Klipper hasn't said anything yet"
        await again.prints.say(state, filename, total=100.0)
        await trio.sleep(3)
        await again.lookout.look()
    return again


async def test_a_print_that_goes_on_after_our_restart_is_still_looked_after(autojump_clock: MockClock) -> None:
    room = await after_our_restart("printing")
    assert await room.records() == [("a.gcode", "in_progress")]
    assert [line for line in room.said if "runs out" in line]
    assert room.jobs.spool_ids() == [1]


async def test_a_print_that_ended_while_we_were_away_ends_in_the_books(autojump_clock: MockClock) -> None:
    for state, outcome in (("complete", "complete"), ("cancelled", "cancelled"), ("standby", "klippy_disconnect")):
        room = await after_our_restart(state, "" if state == "standby" else "a.gcode")
        assert await room.records() == [("a.gcode", outcome)]
        assert room.ledger.state.job is None


async def test_a_print_that_began_while_we_were_away_gets_its_record(autojump_clock: MockClock) -> None:
    room = await after_our_restart("printing", "b.gcode")
    assert await room.records() == [("a.gcode", "klippy_disconnect"), ("b.gcode", "in_progress")]
    assert [line for line in room.said if "needs" in line]


async def test_a_full_disk_delays_records_and_costs_nothing(autojump_clock: MockClock) -> None:
    room = Room()
    async with keeping(room):
        await room.prints.say("standby", "")
        room.disk.full = True
        await room.prints.say("printing")
        await trio.sleep(10)
        room.disk.full = False
        await trio.sleep(3)
        assert await room.records() == [("a.gcode", "in_progress")]
        room.disk.full = True
        await room.prints.say("complete", total=9.0)
        await trio.sleep(10)
        assert room.ledger.state.job is None
        room.disk.full = False
        await room.prints.say("printing", "b.gcode", total=1.0)
        assert await room.records() == [("a.gcode", "complete"), ("b.gcode", "in_progress")]
