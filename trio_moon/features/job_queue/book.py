"""The queue on disk: its jobs in order, what is remembered of its state, and the start that is under way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

import msgspec
import trio

from trio_moon.features.job_queue.job import Intent, QueuedJob
from trio_moon.features.job_queue.line import Jobs, Memory
from trio_moon.kit.json_codec import encode
from trio_moon.model.errors import TooMany
from trio_moon.store.database import Database
from trio_moon.store.schema import Schema

SCHEMA = Schema(
    "job_queue",
    (
        "CREATE TABLE queued_jobs (number INTEGER PRIMARY KEY AUTOINCREMENT, place INTEGER NOT NULL,"
        " filename TEXT NOT NULL, time_added REAL NOT NULL);"
        "CREATE TABLE queue_notes (name TEXT PRIMARY KEY, note BLOB NOT NULL) WITHOUT ROWID",
        "ALTER TABLE queued_jobs ADD COLUMN user TEXT",
    ),
)

MOST_JOBS = 1000

_LISTED = "SELECT number, filename, time_added, user FROM queued_jobs ORDER BY place, number"
_LAST_PLACE = "SELECT coalesce(max(place), 0) FROM queued_jobs"
_FIRST_PLACE = "SELECT coalesce(min(place), 0) FROM queued_jobs"


class QueueBook:
    """Every change is on disk before anybody hears of it. Changes come one after the other, each with its result."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing = trio.Lock()
        self._owed: tuple[Intent, bool] | None = None
        """What has become of an intent, until that is on disk: a printed job must not come back with the disk."""

    async def open(self) -> tuple[Jobs, Memory, Intent | None]:
        """What is written down."""

        def read(connection: sqlite3.Connection) -> tuple[Jobs, dict[str, bytes]]:
            return _jobs(connection), dict(connection.execute("SELECT name, note FROM queue_notes"))

        jobs, notes = await self._database.read(read)
        memory = msgspec.json.decode(notes["memory"], type=Memory) if "memory" in notes else Memory()
        intent = msgspec.json.decode(notes["intent"], type=Intent) if "intent" in notes else None
        return jobs, memory, intent

    async def add(self, filenames: Iterable[str], now: float, *, user: str | None = None, reset: bool = False) -> Jobs:
        """Put jobs at the end, for `user`, with `reset` in the place of all others; TooMany if they are."""
        names = list(filenames)

        def write(connection: sqlite3.Connection) -> None:
            if reset:
                connection.execute("DELETE FROM queued_jobs")
            [waiting] = connection.execute("SELECT count(*) FROM queued_jobs").fetchone()
            if waiting + len(names) > MOST_JOBS:
                raise TooMany(f"the job queue holds {MOST_JOBS} jobs at most")
            [last] = connection.execute(_LAST_PLACE).fetchone()
            rows = [(place, name, now, user) for place, name in enumerate(names, last + 1)]
            connection.executemany(
                "INSERT INTO queued_jobs (place, filename, time_added, user) VALUES (?, ?, ?, ?)", rows
            )

        return await self._change(write)

    async def remove(self, numbers: Iterable[int] | None) -> Jobs:
        """Take out these jobs, or all (None)."""

        def write(connection: sqlite3.Connection) -> None:
            if numbers is None:
                connection.execute("DELETE FROM queued_jobs")
            else:
                connection.executemany("DELETE FROM queued_jobs WHERE number = ?", [(number,) for number in numbers])

        return await self._change(write)

    async def put_first(self, number: int) -> Jobs:
        """Let a job be the next."""

        def write(connection: sqlite3.Connection) -> None:
            [first] = connection.execute(_FIRST_PLACE).fetchone()
            connection.execute("UPDATE queued_jobs SET place = ? WHERE number = ?", (first - 1, number))

        return await self._change(write)

    async def rename(self, names: dict[int, str]) -> Jobs:
        """The files of these jobs have other names."""
        rows = [(name, number) for number, name in names.items()]
        return await self._change(
            lambda connection: connection.executemany("UPDATE queued_jobs SET filename = ? WHERE number = ?", rows)
        )

    async def remember(self, memory: Memory) -> None:
        """Write down what of the state must survive us."""
        note = encode(memory)
        await self._change(
            lambda connection: connection.execute("REPLACE INTO queue_notes VALUES ('memory', ?)", (note,))
        )

    async def intend(self, intent: Intent) -> None:
        """Write down that Klipper is about to be asked."""
        note = encode(intent)
        await self._change(
            lambda connection: connection.execute("REPLACE INTO queue_notes VALUES ('intent', ?)", (note,))
        )

    async def settle(self, intent: Intent, *, happened: bool) -> Jobs:
        """The intent is over, and if it has `happened` the job as well: written now, or else with the next change."""
        self._owed = intent, happened
        return await self._change(lambda connection: None)

    async def _change(self, work: Callable[[sqlite3.Connection], object]) -> Jobs:
        """Do `work`; returns the jobs after it. Nothing comes between that and the caller's next `await`."""

        def write(connection: sqlite3.Connection) -> Jobs:
            if owed is not None:
                _settle(connection, *owed)
            work(connection)
            return _jobs(connection)

        async with self._writing:
            owed = self._owed
            jobs = await self._database.write(write)
            if self._owed is owed:
                self._owed = None
            return jobs


def _settle(connection: sqlite3.Connection, intent: Intent, happened: bool) -> None:
    connection.execute("DELETE FROM queue_notes WHERE name = 'intent'")
    if happened:
        connection.execute("DELETE FROM queued_jobs WHERE number = ?", (intent.number,))


def _jobs(connection: sqlite3.Connection) -> Jobs:
    return tuple(QueuedJob(*row) for row in connection.execute(_LISTED))
