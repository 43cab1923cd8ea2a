"""Metadata in the store, by path, valid for one size and time of change."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from trio_moon.features.files.metadata.extract import Metadata
from trio_moon.kit.json_codec import decode, encode
from trio_moon.model.errors import NoSpace
from trio_moon.store.database import Database

T = TypeVar("T")


class Kept(Struct, frozen=True):
    """What is known of one file, perhaps of an older state of it."""

    path: str
    size: int
    modified_ns: int
    found: Metadata
    job_id: str | None
    print_start_time: float | None

    def as_wire(self) -> dict[str, object]:
        """As `server.files.metadata` tells it."""
        return {
            **self.found,
            "print_start_time": self.print_start_time,
            "job_id": self.job_id,
            "filename": self.path,
        }

    def thumbnails(self) -> list[dict[str, object]]:
        thumbnails = self.found.get("thumbnails", [])
        return thumbnails if isinstance(thumbnails, list) else []


MOST = 2**63 - 1
"""SQLite's integers end there, and with them the years: files from after 2262 are read each time."""

_COLUMNS = "path, size, modified_ns, found, job_id, print_start_time"
_BELOW = "path > ?2 || '/' AND path < ?2 || '0'"  # 0 comes after the slash: what is between begins with "?2/"


class MetadataCache:
    """The table of what was found in files. After a power cut some of it may have to be found again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, path: str) -> Kept | None:
        query = f"SELECT {_COLUMNS} FROM file_metadata WHERE path = ?"
        row = await self._database.read(lambda c: c.execute(query, (path,)).fetchone())
        return _kept(row) if row else None

    async def in_folder(self, folder: str) -> dict[str, Kept]:
        """What is known of the files in one folder, by path."""
        query = f"SELECT {_COLUMNS} FROM file_metadata WHERE folder = ?"
        return await self._database.read(lambda c: {row[0]: _kept(row) for row in c.execute(query, (folder,))})

    async def everything(self) -> dict[str, dict[str, object]]:
        """What is known of every file, by path, as `server.files.metadata` tells it."""
        query = f"SELECT {_COLUMNS} FROM file_metadata ORDER BY path"
        return await self._database.read(lambda c: {row[0]: _kept(row).as_wire() for row in c.execute(query)})

    async def states(self) -> dict[str, tuple[int, int]]:
        """Size and time of change of everything that is known, by path."""
        query = "SELECT path, size, modified_ns FROM file_metadata"
        return await self._database.read(lambda c: {path: (size, changed) for path, size, changed in c.execute(query)})

    async def put(self, path: str, found: Metadata, modified_ns: int) -> Kept:
        """Keep what was found in a file; what is known of its prints stays."""
        values = (path, _folder(path), found["size"], min(modified_ns, MOST), encode(found))

        def write(connection: sqlite3.Connection) -> Kept:
            connection.execute(
                "INSERT INTO file_metadata (path, folder, size, modified_ns, found) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (path) DO UPDATE SET size = excluded.size, modified_ns = excluded.modified_ns,"
                " found = excluded.found",
                values,
            )
            return _kept(connection.execute(f"SELECT {_COLUMNS} FROM file_metadata WHERE path = ?", (path,)).fetchone())

        return await self._database.write(write, durable=False)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do `work` if the disk takes it: what is known can be found again."""
        try:
            return await self._database.write(work, durable=False)
        except NoSpace:
            return None

    async def move(self, source: str, dest: str) -> None:
        """A file or folder has another name; what is known goes along, over what was known there.

        A single file will be read anew, for its pictures are named after it.
        """

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE OR REPLACE file_metadata SET path = ?, folder = ?, modified_ns = 0 WHERE path = ?",
                (dest, _folder(dest), source),
            )
            connection.execute(
                "UPDATE OR REPLACE file_metadata SET path = ?1 || substr(path, length(?2) + 1),"
                f" folder = ?1 || substr(folder, length(?2) + 1) WHERE {_BELOW}",
                (dest, source),
            )

        await self._write(write)

    async def forget(self, path: str) -> Kept | None:
        """A file or folder has gone; returns what was known of the file itself."""

        def write(connection: sqlite3.Connection) -> Kept | None:
            row = connection.execute(f"SELECT {_COLUMNS} FROM file_metadata WHERE path = ?", (path,)).fetchone()
            connection.execute("DELETE FROM file_metadata WHERE path = ?", (path,))
            connection.execute(f"DELETE FROM file_metadata WHERE {_BELOW}", (None, path))
            return _kept(row) if row else None

        return await self._write(write)

    async def note_print(self, path: str, job_id: str, print_start_time: float) -> None:
        """Remember a file's last print, if the file is known."""
        query = "UPDATE file_metadata SET job_id = ?, print_start_time = ? WHERE path = ?"
        await self._database.write(lambda c: c.execute(query, (job_id, print_start_time, path)))


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _kept(row: tuple[str, int, int, bytes, str | None, float | None]) -> Kept:
    path, size, modified_ns, found, job_id, print_start_time = row
    decoded = decode(found)
    return Kept(path, size, modified_ns, decoded if isinstance(decoded, dict) else {}, job_id, print_start_time)
