"""What has not been delivered yet, on disk: a restart loses no message, and what was sent isn't sent again."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import msgspec

from trio_moon.features.notifiers.news import Letter, News
from trio_moon.model.errors import MoonError
from trio_moon.store.database import Database
from trio_moon.store.schema import Schema

logger = logging.getLogger(__name__)
T = TypeVar("T")

SCHEMA = Schema(
    "notifiers",
    (
        "CREATE TABLE undelivered (id INTEGER PRIMARY KEY AUTOINCREMENT, notifier TEXT NOT NULL, news BLOB NOT NULL,"
        " letter BLOB)",
    ),
)

_encode = msgspec.msgpack.Encoder().encode
_decode_news = msgspec.msgpack.Decoder(News).decode
_decode_letter = msgspec.msgpack.Decoder(Letter).decode


class Remembers(Protocol):
    """What a notifier needs of the store."""

    async def add(self, notifier: str, news: News) -> int | None: ...
    async def keep_letter(self, row: int | None, letter: Letter) -> None: ...
    async def remove(self, row: int | None) -> None: ...
    async def waiting(self, notifier: str) -> list[tuple[int, News, Letter | None]]: ...


class Undelivered:
    """Rows that live from the event to the delivery. A store that fails is logged: messages go out all the same."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, notifier: str, news: News) -> int | None:
        """Remember the news for this notifier; None if that is not possible."""
        try:
            data = _encode(news)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            logger.warning("notifier %s: %s can't be remembered: %s", notifier, news.event_name, error)
            return None
        query = "INSERT INTO undelivered (notifier, news) VALUES (?, ?)"
        return await self._write(lambda c: c.execute(query, (notifier, data)).lastrowid)

    async def keep_letter(self, row: int | None, letter: Letter) -> None:
        """The message as it was written at the time of the event, pictures included."""
        data = _encode(letter)
        await self._write(lambda c: c.execute("UPDATE undelivered SET letter = ? WHERE id = ?", (data, row)))

    async def remove(self, row: int | None) -> None:
        """It was delivered, or given up."""
        if row is not None:
            await self._write(lambda c: c.execute("DELETE FROM undelivered WHERE id = ?", (row,)))

    async def waiting(self, notifier: str) -> list[tuple[int, News, Letter | None]]:
        """What is left of earlier runs, oldest first. What can't be read any more is thrown away."""
        query = "SELECT id, news, letter FROM undelivered WHERE notifier = ? ORDER BY id"
        try:
            rows = await self._database.read(lambda c: c.execute(query, (notifier,)).fetchall())
        except (sqlite3.Error, MoonError) as error:
            logger.warning("undelivered notifications can't be read: %s", error)
            return []
        found = []
        for row, news, letter in rows:
            try:
                found.append((row, _decode_news(news), _decode_letter(letter) if letter else None))
            except msgspec.MsgspecError:
                await self.remove(row)
        return found

    async def forget_others(self, notifiers: Iterable[str]) -> None:
        """Notifiers that are not configured any more will not deliver anything."""
        names = tuple(notifiers)
        marks = ", ".join("?" * len(names))
        await self._write(lambda c: c.execute(f"DELETE FROM undelivered WHERE notifier NOT IN ({marks})", names))

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        try:
            return await self._database.write(work)
        except (sqlite3.Error, MoonError) as error:
            logger.warning("undelivered notifications can't be remembered: %s", error)
            return None
