"""The book of jobs, in SQLite, with totals that outlive its entries."""

from __future__ import annotations

import sqlite3
from typing import cast

from msgspec.structs import replace

from trio_moon.features.history.heritage import inherit
from trio_moon.features.history.job import IN_PROGRESS, Job
from trio_moon.kit.json_codec import decode, encode
from trio_moon.store.database import Database
from trio_moon.store.schema import Schema

SCHEMA = Schema(
    "history",
    (
        "CREATE TABLE history_jobs (number INTEGER PRIMARY KEY AUTOINCREMENT, filename TEXT NOT NULL,"
        " start_time REAL NOT NULL, status TEXT NOT NULL, end_time REAL, print_duration REAL NOT NULL,"
        " total_duration REAL NOT NULL, filament_used REAL NOT NULL, metadata BLOB NOT NULL, auxiliary BLOB NOT NULL);"
        "CREATE INDEX history_by_start ON history_jobs (start_time);"
        "CREATE TABLE history_totals (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID",
        "ALTER TABLE history_jobs ADD COLUMN user TEXT NOT NULL DEFAULT 'No User';DROP INDEX history_by_start",
    ),
    inherit,
)

_COLUMNS = (
    "number, filename, start_time, status, end_time, print_duration, total_duration, filament_used, metadata,"
    " auxiliary, user"
)
_IN_TIME = "(? IS NULL OR start_time > ?) AND (? IS NULL OR end_time < ?)"
_Row = tuple[int, str, float, str, float | None, float, float, float, bytes, bytes, str]

SUMS = {"total_time": "total_duration", "total_print_time": "print_duration", "total_filament_used": "filament_used"}
RECORDS = {"longest_job": "total_duration", "longest_print": "print_duration"}


class JobBook:
    """Every job there was, and their totals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, job: Job) -> Job:
        """Write a new job; returns it with its number."""
        row = _row(job)[1:]

        def write(connection: sqlite3.Connection) -> int:
            query = f"INSERT INTO history_jobs ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            return connection.execute(query, row).lastrowid or 0

        return replace(job, number=await self._database.write(write))

    async def update(self, job: Job) -> None:
        """Write what has become of a job. A job that was deleted meanwhile stays so."""
        await self._database.write(lambda connection: _update(connection, job))

    async def finish(self, job: Job, counted: Job | None) -> None:
        """Write the end of a job and count it. `counted` is the same job if it was counted already, too early."""
        before = counted or Job("", 0.0)

        def write(connection: sqlite3.Connection) -> None:
            _update(connection, job)
            _count(connection, "total_jobs", 0.0 if counted else 1.0)
            for name, field in SUMS.items():
                _count(connection, name, getattr(job, field) - getattr(before, field))
            for name, field in RECORDS.items():
                query = (
                    "INSERT INTO history_totals VALUES (?, ?)"
                    " ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)"
                )
                connection.execute(query, (name, getattr(job, field)))

        await self._database.write(write)

    async def unfinished(self) -> Job | None:
        """The last job, if its end isn't written down; by its number, for the clock may have been wrong."""
        query = f"SELECT {_COLUMNS} FROM history_jobs WHERE status = ? ORDER BY number DESC LIMIT 1"
        row = await self._database.read(lambda c: c.execute(query, (IN_PROGRESS,)).fetchone())
        return None if row is None else _job(row)

    async def get(self, number: int) -> Job | None:
        """One job."""
        query = f"SELECT {_COLUMNS} FROM history_jobs WHERE number = ?"
        row = await self._database.read(lambda c: c.execute(query, (number,)).fetchone())
        return None if row is None else _job(row)

    async def listed(
        self,
        *,
        limit: int,
        start: int = 0,
        since: float | None = None,
        before: float | None = None,
        ascending: bool = False,
    ) -> list[Job]:
        """Jobs in the order of their beginning, whatever the clock showed then; `limit` 0 means all of them.

        `since` is compared with their beginning, `before` with their end, as Moonraker does: a job that goes on isn't
        before anything.
        """
        query = (
            f"SELECT {_COLUMNS} FROM history_jobs WHERE {_IN_TIME}"
            f" ORDER BY number {'ASC' if ascending else 'DESC'} LIMIT ? OFFSET ?"
        )
        values = (since, since, before, before, limit or -1, start)
        return await self._database.read(lambda c: [_job(row) for row in c.execute(query, values)])

    async def delete(self, number: int | None) -> list[int]:
        """Remove a job, or all of them (None); returns their numbers. Totals stay."""
        where, values = ("", ()) if number is None else (" WHERE number = ?", (number,))

        def write(connection: sqlite3.Connection) -> list[int]:
            rows = connection.execute(f"SELECT number FROM history_jobs{where} ORDER BY 1", values).fetchall()
            connection.execute(f"DELETE FROM history_jobs{where}", values)
            return [row[0] for row in rows]

        return await self._database.write(write)

    async def totals(self) -> dict[str, object]:
        """The totals of all finished jobs since the last reset."""
        rows = await self._database.read(lambda c: c.execute("SELECT name, value FROM history_totals").fetchall())
        return _totals(dict(rows))

    async def reset_totals(self) -> dict[str, object]:
        """Begin the totals anew; returns them as they were."""

        def write(connection: sqlite3.Connection) -> dict[str, object]:
            rows = connection.execute("SELECT name, value FROM history_totals").fetchall()
            connection.execute("DELETE FROM history_totals")
            return _totals(dict(rows))

        return await self._database.write(write)


def _totals(found: dict[str, float]) -> dict[str, object]:
    return {"total_jobs": int(found.get("total_jobs", 0)), **{n: found.get(n, 0.0) for n in (*SUMS, *RECORDS)}}


def _count(connection: sqlite3.Connection, name: str, value: float) -> None:
    connection.execute(
        "INSERT INTO history_totals VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (name, value),
    )


def _update(connection: sqlite3.Connection, job: Job) -> None:
    number, *values = _row(job)
    assignments = ", ".join(f"{column} = ?" for column in _COLUMNS.split(", ")[1:])
    connection.execute(f"UPDATE history_jobs SET {assignments} WHERE number = ?", (*values, number))


def _row(job: Job) -> _Row:
    return (
        job.number,
        job.filename,
        job.start_time,
        job.status,
        job.end_time,
        job.print_duration,
        job.total_duration,
        job.filament_used,
        encode(job.metadata),
        encode(job.auxiliary_data),
        job.user,
    )


def _job(row: _Row) -> Job:
    number, filename, start, status, end, printed, total, used, metadata, auxiliary, user = row
    return Job(
        filename=filename,
        start_time=start,
        number=number,
        status=status,
        end_time=end,
        print_duration=printed,
        total_duration=total,
        filament_used=used,
        metadata=cast(dict[str, object], decode(metadata)),
        auxiliary_data=cast(list[dict[str, object]], decode(auxiliary)),
        user=user,
    )
