"""What waits for delivery stands on disk. A real SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from trio_moon.features.notifiers.news import Letter, News, Picture
from trio_moon.features.notifiers.undelivered import SCHEMA, Undelivered
from trio_moon.store.database import Database

NEWS = News("complete", ({"filename": "Bär.gcode", "info": {"current_layer": None}},), "m", 12.5)
LETTER = Letter("t", "b", (Picture("a.jpg", "image/jpeg", b"\xff\x00"),))


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Undelivered]:
    database = Database(path, (SCHEMA,))
    async with trio.open_nursery() as nursery:
        await nursery.start(database.run)
        yield Undelivered(database)
        nursery.cancel_scope.cancel()


async def test_news_and_letters_survive(tmp_path: Path) -> None:
    async with opened(tmp_path / "db") as undelivered:
        first, second = await undelivered.add("a", NEWS), await undelivered.add("a", NEWS)
        gone = await undelivered.add("a", NEWS)
        other = await undelivered.add("b", NEWS)
        await undelivered.keep_letter(second, LETTER)
        await undelivered.remove(gone)
    async with opened(tmp_path / "db") as undelivered:
        assert await undelivered.waiting("a") == [(first, NEWS, None), (second, NEWS, LETTER)]
        await undelivered.forget_others(["a"])
        assert await undelivered.waiting("b") == []
        later = await undelivered.add("b", NEWS)
        assert later is not None
        assert other is not None
        assert later > other


async def test_rows_that_nobody_can_read_are_thrown_away(tmp_path: Path) -> None:
    async with opened(tmp_path / "db") as undelivered:
        await undelivered.add("a", NEWS)
    with sqlite3.connect(tmp_path / "db") as connection:
        connection.execute("UPDATE undelivered SET news = x'c1'")
    connection.close()
    async with opened(tmp_path / "db") as undelivered:
        assert await undelivered.waiting("a") == []
    with sqlite3.connect(tmp_path / "db") as connection:
        assert connection.execute("SELECT count(*) FROM undelivered").fetchone() == (0,)
    connection.close()


async def test_a_store_that_is_closed_costs_no_message() -> None:
    undelivered = Undelivered(Database(None, (SCHEMA,)))
    assert await undelivered.add("a", NEWS) is None
    assert await undelivered.waiting("a") == []
    await undelivered.keep_letter(None, LETTER)
    await undelivered.remove(None)
    await undelivered.forget_others([])
