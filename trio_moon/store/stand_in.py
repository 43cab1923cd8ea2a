"""What stands in for a database that can't be written: a copy in memory of what can be read of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from trio_moon.store.private_files import create_private

HOW = ("mode=ro", "immutable=1")
"""Ways to read a file beside which nothing can be written; the second one doesn't see what a killed program left."""


def stand_in_for(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """A prepared database in memory, with the content of the file as far as it is usable."""
    for how in HOW:
        connection = in_memory()
        with suppress(sqlite3.DatabaseError):
            with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=0)) as file:
                file.execute("SELECT 1 FROM sqlite_master").fetchone()  # `backup` would wait for a locked one for ever
                file.backup(connection)
            prepare(connection)
            return connection
        connection.close()
    connection = in_memory()
    prepare(connection)
    return connection


def in_memory() -> sqlite3.Connection:
    """An empty database that is nowhere else."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def obstacle(path: Path) -> str:
    """What the system says against writing a file; "" if nothing."""
    try:
        create_private(path)
    except OSError as error:
        return f"{error.strerror}: {path}"
    return ""
