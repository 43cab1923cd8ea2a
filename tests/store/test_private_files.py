"""What holds the API key and the hashes of passwords is its owner's alone."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from trio_moon.store.database import Database
from trio_moon.store.schema import Schema

NOTES = Schema("notes", ("CREATE TABLE notes (text TEXT)",))


@pytest.fixture(autouse=True)
def _common_umask() -> Iterator[None]:

    before = os.umask(0o022)
    yield
    os.umask(before)


@asynccontextmanager
async def a_database(path: Path, copies: Path | None = None) -> AsyncIterator[Database]:
    database = Database(path, (NOTES,))
    if copies is not None:
        database.adopt_copies(copies)
    async with trio.open_nursery() as nursery:
        await nursery.start(database.run)
        await database.write(lambda connection: connection.execute("INSERT INTO notes VALUES ('secret')"))
        yield database
        nursery.cancel_scope.cancel()


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}


async def test_a_new_database_and_what_stands_beside_it_is_its_owners(tmp_path: Path) -> None:
    async with a_database(tmp_path / "x.db"):
        assert modes(tmp_path) == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}


async def test_what_an_earlier_version_left_open_is_closed_at_the_next_start(tmp_path: Path) -> None:
    real, linked, copies = tmp_path / "disk", tmp_path / "database", tmp_path / "copies"
    for folder in (real, linked, copies):
        folder.mkdir()
    async with a_database(real / "x.db"):
        pass
    (linked / "x.db").symlink_to(real / "x.db")
    for path in (real / "x.db", linked / "x.db.damaged-20260101-000000", linked / "other.db", copies / "old.db"):
        path.touch()
        path.chmod(0o664)
    async with a_database(linked / "x.db", copies):
        assert modes(real) == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}
        assert modes(linked)["x.db.damaged-20260101-000000"] == 0o600
        assert modes(linked)["other.db"] == 0o664  # Moonraker's, say: not ours to change
        assert modes(copies) == {"old.db": 0o600}


async def test_what_is_set_aside_is_closed_too(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is no database, but long enough to be taken for one " * 40)
    (tmp_path / "x.db").chmod(0o644)
    async with a_database(tmp_path / "x.db"):
        assert len(modes(tmp_path)) == 4
        assert set(modes(tmp_path).values()) == {0o600}


async def test_a_file_system_that_knows_no_modes_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(path: Path, mode: int) -> None:
        asked.append(path.name)
        raise OSError(errno.EPERM, "Operation not permitted")

    (tmp_path / "x.db").touch(0o644)
    monkeypatch.setattr(Path, "chmod", refuse)
    async with a_database(tmp_path / "x.db") as database:
        assert asked == ["x.db"]
        assert database.warnings == []
