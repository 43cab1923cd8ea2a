"""What was extruded, and where each millimetre stands: pure bookkeeping, without Trio and without I/O.

Each extruder has a high-water mark: usage is what rises above it, so that a retraction and its return cancel out.
A millimetre is always in exactly one place:

    pending     measured, not yet reported          intent      in a report whose outcome isn't settled yet
    charged     Spoolman has it                     orphaned    its spool is gone; the user may assign it
    unassigned  extruded while no spool was set

and the sum of all places is what the extruders gave.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

LARGEST_POSITION_MM = 1e8
"""100 km of filament: a larger position is some mistake, not a print."""
LARGEST_TIME = 1e8
"""Three years of Klipper's clock: a later time is some mistake, too."""
LEAST_REPORT_MM = 1e-6
"""Less isn't worth a report: each leaves something behind, see `evidence`."""
MAX_ERAS = 32
"""More changes of spool don't happen within the half minute for which Klipper still tells moves of the past."""
SHARED_TOOL = 0

Tools = Mapping[int, int | None]
"""The spool of each tool. A tool that isn't listed uses tool 0's spool, as long as only tool 0 is listed."""


def tool_of(extruder: str) -> int:
    """The number of an extruder's tool: `extruder` is 0, `extruder2` is 2."""
    digits = extruder.removeprefix("extruder")
    return int(digits) if digits.isdecimal() and len(digits) < 4 else 0


def spool_for(tools: Tools, tool: int) -> int | None:
    """The spool that a tool takes its filament from."""
    if tool in tools:
        return tools[tool]
    return tools.get(SHARED_TOOL) if set(tools) <= {SHARED_TOOL} else None


Drives = Mapping[int, list[int]]
"""Whose filament an extruder's moves push, where that isn't its own alone: Klipper's `SYNC_EXTRUDER_MOTION`."""


class Session(Struct, frozen=True):
    """One life of Klipper: its E positions begin at 0 and mean nothing to another."""

    process_id: int
    socket: str = ""
    """The identity of the socket's file, which each life of Klipper makes anew."""

    def known_by(self, met: Session) -> Session:
        """The same life met again: what isn't told now stays as it was known."""
        return Session(met.process_id or self.process_id, met.socket or self.socket)


class Moment(Struct, frozen=True):
    """Where the printer stood at one moment: all commands so far, executed or not."""

    print_time: float
    """NaN when Klipper didn't tell it."""
    extruder: str
    position_mm: float
    promised: Mapping[str, float] | None = None
    """How far the extruders were commanded by then, where the moves are told one by one: some may never happen."""


class Move(Struct, frozen=True):
    """A piece of an extruder's way: when it began and between which positions."""

    time: float
    start_mm: float
    end_mm: float


class Era(Struct, frozen=True):
    """What was valid for moves that began before `until`, and up to the positions that were commanded then."""

    until: float
    tools: Tools
    job: int | None
    upto: Mapping[str, float] = field(default_factory=dict)
    drives: Drives = field(default_factory=dict)


class Intent(Struct, frozen=True):
    """One report to Spoolman. It is written down before it is sent and settled afterwards."""

    id: int
    spool_id: int
    used_mm: float
    before_mm: float
    """What Spoolman showed as used before it was sent."""
    at: float
    """Unix time."""
    outcome: str = "open"
    """`open`, `applied`, `refused`, `not_applied` (still watched for), `late` (found after all), `forgotten`."""
    settled_at: float | None = None
    reason: str = ""


class LedgerState(Struct):
    """Everything that must survive."""

    session: Session | None = None
    print_time: float = 0.0
    complete: bool = False
    """Whether the session was seen from its beginning, or its extruders are known to have begun at 0."""
    met: float = 0.0
    """The print time up to which it had been commanded when we came: nobody pays for that."""
    marks: dict[str, float] = field(default_factory=dict)
    positions: dict[str, float] = field(default_factory=dict)
    tools: dict[int, int | None] = field(default_factory=dict)
    drives: Drives = field(default_factory=dict)
    eras: list[Era] = field(default_factory=list)
    job: int | None = None
    job_tools: dict[int, float] = field(default_factory=dict)
    """Millimetres per tool in the present job."""
    told_low: list[int] = field(default_factory=list)
    """Spools that were told to be low."""
    pending: dict[int, float] = field(default_factory=dict)
    orphaned: dict[int, float] = field(default_factory=dict)
    unassigned: float = 0.0
    intents: dict[int, Intent] = field(default_factory=dict)
    """Those that are open or still watched for."""
    seen: dict[int, float] = field(default_factory=dict)
    """What Spoolman showed last as used of the spools of these intents, with every explained change taken in."""
    unexplained: dict[int, float] = field(default_factory=dict)
    """Changes of those spools since their last report began that are none of our amounts."""
    exact: bool = False
    """Whether a report of ours was seen to arrive in Spoolman to the last digit."""
    next_intent: int = 1

    def copy(self) -> LedgerState:
        """A state that doesn't change with this one."""
        watched = {intent.spool_id for intent in self.intents.values()}
        return replace(
            self,
            marks=dict(self.marks),
            positions=dict(self.positions),
            tools=dict(self.tools),
            eras=list(self.eras),
            job_tools=dict(self.job_tools),
            told_low=list(self.told_low),
            pending=dict(self.pending),
            orphaned=dict(self.orphaned),
            intents=dict(self.intents),
            unexplained=dict(self.unexplained),
            seen={spool_id: used_mm for spool_id, used_mm in self.seen.items() if spool_id in watched},
        )


class Ledger:
    """The books. Every method is one step without waiting; `settled` and `job_use` are for the journal to collect."""

    def __init__(self, state: LedgerState | None = None) -> None:
        self.state = state or LedgerState()
        self.settled: list[Intent] = []
        """Intents that ended since the journal last collected them."""
        self.job_use: dict[tuple[int, int | None], float] = {}
        """Millimetres per job and spool since the journal last collected them."""
        self.last_settled: Intent | None = None
        self.dirty = False

    # --- measuring

    def begin_session(self, session: Session, *, complete: bool, met: float = 0.0) -> None:
        """Klipper began anew: marks of its former life mean nothing any more.

        `complete` says that this life is or was seen from its beginning: extruders start at 0. Of another, what was
        commanded for times before `met` is nobody's.
        """
        state = self.state
        state.session, state.complete, state.print_time = session, complete, 0.0
        state.met = met if not complete and met < LARGEST_TIME else 0.0
        state.marks.clear()
        state.positions.clear()
        state.eras.clear()
        state.drives = {}
        self.dirty = True

    def observe(self, extruder: str, position_mm: float, at: float = math.inf) -> None:
        """The extruder stood at this position at this print time, or stands there now."""
        if _sane(position_mm):
            self._rise(extruder, position_mm, at)
            self.state.positions[extruder] = position_mm

    def lacks(self, extruder: str, position_mm: float) -> bool:
        """Whether the extruder has come farther than we know."""
        return _sane(position_mm) and position_mm > self.state.marks.get(extruder, 0.0)

    def move(self, extruder: str, moves: Iterable[Move]) -> None:
        """The extruder made these moves. Those it is known to have made already change nothing."""
        state = self.state
        for move in moves:
            if not (_sane(move.start_mm) and _sane(move.end_mm) and abs(move.time) < LARGEST_TIME):
                continue
            self._rise(extruder, move.start_mm, move.time)
            self._rise(extruder, move.end_mm, move.time)
            state.positions[extruder] = move.end_mm
            self.pass_time(move.time)

    def pass_time(self, print_time: float) -> None:
        """The printer's clock has come to this moment."""
        if self.state.print_time < print_time < LARGEST_TIME:
            self.state.print_time = print_time

    def _rise(self, extruder: str, position_mm: float, at: float) -> None:
        """The extruder came to this position in a move that began at this print time."""
        state = self.state
        mark = state.marks.get(extruder)
        if mark is None:
            mark = state.marks[extruder] = 0.0 if state.complete else position_mm
            self.dirty = True
        if at < state.met:
            state.marks[extruder], self.dirty = max(mark, position_mm), True
            return
        for era in state.eras:
            if at < era.until:
                break
            mark = self._rise_to(extruder, mark, min(era.upto.get(extruder, mark), position_mm), era)
        else:
            era = Era(math.inf, state.tools, state.job, drives=state.drives)
        self._rise_to(extruder, mark, position_mm, era)

    def _rise_to(self, extruder: str, mark: float, position_mm: float, era: Era) -> float:
        if position_mm <= mark:
            return mark
        self.state.marks[extruder], self.dirty = position_mm, True
        own = tool_of(extruder)
        for tool in era.drives.get(own, (own,)):
            # another's filament, at the same time: it comes from no spool that it shares with this one
            spool_id = spool_for(era.tools, tool) if tool == own else era.tools.get(tool)
            self._charge(spool_id, tool, position_mm - mark, era.job)
        return position_mm

    def _charge(self, spool_id: int | None, tool: int, used_mm: float, job: int | None) -> None:
        if spool_id is None:
            self.state.unassigned += used_mm
        else:
            self.state.pending[spool_id] = self.state.pending.get(spool_id, 0.0) + used_mm
        if job is not None:
            key = (job, spool_id)
            self.job_use[key] = self.job_use.get(key, 0.0) + used_mm
            if job == self.state.job:
                self.state.job_tools[tool] = self.state.job_tools.get(tool, 0.0) + used_mm

    # --- who pays

    def set_tools(self, tools: Tools, moment: Moment | None) -> None:
        """These spools pay from this moment on; what was commanded before is the former ones'."""
        self._begin_era(moment)
        self.state.tools = dict(tools)

    def set_drives(self, drives: Drives, moment: Moment | None) -> None:
        """Extruders move together, or alone, from this moment on."""
        self._begin_era(moment)
        self.state.drives = drives

    def set_job(self, job: int | None, moment: Moment | None) -> None:
        """Usage from this moment on belongs to this job, or to none."""
        self._begin_era(moment)
        self.state.job = job
        self.state.job_tools.clear()

    def _begin_era(self, moment: Moment | None) -> None:
        state = self.state
        upto: dict[str, float] = {}
        if moment is not None:
            if moment.promised is None:
                self.observe(moment.extruder, moment.position_mm)
            else:
                upto = {name: mm for name, mm in moment.promised.items() if _sane(mm)}
            self.pass_time(moment.print_time)
        state.eras.append(Era(state.print_time, dict(state.tools), state.job, upto, state.drives))
        del state.eras[:-MAX_ERAS]
        self.dirty = True

    # --- reporting

    def open_intent(self, spool_id: int) -> Intent | None:
        """The report on this spool whose outcome isn't known."""
        return next((i for i in self.state.intents.values() if i.spool_id == spool_id and i.outcome == "open"), None)

    def watched(self, spool_id: int) -> list[Intent]:
        """Reports on this spool that may still turn up in Spoolman: the open one, and those taken back."""
        return [intent for intent in self.state.intents.values() if intent.spool_id == spool_id]

    def begin(self, spool_id: int, used_mm: float, before_mm: float, at: float) -> Intent:
        """Take an amount out of what is pending, to report it."""
        state = self.state
        intent = Intent(state.next_intent, spool_id, used_mm, before_mm, at)
        state.next_intent += 1
        state.intents[intent.id] = intent
        self._add_pending(spool_id, -used_mm)
        return intent

    def applied(self, intent: Intent, at: float, reason: str = "") -> None:
        """Spoolman has it. If it had been taken back, the next report is smaller by it."""
        late = self.state.intents[intent.id].outcome == "not_applied"
        if late:
            self._add_pending(intent.spool_id, -intent.used_mm)
        self._end(intent, "late" if late else "applied", at, reason)

    def refused(self, intent: Intent, at: float, reason: str) -> None:
        """Spoolman surely doesn't have it and won't: it is pending again."""
        self._add_pending(intent.spool_id, intent.used_mm)
        self._end(intent, "refused", at, reason)

    def taken_back(self, intent: Intent, at: float, reason: str) -> None:
        """Spoolman doesn't have it now: it is pending again, but it may still turn up there."""
        self._add_pending(intent.spool_id, intent.used_mm)
        self.state.intents[intent.id] = replace(intent, outcome="not_applied", settled_at=at, reason=reason)

    def forget(self, intent: Intent) -> None:
        """It didn't turn up for so long that it never will."""
        del self.state.intents[intent.id]
        self.settled.append(intent)
        self.dirty = True

    def note_seen(self, spool_id: int, used_mm: float) -> None:
        """Spoolman shows this as used; remembered for as long as reports on the spool are watched."""
        self.state.seen[spool_id] = used_mm
        self.dirty = self.dirty or any(intent.spool_id == spool_id for intent in self.state.intents.values())

    def _end(self, intent: Intent, outcome: str, at: float, reason: str) -> None:
        del self.state.intents[intent.id]
        self.last_settled = replace(intent, outcome=outcome, settled_at=at, reason=reason)
        self.settled.append(self.last_settled)
        self.dirty = True

    def _add_pending(self, spool_id: int, mm: float) -> None:
        left = self.state.pending.get(spool_id, 0.0) + mm
        if left:
            self.state.pending[spool_id] = left
        else:
            self.state.pending.pop(spool_id, None)
        self.dirty = True

    # --- spools that are gone

    def orphan(self, spool_id: int) -> float:
        """The spool doesn't exist any more: what was to be reported on it waits for the user. Returns how much.

        Below zero it is what the spool was charged too much, which can't be taken back any more.
        """
        state = self.state
        for intent in self.watched(spool_id):
            if intent.outcome == "open":
                self.refused(intent, intent.at, "the spool is gone")
            else:
                self.forget(intent)
        self.dirty = True
        amount = state.pending.pop(spool_id, 0.0)
        if abs(amount) < LEAST_REPORT_MM:
            state.unassigned += amount
            return 0.0
        state.orphaned[spool_id] = state.orphaned.get(spool_id, 0.0) + amount
        return amount

    def assign_orphaned(self, spool_id: int, to_spool_id: int | None) -> float:
        """The user gives orphaned usage to another spool (None: to nobody). Returns how much."""
        amount = self.state.orphaned.pop(spool_id, 0.0)
        if to_spool_id is None:
            self.state.unassigned += amount
        elif amount:
            self._add_pending(to_spool_id, amount)
        self.dirty = True
        return amount

    # --- looking

    def note_low(self, spool_id: int, *, low: bool) -> None:
        """Remember that a spool was told to be low, or is no longer."""
        told = [known for known in self.state.told_low if known != spool_id]
        self.state.told_low = [*told, spool_id] if low else told
        self.dirty = True

    def unreported(self, spool_id: int) -> float:
        """Millimetres of this spool that were not sent to Spoolman yet.

        Whether it shows a report whose outcome is open, nobody knows; it may have died with it hours ago.
        """
        return self.state.pending.get(spool_id, 0.0)


def _sane(position_mm: float) -> bool:
    return math.isfinite(position_mm) and abs(position_mm) < LARGEST_POSITION_MM
