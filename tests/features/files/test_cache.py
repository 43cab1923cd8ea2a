"""What is kept of files goes where they go, and costs as much as there is of it."""

from __future__ import annotations

import sqlite3

import pytest
import trio

from trio_moon.features.files import SCHEMA
from trio_moon.features.files.metadata.cache import MetadataCache
from trio_moon.store.database import Database

NAMES = (
    "sub",
    "sub/a",
    "sub/b/c",
    "sub-1/a",
    "sub.gcode",
    "sub0",
    "sub0/a",
    "subway/sub/a",
    "süß/a",
    "sub/ÿ",
    "sub/\U0010ffff",
)


class Shelf:
    """A cache, and how much work its database does."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.cache = MetadataCache(database)

    async def fill(self, *paths: str) -> None:
        rows = [(path, path.rpartition("/")[0]) for path in paths]
        query = "INSERT INTO file_metadata (path, folder, size, modified_ns, found) VALUES (?, ?, 1, 1, '{}')"
        await self.database.write(lambda connection: connection.executemany(query, rows))

    async def paths(self) -> dict[str, str]:
        """Every path with its folder."""
        query = "SELECT path, folder FROM file_metadata"
        return dict(await self.database.read(lambda connection: connection.execute(query).fetchall()))

    async def count_steps(self) -> list[int]:
        """From now on a number is added for each 100 steps of SQLite's machine."""
        steps: list[int] = []

        def watch(connection: sqlite3.Connection) -> None:
            connection.set_progress_handler(lambda: steps.append(1), 100)

        await self.database.read(watch)
        return steps


@pytest.fixture
async def shelf(nursery: trio.Nursery) -> Shelf:
    database = Database(None, (SCHEMA,))
    await nursery.start(database.run)
    return Shelf(database)


async def test_what_is_below_a_folder_is_forgotten_and_nothing_else(shelf: Shelf) -> None:
    await shelf.fill(*NAMES)
    forgotten = await shelf.cache.forget("sub")
    assert forgotten is not None
    assert forgotten.path == "sub"
    assert set(await shelf.paths()) == {name for name in NAMES if name != "sub" and not name.startswith("sub/")}
    assert await shelf.cache.forget("sub") is None


async def test_what_is_below_a_folder_moves_and_nothing_else(shelf: Shelf) -> None:
    await shelf.fill(*NAMES, "there/sub/a")
    await shelf.cache.move("sub", "there/sub")
    moved = {f"there/{name}" if name == "sub" or name.startswith("sub/") else name for name in NAMES}
    assert await shelf.paths() == {path: path.rpartition("/")[0] for path in moved}
    itself, below = await shelf.cache.get("there/sub"), await shelf.cache.get("there/sub/a")
    assert itself is not None
    assert below is not None
    assert (itself.modified_ns, below.modified_ns) == (0, 1)


async def test_one_file_among_many_costs_what_it_costs_alone(shelf: Shelf) -> None:
    await shelf.fill(*(f"many/{number}.gcode" for number in range(5000)))
    steps = await shelf.count_steps()
    await shelf.cache.move("many/1.gcode", "many/one.gcode")
    await shelf.cache.forget("many/one.gcode")
    assert len(steps) < 20
