"""Whatever happens, in whatever order: every millimetre is charged, pending, orphaned or unassigned, and only once.

A model of the world for hypothesis: a printer with two extruders, a Spoolman that fails before or after it counted,
late, or not at all, other writers, and a service that is killed between any two steps.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import trio
import trio.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trio_moon.features.spoolman.client import Applied, Away, Missing, Refused, Unknown
from trio_moon.features.spoolman.evidence import Witness
from trio_moon.features.spoolman.journal import SCHEMA, Journal
from trio_moon.features.spoolman.ledger import Ledger, Moment, Move, Session
from trio_moon.features.spoolman.reporter import Reporter
from trio_moon.features.spoolman.spool import Spool
from trio_moon.store.schema import migrate

T = TypeVar("T")
EXTRUDERS = ("extruder", "extruder1")
SPOOLS = (1, 2, 3)
FAULTS = (
    "none",
    "killed before sending",
    "killed after applying",
    "lost before",
    "lost after",
    "applied late",
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

    def __init__(self) -> None:
        self.used = dict.fromkeys(SPOOLS, 0.0)
        self.late: list[tuple[int, float]] = []
        self.fault = "none"
        self.away = False
        self.deleted: set[int] = set()
        self.tell: Callable[[int, float], None] = lambda spool_id, used_mm: None

    def apply(self, spool_id: int, used_mm: float) -> None:
        if spool_id not in self.deleted:
            self.used[spool_id] += used_mm
            self.tell(spool_id, self.used[spool_id])

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


class Service:
    """What one process holds in memory."""

    def __init__(self, disk: Disk, spoolman: FaultySpoolman) -> None:
        self.ledger = Ledger()
        self.witness = Witness(self.ledger)
        self.journal = Journal(disk)
        self.gone: list[int] = []
        self.reporter = Reporter(
            self.ledger,
            self.witness,
            self.journal,
            spoolman,
            every=5,
            on_spool=lambda spool: None,
            on_gone=self._gone,
        )

    async def _gone(self, spool_id: int, reason: str) -> None:
        self.ledger.orphan(spool_id)
        tools = self.ledger.state.tools
        self.ledger.set_tools({t: None if s == spool_id else s for t, s in tools.items()}, None)


class Accounts(RuleBasedStateMachine):
    """Drives the real ledger, journal, witness and reporter."""

    def __init__(self) -> None:
        super().__init__()
        self.disk, self.spoolman = Disk(), FaultySpoolman()
        self.sessions = itertools.count(1)
        self.total = 0.0
        self.foreign = dict.fromkeys(SPOOLS, 0.0)
        self._restart_klipper()
        self._start()

    # --- the world

    def _run(self, work: Callable[..., Any], *args: Any) -> None:
        """Let the service work; a kill ends it and starts the next."""
        try:
            trio.run(work, *args, clock=trio.testing.MockClock(autojump_threshold=0))
        except BaseException as error:
            if not _is_kill(error):
                raise
            self.disk.kill_in = None
            self._start()

    def _start(self) -> None:
        self.service = Service(self.disk, self.spoolman)
        trio.run(self._load)
        self._connect_websocket()

    async def _load(self) -> None:
        self.service.ledger.state = await self.service.journal.load()
        self._meet_klipper()

    def _meet_klipper(self) -> None:
        ledger = self.service.ledger
        if ledger.state.session != self.session:
            ledger.begin_session(self.session, complete=True)
        ledger.observe(self.active, self.position[self.active])
        ledger.pass_time(self.print_time)

    def _connect_websocket(self) -> None:
        witness = self.service.witness
        self.spoolman.tell = lambda spool_id, used_mm: witness.told(spool_id, used_mm, 0.0)
        witness.news_begin()

    def _restart_klipper(self) -> None:
        self.session = Session(next(self.sessions))
        self.position = dict.fromkeys(EXTRUDERS, 0.0)
        self.highest = dict.fromkeys(EXTRUDERS, 0.0)
        self.active = "extruder"
        self.print_time = 0.0
        self.untold: dict[str, list[Move]] = {name: [] for name in EXTRUDERS}

    def _tell_moves(self) -> None:
        for name, moves in self.untold.items():
            self.service.ledger.move(name, moves)
            moves.clear()

    # --- rules

    @initialize(spool=st.sampled_from(SPOOLS))
    def first_spool(self, spool: int) -> None:
        self.service.ledger.set_tools({0: spool}, None)
        self._run(self.service.journal.commit, self.service.ledger)

    @rule(mm=st.floats(0.001, 60), retract=st.floats(0, 8))
    def extrude(self, mm: float, retract: float) -> None:
        for step in (mm, -retract, retract):
            start = self.position[self.active]
            self.position[self.active] = end = start + step
            self.untold[self.active].append(Move(self.print_time, start, end))
            self.print_time += 1.0
            if end > self.highest[self.active]:
                self.total += end - self.highest[self.active]
                self.highest[self.active] = end

    @rule()
    def moves_are_told(self) -> None:
        self._tell_moves()

    @rule()
    def moves_are_lost_with_the_connection(self) -> None:
        for moves in self.untold.values():
            moves.clear()
        self._meet_klipper()

    @rule(name=st.sampled_from(EXTRUDERS))
    def change_tool(self, name: str) -> None:
        self.active = name

    @rule(tool=st.sampled_from([0, 1]), spool=st.sampled_from([None, *SPOOLS]))
    def change_spool(self, tool: int, spool: int | None) -> None:
        tools = self.service.ledger.state.tools
        if spool in self.spoolman.deleted or spool in [s for t, s in tools.items() if t != tool and s is not None]:
            return
        moment = Moment(self.print_time, self.active, self.position[self.active])
        self.service.ledger.set_tools({**tools, tool: spool}, moment)
        self._run(self.service.journal.commit, self.service.ledger)

    @rule()
    def klipper_begins_anew(self) -> None:
        for name in EXTRUDERS:  # what it has told by then is known; the moves of one batch are not the subject here
            self.service.ledger.observe(name, self.position[name])
        self._tell_moves()
        self._restart_klipper()
        self._meet_klipper()
        self._run(self.service.journal.commit, self.service.ledger)

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

    @rule()
    def kill(self) -> None:
        self._start()

    @rule()
    def held_up_reports_arrive(self) -> None:
        self.spoolman.arrive()
        self._run(self.service.journal.commit, self.service.ledger)  # if the spool is deleted next, nobody can ask it

    @rule(spool=st.sampled_from(SPOOLS), mm=st.floats(0.01, 50))
    def somebody_else_writes(self, spool: int, mm: float) -> None:
        if self.spoolman.away or spool in self.spoolman.deleted:
            return
        if self.service.ledger.watched(spool):  # who has just started reads first: nobody could tell these apart
            self._run(self.service.reporter.report_all)
        if spool not in self.spoolman.deleted:
            self.foreign[spool] += mm
            self.spoolman.apply(spool, mm)
            self._run(self.service.journal.commit, self.service.ledger)

    @rule(away=st.booleans())
    def spoolman_goes_or_returns(self, away: bool) -> None:
        self.spoolman.away = away

    @rule(spool=st.sampled_from(SPOOLS))
    def spool_is_deleted(self, spool: int) -> None:
        if not self.spoolman.late and len(self.spoolman.deleted) < 2 and not self.service.ledger.watched(spool):
            self.spoolman.deleted.add(spool)

    # --- the promise

    @rule()
    def everything_settles(self) -> None:
        self.spoolman.away = False
        self._tell_moves()
        for name in EXTRUDERS:
            self.service.ledger.observe(name, self.position[name])
        self.spoolman.arrive()
        for _ in range(12):
            self._run(self._report_later)
        state = self.service.ledger.state
        left = {spool_id: mm for spool_id, mm in state.pending.items() if abs(mm) > 1e-6}
        assert not left, left
        charged = sum(self.spoolman.used.values()) - sum(self.foreign.values())
        places = charged + sum(state.orphaned.values()) + state.unassigned
        assert abs(places - self.total) < 1e-4, (charged, state, self.total)

    async def _report_later(self) -> None:
        await trio.sleep(2)  # longer than "busy" asks us to wait; each run has a clock of its own
        await self.service.reporter.report_all()

    @invariant()
    def the_books_are_sane(self) -> None:
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


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
