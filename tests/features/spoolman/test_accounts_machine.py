"""Whatever happens, in whatever order: every millimetre is charged, pending, orphaned or unassigned, and only once.

A model of the world for hypothesis: a printer with two extruders, a Spoolman that fails before or after it counted,
late, or not at all, other writers, and a service that is killed between any two steps.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import trio
import trio.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.features.spoolman.quiet_klipper import EXTRUDERS, PrintingKlipper
from trio_moon.features.spoolman.client import Applied, Away, Missing, Refused, Unknown
from trio_moon.features.spoolman.courier import Courier
from trio_moon.features.spoolman.evidence import Witness
from trio_moon.features.spoolman.journal import SCHEMA, Journal
from trio_moon.features.spoolman.ledger import Ledger, Tools
from trio_moon.features.spoolman.lives import FAREWELL
from trio_moon.features.spoolman.motion import FilamentMeter
from trio_moon.features.spoolman.reporter import Reporter
from trio_moon.features.spoolman.service import SAVE_EVERY
from trio_moon.features.spoolman.spool import Spool
from trio_moon.model.events import ConsoleLine
from trio_moon.store.schema import migrate

T = TypeVar("T")
Step = float | Callable[[], Any]
SPOOLS = (1, 2, 3)
FAULTS = (
    "none",
    "killed before sending",
    "killed after applying",
    "lost before",
    "lost after",
    "applied late",
    "hangs before",
    "hangs after",
    "applied after we left",
    "applied slowly",
    "refused",
    "busy",
    "gateway 404",
    "unreachable",
    "killed at the journal",
)


class Killed(BaseException):
    """`kill -9`: nothing of the process goes on."""


class Disk:
    """SQLite without threads; it may be killed before or after a transaction."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self.connection, (SCHEMA,))
        self.kill_in: int | None = None

    async def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        dies = self._dies()
        if dies and self.kill_in == 0:
            raise Killed
        self.connection.execute("BEGIN")
        result = work(self.connection)
        self.connection.execute("COMMIT")
        if dies:
            raise Killed
        return result

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return work(self.connection)

    def _dies(self) -> bool:
        if self.kill_in is None:
            return False
        self.kill_in -= 1
        return self.kill_in < 1


class FaultySpoolman:
    """The client's side of a Spoolman that misbehaves when told to."""

    def __init__(self, tell: Callable[[int, float], None]) -> None:
        """`tell` is given each change, as the websocket tells it."""
        self.used = dict.fromkeys(SPOOLS, 0.0)
        self.charged = 0.0
        self.late: list[tuple[int, float]] = []
        self.fault = "none"
        self.away = False
        self.deleted: set[int] = set()
        self._tell = tell

    def apply(self, spool_id: int, used_mm: float) -> None:
        """Count a report of ours."""
        if spool_id not in self.deleted:
            self.charged += used_mm
            self.change(spool_id, used_mm)

    def change(self, spool_id: int, used_mm: float) -> None:
        """Count whoever's usage."""
        self.used[spool_id] += used_mm
        self._tell(spool_id, self.used[spool_id])

    def arrive(self) -> None:
        """What was held up somewhere reaches Spoolman."""
        late, self.late = self.late, []
        for spool_id, used_mm in late:
            self.apply(spool_id, used_mm)

    async def read_spool(self, spool_id: int) -> Spool | Missing | Away:
        await trio.sleep(0.01)
        if self.away:
            return Away("away")
        return Missing("gone") if spool_id in self.deleted else Spool(spool_id, self.used[spool_id])

    async def use(self, spool_id: int, used_mm: float) -> Applied | Refused | Unknown:
        fault, self.fault = self.fault, "none"
        await trio.sleep(0.01)
        await self._take_its_time(fault, spool_id, used_mm)
        match fault:
            case "killed before sending":
                raise Killed
            case "killed after applying":
                self.apply(spool_id, used_mm)
                raise Killed
            case "lost before":
                return Unknown("reset")
            case "lost after":
                self.apply(spool_id, used_mm)
                return Unknown("reset")
            case "applied late":
                self.late.append((spool_id, used_mm))
                return Unknown("no answer")
            case "refused":
                return Refused("no", 422)
            case "busy":
                return Refused("busy", None, 1.0)
            case "gateway 404":
                return Refused("404", 404)
            case "unreachable":
                return Refused("refused")
        if spool_id in self.deleted:
            return Refused("no spool", 404)
        self.apply(spool_id, used_mm)
        return Applied(Spool(spool_id, self.used[spool_id]))

    async def _take_its_time(self, fault: str, spool_id: int, used_mm: float) -> None:
        match fault:
            case "hangs before":
                await trio.sleep_forever()
            case "hangs after":
                self.apply(spool_id, used_mm)
                await trio.sleep_forever()
            case "applied after we left":
                try:
                    await trio.sleep_forever()
                finally:
                    self.late.append((spool_id, used_mm))
            case "applied slowly":  # after the first look into the books, and before the second
                await trio.sleep(1.8)


class Service:
    """What one process holds in memory."""

    def __init__(self, disk: Disk, spoolman: FaultySpoolman, klipper: PrintingKlipper) -> None:
        self.ledger = Ledger()
        self.witness = Witness(self.ledger)
        self.journal = Journal(disk)
        self.save_soon = trio.Event()
        self.meter = FilamentMeter(
            klipper, self.ledger, None, source="auto", on_extruder=lambda: None, save_soon=self._save_soon
        )
        courier = Courier(
            self.ledger, self.witness, self.journal, spoolman, on_spool=lambda spool: None, on_gone=self._gone
        )
        self.reporter = Reporter(self.ledger, self.witness, self.journal, courier, every=5)

    def _save_soon(self) -> None:
        self.save_soon.set()

    async def save(self, *, soon: bool = True) -> None:
        """What has to be saved soon, or everything."""
        if self.save_soon.is_set() or not soon:
            self.save_soon = trio.Event()
            await self.journal.commit(self.ledger, durable=False)

    async def _gone(self, spool_id: int, reason: str) -> None:
        self.ledger.orphan(spool_id)
        tools = {t: None if s == spool_id else s for t, s in self.ledger.state.tools.items()}
        self.ledger.set_tools(tools, await self.meter.moment())


class Accounts(RuleBasedStateMachine):
    """Drives the real meter, ledger, journal, witness and reporter."""

    tells_moves = True

    def __init__(self) -> None:
        super().__init__()
        self.clock = trio.testing.MockClock(autojump_threshold=0)
        self.disk, self.spoolman, self.klipper = Disk(), FaultySpoolman(self._tell), PrintingKlipper()
        self.klipper.tells_moves = self.tells_moves
        self.news: list[tuple[int, float]] = []
        self.news_held_up = self.listening = False
        self._start()

    # --- the world

    def _run(self, work: Callable[..., Any], *args: Any) -> None:
        """Let the service work; a kill ends it and starts the next."""
        try:
            trio.run(work, *args, clock=self.clock)
        except BaseException as error:
            if not _is_kill(error):
                raise
            self.disk.kill_in = None
            self._start()

    def _start(self) -> None:
        stopped = self.klipper.state == "shutdown"
        self.klipper.meet_another()
        self.service = Service(self.disk, self.spoolman, self.klipper)
        self._run(self._load)
        self._connect_websocket()
        self._measure(lambda: self.klipper.come_back("shutdown" if stopped else "ready"))

    async def _load(self) -> None:
        self.service.ledger.state = await self.service.journal.load()

    def _measure(self, *steps: Step) -> None:
        """Let the meter live while these things happen, or so many seconds pass."""
        self._run(self._live, steps)

    async def _live(self, steps: Sequence[Step]) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.service.meter.run)
            await trio.testing.wait_all_tasks_blocked()
            for step in steps:
                if isinstance(step, (int, float)):
                    await trio.sleep(step)
                    await self.service.save(soon=step < SAVE_EVERY)
                elif (waiting := step()) is not None:
                    await waiting
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await self.service.save()

    def _connect_websocket(self) -> None:
        self.news.clear()
        self.listening = True
        self.service.witness.news_begin()

    def _tell(self, spool_id: int, used_mm: float) -> None:
        if self.listening:
            self.news.append((spool_id, used_mm))
        if not self.news_held_up:
            self._hear()

    def _hear(self) -> None:
        while self.news:
            self.service.witness.told(*self.news.pop(0), 0.0)

    def _catch_up(self) -> None:
        """Each extruder goes on a little, and all of its way is told."""
        self._measure(self._catch_up_now)

    def _catch_up_now(self) -> None:
        active = self.klipper.extruder
        for name in EXTRUDERS:
            self.klipper.activate(name)
            self.klipper.plan(0.5)
        self.klipper.finish()
        self.klipper.tell_steps(*EXTRUDERS)
        self.klipper.activate(active)
        self.klipper.refresh_live_position()

    # --- the printer

    @initialize(spool=st.sampled_from(SPOOLS))
    def first_spool(self, spool: int) -> None:
        self.change_spool(0, spool)

    @rule(mm=st.floats(0.001, 60), retract=st.floats(0, 8), flushed=st.booleans())
    def extrude(self, mm: float, retract: float, flushed: bool) -> None:
        self._measure(lambda: self.klipper.plan(mm, -retract, retract, flushed=flushed))

    @rule(seconds=st.floats(0, 5), fresh=st.booleans())
    def time_passes(self, seconds: float, fresh: bool) -> None:
        self._measure(
            lambda: self.klipper.pass_time(seconds), self.klipper.refresh_live_position if fresh else 0, seconds
        )

    @rule()
    def moves_are_told(self) -> None:
        self._measure(lambda: self.klipper.tell_steps(*EXTRUDERS))

    @rule(name=st.sampled_from(EXTRUDERS))
    def change_tool(self, name: str) -> None:
        self._measure(lambda: self.klipper.activate(name))

    @rule(
        lost=st.booleans(),
        name=st.sampled_from(EXTRUDERS),
        mm=st.floats(0, 20),
        seconds=st.floats(0, 4),
        fresh=st.booleans(),
    )
    def the_connection_is_cut(self, lost: bool, name: str, mm: float, seconds: float, fresh: bool) -> None:
        """Without `fresh` Klipper shows the live position that it computed before."""
        if lost:
            self.klipper.lose_steps()
        self._measure(
            self.klipper.lose,
            lambda: self.klipper.go_on(name, mm, seconds),
            self.klipper.refresh_live_position if fresh else 0,
            self.klipper.come_back,
            seconds,
        )

    @rule(how=st.sampled_from(["farewell", "seen to start", "another process"]), cuts=st.integers(0, 2))
    def klipper_begins_anew(self, how: str, cuts: int) -> None:
        self._catch_up()
        farewell = ConsoleLine(FAREWELL, 0.0, "response")
        self._measure(
            lambda: self.klipper.console.publish(farewell) if how == "farewell" else None,
            trio.testing.wait_all_tasks_blocked,
            self.klipper.lose,
            lambda: self.klipper.begin_anew(another_process=how == "another process"),
            lambda: self.klipper.come_back("startup" if how == "seen to start" else "ready"),
        )
        for _ in range(cuts):
            self.the_connection_is_cut(lost=False, name=EXTRUDERS[0], mm=1.0, seconds=1.0, fresh=True)

    @rule(mm=st.floats(0.1, 20), done=st.integers(0, 3), how=st.sampled_from(["watched", "cut", "killed"]))
    def emergency_stop(self, mm: float, done: int, how: str) -> None:
        """What is planned never happens; the only way on is a restart."""
        if not self.tells_moves:
            return  # commanded positions tell what never happens, too
        self._catch_up()
        self._measure(
            lambda: self.klipper.plan(mm, -mm / 2, mm),
            lambda: self.klipper.pass_time(done),
            lambda: self.klipper.tell_steps(*EXTRUDERS),
            self.klipper.refresh_live_position,
            2.5,
            self.klipper.stop,
            3,
        )
        if how == "killed":
            self._start()
        if how == "cut":
            self._measure(self.klipper.lose, lambda: self.klipper.come_back("shutdown"))
        self._measure(3)
        self._measure(
            self.klipper.lose,
            lambda: self.klipper.begin_anew(another_process=False),
            lambda: self.klipper.come_back("startup"),
        )

    # --- the spools

    @rule(tool=st.sampled_from([0, 1]), spool=st.sampled_from([None, *SPOOLS]))
    def change_spool(self, tool: int, spool: int | None) -> None:
        tools = self.service.ledger.state.tools
        if spool in self.spoolman.deleted or spool in [s for t, s in tools.items() if t != tool and s is not None]:
            return
        self._run(self._set_tools, {**tools, tool: spool})

    async def _set_tools(self, tools: Tools) -> None:
        self.service.ledger.set_tools(tools, await self.service.meter.moment())
        await self.service.journal.commit(self.service.ledger)

    @rule(begins=st.booleans())
    def a_job_begins_or_ends(self, begins: bool) -> None:
        self._run(self._set_job, begins)

    async def _set_job(self, begins: bool) -> None:
        if begins:
            job = await self.service.journal.open_job("a.gcode", 0.0)
            self.service.ledger.set_job(job, None)
        else:
            self.service.ledger.set_job(None, await self.service.meter.moment())

    @rule(spool=st.sampled_from(SPOOLS))
    def spool_is_deleted(self, spool: int) -> None:
        if not self.spoolman.late and len(self.spoolman.deleted) < 2 and not self.service.ledger.watched(spool):
            self.spoolman.deleted.add(spool)

    @rule(spool=st.sampled_from(SPOOLS))
    def a_new_spool_gets_the_number_of_a_deleted_one(self, spool: int) -> None:
        if spool in self.spoolman.deleted:
            self.spoolman.deleted.remove(spool)
            self.spoolman.used[spool] = 0.0

    # --- the reports

    @rule(fault=st.sampled_from(FAULTS))
    def report(self, fault: str) -> None:
        self.disk.kill_in = 2 if fault == "killed at the journal" else None
        self.spoolman.fault = "none" if self.disk.kill_in else fault
        self._run(self.service.reporter.report_all)
        self.disk.kill_in = None
        self.spoolman.fault = "none"
        self.service.reporter.note_return()

    @rule(first=st.booleans())
    def kill_at_the_journal(self, first: bool) -> None:
        self.disk.kill_in = 1 if first else 0
        self._run(self.service.journal.commit, self.service.ledger)
        self.disk.kill_in = None

    @rule(lost=st.booleans())
    def kill(self, lost: bool) -> None:
        if lost:
            self.klipper.lose_steps()
        self._start()

    @rule()
    def held_up_reports_arrive(self) -> None:
        self.spoolman.arrive()
        self._run(self.service.journal.commit, self.service.ledger)  # if the spool is deleted next, nobody can ask it

    @rule(spool=st.sampled_from(SPOOLS), mm=st.floats(0.01, 50))
    def somebody_else_writes(self, spool: int, mm: float) -> None:
        if self.spoolman.away or spool in self.spoolman.deleted:
            return
        unseen = self.news_held_up or not self.listening
        if unseen and (self.spoolman.late or self.service.ledger.watched(spool)):
            return  # two changes that are only seen as one can't be told apart
        if self.service.ledger.watched(spool):  # who has just started reads first: nobody could tell these apart
            self._run(self.service.reporter.report_all)
        if spool not in self.spoolman.deleted:
            self.spoolman.change(spool, mm)
            self._run(self.service.journal.commit, self.service.ledger)

    @rule(held_up=st.booleans())
    def news_come(self, held_up: bool) -> None:
        """Those of the websocket, at once from now on or later."""
        self.news_held_up = held_up
        self._hear()

    @rule()
    def the_websocket_ends(self) -> None:
        self.listening = False
        self.service.witness.news_end()

    @rule()
    def the_websocket_returns(self) -> None:
        if not self.listening:
            self._connect_websocket()

    @rule(away=st.booleans())
    def spoolman_goes_or_returns(self, away: bool) -> None:
        self.spoolman.away = away

    # --- the promise

    @rule()
    def everything_settles(self) -> None:
        self.spoolman.away = False
        self._catch_up()
        self.spoolman.arrive()
        for _ in range(12):
            self._run(self._report_later)
        state = self.service.ledger.state
        left = {spool_id: mm for spool_id, mm in state.pending.items() if abs(mm) > 1e-6}
        assert not left, left
        places = self.spoolman.charged + sum(state.orphaned.values()) + state.unassigned
        assert abs(places - self.klipper.extruded_mm) < 1e-4, (self.spoolman.charged, state, self.klipper.extruded_mm)

    async def _report_later(self) -> None:
        await trio.sleep(2)  # longer than "busy" asks us to wait; each run has a clock of its own
        await self.service.reporter.report_all()

    @invariant()
    def the_books_are_sane(self) -> None:
        assert self.klipper.mirror.errors == []
        state = self.service.ledger.state
        assert all(abs(mm) < 1e6 for mm in state.pending.values())
        open_spools = [intent.spool_id for intent in state.intents.values() if intent.outcome == "open"]
        assert len(open_spools) == len(set(open_spools))

    def teardown(self) -> None:
        self.everything_settles()
        self.disk.connection.close()


def _is_kill(error: BaseException) -> bool:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return isinstance(error, Killed)


class AccountsByPosition(Accounts):
    """The same with a Klipper that tells only positions."""

    tells_moves = False


TestAccounts = Accounts.TestCase
TestAccountsByPosition = AccountsByPosition.TestCase
TestAccounts.settings = TestAccountsByPosition.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
