"""Named drawers of JSON values: the API's database, and the small things that rooms remember."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Final

from trio_moon.kit.json_codec import NotJson, decode, encode
from trio_moon.model.errors import MoonError
from trio_moon.store.database import Database
from trio_moon.store.predecessor import Statement, items_of
from trio_moon.store.schema import Schema

logger = logging.getLogger(__name__)

OUR_PREFIX = "trio_moon"
"""Namespaces of our rooms' own, secrets among them."""
MOONRAKERS_OWN = frozenset({"moonraker", "database", "authorized_users", "history", "gcode_metadata", "job_queue"})


def _inherit(moonraker: sqlite3.Connection) -> list[Statement]:
    """What front ends and apps keep: their settings, cameras, notes."""
    notes = items_of(moonraker, "database")
    told = [notes.get(name) for name in ("protected_namespaces", "forbidden_namespaces")]
    not_theirs = [*MOONRAKERS_OWN, *(name for names in told if isinstance(names, list) for name in names)]
    names = [row[0] for row in moonraker.execute("SELECT DISTINCT namespace FROM namespace_store")]
    return [
        kept_if_new(name, key, value)
        for name in names
        if name not in not_theirs and not name.startswith(OUR_PREFIX)
        for key, value in items_of(moonraker, name).items()
    ]


def kept_if_new(namespace: str, key: str, value: object) -> Statement:
    """Set a value that isn't there yet."""
    return "INSERT OR IGNORE INTO namespaces VALUES (?, ?, ?)", (namespace, key, encode(value))


SCHEMA = Schema(
    "namespaces",
    (
        "CREATE TABLE namespaces (namespace TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,"
        " PRIMARY KEY (namespace, key)) WITHOUT ROWID",
    ),
    _inherit,
)


ABSENT: Final = object()
"""The value of a key that isn't there."""


class Unreadable(MoonError):
    """A value isn't what was written: the disk has damaged it."""


class Namespaces:
    """Values by namespace and key. Values are whatever JSON can hold."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def names(self) -> list[str]:
        """The namespaces that hold something, sorted."""
        query = "SELECT DISTINCT namespace FROM namespaces ORDER BY 1"
        return await self._database.read(lambda c: [row[0] for row in c.execute(query)])

    async def items(self, namespace: str) -> dict[str, object]:
        """Everything in one namespace that can be read; {} when there is none."""
        query = "SELECT key, value FROM namespaces WHERE namespace = ?"
        rows = await self._database.read(lambda c: c.execute(query, (namespace,)).fetchall())
        found = {}
        for key, data in rows:
            try:
                found[key] = _value(namespace, key, data)
            except Unreadable as error:
                logger.warning("%s", error)
        return found

    async def get(self, namespace: str, key: str, default: object = None) -> object:
        """One value, or `default`; Unreadable when it is damaged."""
        query = "SELECT value FROM namespaces WHERE namespace = ? AND key = ?"
        row = await self._database.read(lambda c: c.execute(query, (namespace, key)).fetchone())
        return default if row is None else _value(namespace, key, row[0])

    async def put(self, namespace: str, key: str, value: object) -> None:
        """Set one value."""
        data = encode(value)
        await self._database.write(lambda c: put_in(c, namespace, key, data))

    async def change(self, namespace: str, key: str, work: Callable[[object], object]) -> None:
        """Replace one value by what `work` makes of it, in one transaction; ABSENT stands for no value on both sides.

        `work` runs in the store's thread. When it raises, nothing has changed.
        """

        def replace(connection: sqlite3.Connection) -> None:
            query = "SELECT value FROM namespaces WHERE namespace = ? AND key = ?"
            row = connection.execute(query, (namespace, key)).fetchone()
            value = work(ABSENT if row is None else _value(namespace, key, row[0]))
            if value is ABSENT:
                connection.execute("DELETE FROM namespaces WHERE namespace = ? AND key = ?", (namespace, key))
            else:
                put_in(connection, namespace, key, encode(value))

        await self._database.write(replace)

    async def delete(self, namespace: str, key: str) -> bool:
        """Remove one value; whether it was there."""
        query = "DELETE FROM namespaces WHERE namespace = ? AND key = ?"
        return await self._database.write(lambda c: c.execute(query, (namespace, key)).rowcount > 0)


def _value(namespace: str, key: str, data: bytes) -> object:
    try:
        return decode(data)
    except (NotJson, TypeError) as error:  # the type of a column is only a suggestion to SQLite
        raise Unreadable(f"'{key}' of '{namespace}' is damaged in the database: {error}") from None


def put_in(connection: sqlite3.Connection, namespace: str, key: str, data: bytes) -> None:
    """Set one encoded value inside somebody else's transaction."""
    connection.execute(
        "INSERT INTO namespaces VALUES (?, ?, ?) ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value",
        (namespace, key, data),
    )
