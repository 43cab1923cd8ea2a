from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio

from trio_moon.store.database import Database, StoreClosed, StoreFailed
from trio_moon.store.namespaces import SCHEMA, Namespaces, Unreadable
from trio_moon.store.schema import Schema

NOTES = Schema("notes", ("CREATE TABLE notes (text TEXT)",))


async def open_database(nursery: trio.Nursery, path: Path | None, *schemas: Schema) -> Database:
    database = Database(path, schemas or (SCHEMA, NOTES))
    await nursery.start(database.run)
    return database


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    for expected in ([], ["one"], ["one", "one"]):
        async with trio.open_nursery() as nursery:
            database = await open_database(nursery, tmp_path / "x.db")
            rows = await database.read(lambda c: [row[0] for row in c.execute("SELECT text FROM notes")])
            assert rows == expected
            await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('one')"))
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
async def test_the_disk_is_synced_by_durable_writes_alone(nursery: trio.Nursery, durable: bool, level: int) -> None:
    database = await open_database(nursery, None)
    pragma = "PRAGMA synchronous"
    assert await database.write(lambda c: c.execute(pragma).fetchone()[0], durable=durable) == level
    assert await database.write(lambda c: c.execute(pragma).fetchone()[0]) == 2


async def test_work_that_raises_leaves_nothing_behind(nursery: trio.Nursery) -> None:
    database = await open_database(nursery, None)

    def half_done(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half')")
        raise KeyError("broken")

    with pytest.raises(KeyError):
        await database.write(half_done)
    assert await database.read(lambda c: c.execute("SELECT count(*) FROM notes").fetchone()) == (0,)


async def test_a_cancelled_write_is_whole_or_not_at_all(nursery: trio.Nursery) -> None:
    database = await open_database(nursery, None)
    with trio.CancelScope() as scope:
        scope.cancel()
        await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('x')"))
    (count,) = await database.read(lambda c: c.execute("SELECT count(*) FROM notes").fetchone())
    assert count in (0, 1)
    await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('y')"))


async def test_tables_grow_by_scripts_and_keep_their_rows(tmp_path: Path) -> None:
    grown = Schema("notes", (*NOTES.scripts, "ALTER TABLE notes ADD COLUMN stars INTEGER; UPDATE notes SET stars = 5"))
    async with trio.open_nursery() as nursery:
        database = await open_database(nursery, tmp_path / "x.db", NOTES)
        await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('old')"))
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        database = await open_database(nursery, tmp_path / "x.db", grown)
        assert await database.read(lambda c: c.execute("SELECT * FROM notes").fetchall()) == [("old", 5)]
        assert database.warnings == []
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("damage", [b"this is no database at all, but it is long enough to be one " * 40, "newer"])
async def test_a_file_that_cannot_be_used_is_set_aside_with_a_warning(tmp_path: Path, damage: bytes | str) -> None:
    path = tmp_path / "x.db"
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        async with trio.open_nursery() as nursery:
            await open_database(nursery, path, Schema("notes", (*NOTES.scripts, "CREATE TABLE later (x)")))
            nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        database = await open_database(nursery, path)
        await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('new')"))
        (warning,) = database.warnings
        assert "set aside" in warning
        nursery.cancel_scope.cancel()
    (aside,) = [p for p in tmp_path.iterdir() if ".damaged-" in p.name and not p.name.endswith(("-wal", "-shm"))]
    if isinstance(damage, bytes):
        assert aside.read_bytes() == damage


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE schema_versions",
        "UPDATE schema_versions SET version = 'x'",
        "UPDATE schema_versions SET version = -1",
        "DELETE FROM schema_versions",
    ],
)
async def test_a_file_that_is_not_what_it_says_is_set_aside(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.db"
    async with trio.open_nursery() as nursery:
        database = await open_database(nursery, path)
        await database.write(lambda c: c.execute(damage))
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        database = await open_database(nursery, path)
        assert "set aside" in database.warnings[0]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(25))
async def test_no_flipped_bytes_keep_a_database_from_opening(tmp_path: Path, seed: int) -> None:
    path, chance = tmp_path / "x.db", random.Random(seed)
    async with trio.open_nursery() as nursery:
        await open_database(nursery, path)
        nursery.cancel_scope.cancel()
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 30, 1000])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    async with trio.open_nursery() as nursery:
        await open_database(nursery, path)
        nursery.cancel_scope.cancel()


async def test_a_damaged_value_is_told_and_costs_no_other(nursery: trio.Nursery) -> None:
    database = await open_database(nursery, None)
    namespaces = Namespaces(database)
    await namespaces.put("a", "good", 1)
    for key, damage in (("torn", b"{"), ("bytes", b'"\xff"'), ("number", 7.5)):
        row = (key, damage)
        await database.write(lambda c, row=row: c.execute("INSERT INTO namespaces VALUES ('a', ?, ?)", row))  # type: ignore[misc]
        with pytest.raises(Unreadable, match=f"'{key}' of 'a' is damaged"):
            await namespaces.get("a", key)
    assert await namespaces.items("a") == {"good": 1}


async def test_a_database_that_is_not_open_says_so() -> None:
    with pytest.raises(StoreClosed):
        await Database(None, ()).read(lambda c: None)


async def test_what_write_returned_from_survives_kill_9(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys, trio
        from pathlib import Path
        from trio_moon.store.database import Database
        from trio_moon.store.schema import Schema

        async def main():
            database = Database(Path(sys.argv[1]), (Schema("notes", ("CREATE TABLE notes (text TEXT)",)),))
            async with trio.open_nursery() as nursery:
                await nursery.start(database.run)
                for number in range(1000):
                    await database.write(lambda c: c.execute("INSERT INTO notes VALUES (?)", (str(number),)))
                    print(number, flush=True)

        trio.run(main)
        """
    )
    path = tmp_path / "x.db"

    def until_killed() -> int:
        with subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            told = [next(child.stdout) for _ in range(20)]
            os.kill(child.pid, signal.SIGKILL)
            told += list(child.stdout)
            return int(told[-1])

    last = await trio.to_thread.run_sync(until_killed)
    async with trio.open_nursery() as nursery:
        database = await open_database(nursery, path, NOTES)
        (count,) = await database.read(lambda c: c.execute("SELECT count(*) FROM notes").fetchone())
        assert count >= last + 1
        nursery.cancel_scope.cancel()


async def test_namespaces_hold_json_values(nursery: trio.Nursery) -> None:
    drawers = Namespaces(await open_database(nursery, None))
    assert await drawers.names() == []
    await drawers.put("mainsail", "view", {"dark": True})
    await drawers.put("mainsail", "view", {"dark": False})
    await drawers.put("fluidd", "x", [1, None])
    assert await drawers.names() == ["fluidd", "mainsail"]
    assert await drawers.items("mainsail") == {"view": {"dark": False}}
    assert await drawers.get("fluidd", "x") == [1, None]
    assert await drawers.get("fluidd", "y", "default") == "default"
    assert await drawers.delete("fluidd", "x")
    assert not await drawers.delete("fluidd", "x")
    assert await drawers.items("fluidd") == {}


async def test_a_full_disk_is_told_as_long_as_it_is_full_and_leaves_nothing_half_written(nursery: trio.Nursery) -> None:
    database = await open_database(nursery, None)

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('small')")
        connection.execute("INSERT INTO notes VALUES (?)", ("x" * 100_000,))

    most = await database.read(lambda c: c.execute("PRAGMA max_page_count").fetchone()[0])
    await database.read(lambda c: c.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(StoreFailed, match="full"):
        await database.write(fill)
    assert "disk is full" in database.warnings[0]
    assert await database.read(lambda c: c.execute("SELECT count(*) FROM notes").fetchone()) == (0,)
    await database.read(lambda c: c.execute(f"PRAGMA max_page_count = {most}"))
    await database.write(fill)
    assert database.warnings == []


async def test_a_database_on_a_full_disk_can_be_read_and_later_written(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        database = await open_database(nursery, tmp_path / "x.db")
        await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('old')"))
        nursery.cancel_scope.cancel()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with trio.open_nursery() as nursery:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))  # no room for SQLite's shared memory
            database = await open_database(nursery, tmp_path / "x.db")
            with pytest.raises(StoreFailed):
                await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('lost')"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert database.warnings
        await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('new')"))
        assert await database.read(lambda c: c.execute("SELECT text FROM notes").fetchall()) == [("old",), ("new",)]
        assert database.warnings == []
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("killed", [False, True])
async def test_what_a_read_only_disk_holds_can_be_read_and_nothing_new_is_kept(tmp_path: Path, killed: bool) -> None:
    async with trio.open_nursery() as nursery:
        database = await open_database(nursery, tmp_path / "x.db", SCHEMA)
        await Namespaces(database).put("mainsail", "dark", True)
        if killed:
            shutil.copytree(tmp_path, tmp_path / "left")
        nursery.cancel_scope.cancel()
    with read_only(tmp_path / "left" if killed else tmp_path) as folder:
        async with trio.open_nursery() as nursery:
            database = await open_database(nursery, folder / "x.db")  # with tables that the file doesn't have yet
            assert await Namespaces(database).items("mainsail") == {"dark": True}
            with pytest.raises(StoreFailed, match="Read-only file system"):
                await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('new')"))
            assert await database.read(lambda c: c.execute("SELECT * FROM notes").fetchall()) == []
            assert len(database.warnings) == 1
            assert "Read-only file system" in database.warnings[0]
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["pipe", "folder"])
async def test_what_is_no_file_stops_no_start(tmp_path: Path, nursery: trio.Nursery, kind: str) -> None:
    path = tmp_path / "test.db"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    database = Database(path, (SCHEMA, NOTES))
    with trio.fail_after(10):
        await nursery.start(database.run)
    assert "not a file" in database.warnings[0]
    with pytest.raises(StoreFailed):
        await database.write(lambda connection: connection.execute("SELECT 1"))


async def test_a_folder_that_is_no_folder_stops_no_start(tmp_path: Path, nursery: trio.Nursery) -> None:
    (tmp_path / "database").write_text("a file")
    database = await open_database(nursery, tmp_path / "database" / "x.db")
    with pytest.raises(StoreFailed, match="Not a directory"):
        await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('new')"))
    assert "Not a directory" in database.warnings[0]
    assert await Namespaces(database).names() == []


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """The folder as it looks on a disk that can't be written; needs the right to mount."""
    bound = folder.with_name(f"{folder.name}-read-only")
    bound.mkdir()
    if subprocess.run(["mount", "--bind", folder, bound], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", bound], check=True)
        yield bound
    finally:
        subprocess.run(["umount", bound], check=True)


async def test_a_file_that_another_program_holds_for_good_stops_no_start(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_moon.store.database.BUSY_PATIENCE", 0.1)
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE notes (text TEXT)")
        other.execute("BEGIN EXCLUSIVE")
        with trio.fail_after(60):
            database = await open_database(nursery, path)
        assert "locked" in database.warnings[0]


async def test_a_file_that_another_program_holds_is_told_and_later_written(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    database = await open_database(nursery, tmp_path / "x.db")
    await database.read(lambda c: c.execute("PRAGMA busy_timeout = 20"))
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed, match="locked"):
        await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('new')"))
    assert "locked" in database.warnings[0]
    other.close()
    await database.write(lambda c: c.execute("INSERT INTO notes VALUES ('new')"))
    assert database.warnings == []
