"""Tables belong to the rooms that use them; each room's tables have a version and grow by scripts."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from trio_moon.store.predecessor import Inherit, Predecessor

_VERSIONS = "CREATE TABLE IF NOT EXISTS schema_versions (room TEXT PRIMARY KEY, version INTEGER NOT NULL)"


class Schema(Struct, frozen=True):
    """The tables of one room: script N (counted from 1) takes them from version N-1 to version N."""

    room: str
    scripts: tuple[str, ...]
    inherit: Inherit | None = None
    """What the room takes over from Moonraker when its tables are made."""


class TooNew(sqlite3.DatabaseError):
    """The file was written by a later version of trio_moon."""


def migrate(
    connection: sqlite3.Connection, schemas: tuple[Schema, ...], predecessor: Predecessor | None = None
) -> None:
    """Bring every room's tables up to date, each script in a transaction with its version.

    What a new room takes over from its predecessor comes with its last script.
    """
    connection.execute(_VERSIONS)
    known = dict(connection.execute("SELECT room, version FROM schema_versions"))
    for schema in schemas:
        version = known.get(schema.room, 0)
        if version > len(schema.scripts):
            raise TooNew(f"tables of {schema.room} have version {version}, this program knows {len(schema.scripts)}")
        heritage = []
        if version == 0 and predecessor and schema.inherit:
            heritage = predecessor.heritage(schema.room, schema.inherit)
        for number, script in enumerate(schema.scripts[version:], version + 1):
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
                if number == len(schema.scripts):
                    for sql, values in heritage:
                        connection.execute(sql, values)
                connection.execute("REPLACE INTO schema_versions VALUES (?, ?)", (schema.room, number))
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
