"""The ledger on disk: what was measured survives `kill -9`, what was reported is remembered with its outcome.

One transaction holds a whole change: the state, the reports that were settled, the millimetres of the jobs.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec
import trio
from msgspec import Struct

from trio_moon.features.spoolman.ledger import SHARED_TOOL, Intent, Ledger, LedgerState
from trio_moon.kit.json_codec import NotJson, decode, encode
from trio_moon.model.errors import NoSpace
from trio_moon.store.predecessor import Statement, items_of
from trio_moon.store.schema import Schema

logger = logging.getLogger(__name__)
T = TypeVar("T")
Price = tuple[float | None, float | None]
"""Grams and money for a millimetre."""

STATE = "ledger"


def _inherit(moonraker: sqlite3.Connection) -> list[Statement]:
    """The spool that was active with Moonraker."""
    kept = items_of(moonraker, "moonraker").get("spoolman")
    spool_id = kept.get("spool_id") if isinstance(kept, dict) else None
    if type(spool_id) is not int or spool_id <= 0:
        return []
    state = LedgerState(tools={SHARED_TOOL: spool_id})
    return [("INSERT INTO spoolman_state VALUES (?, ?)", (STATE, encode(state)))]


SCHEMA = Schema(
    "spoolman",
    (
        "CREATE TABLE spoolman_state (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE spoolman_reports (id INTEGER PRIMARY KEY, spool_id INTEGER NOT NULL, used_mm REAL NOT NULL,"
        " before_mm REAL NOT NULL, at REAL NOT NULL, outcome TEXT NOT NULL, settled_at REAL, reason TEXT NOT NULL);"
        "CREATE TABLE spoolman_jobs (id INTEGER PRIMARY KEY, filename TEXT NOT NULL, started_at REAL NOT NULL,"
        " ended_at REAL, outcome TEXT NOT NULL);"
        "CREATE TABLE spoolman_job_spools (job INTEGER NOT NULL REFERENCES spoolman_jobs ON DELETE CASCADE,"
        " spool_id INTEGER NOT NULL, used_mm REAL NOT NULL, grams_per_mm REAL, cost_per_mm REAL,"
        " PRIMARY KEY (job, spool_id)) WITHOUT ROWID",
    ),
    _inherit,
)
LOST = "klippy_disconnect"
"""The outcome of a job whose end nobody saw."""
NO_SPOOL = 0
"""What stands in the column spool_id for filament of no spool."""
REPORTS_KEPT = 1000
JOBS_KEPT = 500


class Store(Protocol):
    """The database, as far as the journal needs it."""

    async def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T: ...

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T: ...


class SpoolUse(Struct, frozen=True):
    """What one job took from one spool (None: no spool was set)."""

    spool_id: int | None
    used_mm: float
    grams_per_mm: float | None = None
    cost_per_mm: float | None = None

    def as_wire(self) -> dict[str, object]:
        grams, cost = self.grams_per_mm, self.cost_per_mm
        return {
            "spool_id": self.spool_id,
            "filament_used": self.used_mm,
            "weight": None if grams is None else self.used_mm * grams,
            "cost": None if cost is None else self.used_mm * cost,
        }


class JobRecord(Struct, frozen=True):
    """A print and what it took from which spool."""

    id: int
    filename: str
    started_at: float
    ended_at: float | None
    outcome: str
    spools: tuple[SpoolUse, ...]

    def as_wire(self) -> dict[str, object]:
        return {
            "job_id": self.id,
            "filename": self.filename,
            "start_time": self.started_at,
            "end_time": self.ended_at,
            "status": self.outcome,
            "spools": [use.as_wire() for use in self.spools],
        }


class Journal:
    """Writes the ledger down; every method returns when it is on disk."""

    def __init__(self, store: Store, prices: Callable[[int], Price] = lambda spool_id: (None, None)) -> None:
        """`prices` knows what a millimetre of a spool weighs and costs."""
        self._store = store
        self._prices = prices
        self._writing = trio.Lock()
        self._synced = True
        self._closed: list[tuple[str, float, int]] = []
        """Jobs that have ended, and how and when, since the last commit."""
        self.warnings: list[str] = []
        self.broken = ""
        """Why nothing can be written at present; "" when all is well."""

    async def load(self) -> LedgerState:
        """The state as it was written last; an unreadable one is set aside with a warning."""
        query = "SELECT value FROM spoolman_state WHERE name = ?"
        row = await self._store.read(lambda c: c.execute(query, (STATE,)).fetchone())
        if row is None:
            return await self._blank()
        try:
            return msgspec.convert(decode(row[0]), LedgerState, strict=False)
        except (NotJson, msgspec.ValidationError, TypeError) as error:
            aside = f"{STATE}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
            rename = "UPDATE spoolman_state SET name = ? WHERE name = ?"
            await self._store.write(lambda c: c.execute(rename, (aside, STATE)).rowcount)
            warning = f"The filament journal can't be read ({error}). It was kept as '{aside}' in spoolman_state."
            logger.error(warning)
            self.warnings.append(warning)
            return await self._blank()

    async def _blank(self) -> LedgerState:
        """Nothing is known; reports that were settled keep their numbers."""
        query = "SELECT coalesce(max(id), 0) FROM spoolman_reports"
        return LedgerState(next_intent=1 + await self._store.read(lambda c: c.execute(query).fetchone()[0]))

    def is_behind(self, ledger: Ledger) -> bool:
        """Whether anything isn't written down yet, or not for good."""
        return self._has_news(ledger) or not self._synced

    def _has_news(self, ledger: Ledger) -> bool:
        return ledger.dirty or bool(ledger.settled or self._closed)

    async def commit(self, ledger: Ledger, *, durable: bool = True) -> None:
        """Write down everything that has changed. Raises NoSpace, and loses nothing, when the disk doesn't take it.

        With `durable` False a power cut may lose it, until the next durable commit; `kill -9` can't.
        """
        async with self._writing:
            if not self._has_news(ledger) and (self._synced or not durable):
                return
            state, settled, use = ledger.state.copy(), ledger.settled, ledger.job_use
            prices = {spool_id: self._prices(spool_id) for _, spool_id in use if spool_id is not None}
            closed, self._closed = self._closed, []
            ledger.settled, ledger.job_use, ledger.dirty = [], {}, False
            try:
                await self._store.write(lambda c: _write(c, state, settled, use, prices, closed), durable=durable)
                self._synced = durable
            except BaseException as error:
                ledger.settled[:0] = settled
                self._closed[:0] = closed
                for key, used_mm in use.items():
                    ledger.job_use[key] = ledger.job_use.get(key, 0.0) + used_mm
                ledger.dirty = True
                if not isinstance(error, sqlite3.Error):
                    raise
                self._note_broken(str(error))
                raise NoSpace(f"the filament journal can't be written: {error}") from error
            self._note_broken("")

    def _note_broken(self, reason: str) -> None:
        if reason and reason != self.broken:
            logger.error("the filament journal can't be written: %s", reason)
        elif self.broken and not reason:
            logger.info("the filament journal can be written again")
        self.broken = reason

    async def reports(self, limit: int) -> list[Intent]:
        """The settled reports, the newest first."""
        query = "SELECT * FROM spoolman_reports ORDER BY id DESC LIMIT ?"
        return [Intent(*row) for row in await self._store.read(lambda c: c.execute(query, (limit,)).fetchall())]

    # --- jobs

    async def open_job(self, filename: str, started_at: float) -> int:
        """A new job, the only one that is open; returns its number."""
        insert = "INSERT INTO spoolman_jobs (filename, started_at, outcome) VALUES (?, ?, 'in_progress')"

        def work(c: sqlite3.Connection) -> int:
            # we may have been killed before one was named in the state
            c.execute("UPDATE spoolman_jobs SET outcome = ?, ended_at = ? WHERE ended_at IS NULL", (LOST, started_at))
            job = c.execute(insert, (filename, started_at)).lastrowid
            c.execute("DELETE FROM spoolman_jobs WHERE id <= ?", ((job or 0) - JOBS_KEPT,))
            return job or 0

        try:
            return await self._store.write(work)
        except sqlite3.Error as error:
            raise NoSpace(f"the journal of jobs can't be written: {error}") from error

    def close_job(self, job: int, outcome: str, ended_at: float) -> None:
        """The job has ended like this: it is written with the next commit, as it ends in the ledger's state."""
        self._closed.append((outcome, ended_at, job))

    async def jobs(self, limit: int) -> list[JobRecord]:
        """The latest jobs, the newest first."""

        def work(c: sqlite3.Connection) -> list[JobRecord]:
            query = "SELECT id, filename, started_at, ended_at, outcome FROM spoolman_jobs ORDER BY id DESC LIMIT ?"
            return [_job_record(c, row) for row in c.execute(query, (limit,)).fetchall()]

        return await self._store.read(work)

    async def job(self, job: int) -> JobRecord | None:
        """One job."""

        def work(c: sqlite3.Connection) -> JobRecord | None:
            query = "SELECT id, filename, started_at, ended_at, outcome FROM spoolman_jobs WHERE id = ?"
            row = c.execute(query, (job,)).fetchone()
            return None if row is None else _job_record(c, row)

        return await self._store.read(work)


def _write(
    c: sqlite3.Connection,
    state: LedgerState,
    settled: list[Intent],
    use: dict[tuple[int, int | None], float],
    prices: dict[int, Price],
    closed: list[tuple[str, float, int]],
) -> None:
    c.execute("REPLACE INTO spoolman_state VALUES (?, ?)", (STATE, encode(state)))
    for i in settled:
        row = (i.id, i.spool_id, i.used_mm, i.before_mm, i.at, i.outcome, i.settled_at, i.reason)
        c.execute("REPLACE INTO spoolman_reports VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    if settled:
        c.execute("DELETE FROM spoolman_reports WHERE id <= ?", (state.next_intent - REPORTS_KEPT,))
    for (job, spool_id), used_mm in use.items():
        c.execute(
            "INSERT INTO spoolman_job_spools SELECT ?1, ?2, ?3, ?4, ?5"
            " WHERE EXISTS (SELECT 1 FROM spoolman_jobs WHERE id = ?1)"
            " ON CONFLICT (job, spool_id) DO UPDATE SET used_mm = used_mm + ?3,"
            " grams_per_mm = coalesce(?4, grams_per_mm), cost_per_mm = coalesce(?5, cost_per_mm)",
            (job, spool_id or NO_SPOOL, used_mm, *prices.get(spool_id or NO_SPOOL, (None, None))),
        )
    c.executemany("UPDATE spoolman_jobs SET outcome = ?, ended_at = ? WHERE id = ?", closed)


def _job_record(c: sqlite3.Connection, row: tuple[int, str, float, float | None, str]) -> JobRecord:
    query = "SELECT spool_id, used_mm, grams_per_mm, cost_per_mm FROM spoolman_job_spools WHERE job = ?"
    spools = tuple(SpoolUse(use[0] or None, *use[1:]) for use in c.execute(query, (row[0],)))
    return JobRecord(*row, spools)
