"""Tables belong to the rooms that use them; each room's tables have a version and grow by scripts."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

_VERSIONS = "CREATE TABLE IF NOT EXISTS schema_versions (room TEXT PRIMARY KEY, version INTEGER NOT NULL)"


class Schema(Struct, frozen=True):
    """The tables of one room: script N (counted from 1) takes them from version N-1 to version N."""

    room: str
    scripts: tuple[str, ...]


class TooNew(sqlite3.DatabaseError):
    """The file was written by a later version of trio_moon."""


def migrate(connection: sqlite3.Connection, schemas: tuple[Schema, ...]) -> None:
    """Bring every room's tables up to date, each script in a transaction with its version."""
    connection.execute(_VERSIONS)
    known = dict(connection.execute("SELECT room, version FROM schema_versions"))
    for schema in schemas:
        version = known.get(schema.room, 0)
        if version > len(schema.scripts):
            raise TooNew(f"tables of {schema.room} have version {version}, this program knows {len(schema.scripts)}")
        for number, script in enumerate(schema.scripts[version:], version + 1):
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
                connection.execute("REPLACE INTO schema_versions VALUES (?, ?)", (schema.room, number))
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
