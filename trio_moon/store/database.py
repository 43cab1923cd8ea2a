"""One SQLite file behind one worker thread: `<data path>/database/trio_moon.db`."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

import trio

from trio_moon.kit.threads import Workers
from trio_moon.model.errors import MoonError, NoSpace
from trio_moon.store.predecessor import FILE, Predecessor
from trio_moon.store.private_files import create_private, tighten
from trio_moon.store.schema import Schema, migrate
from trio_moon.store.stand_in import in_memory, obstacle, stand_in_for

logger = logging.getLogger(__name__)
T = TypeVar("T")

BUSY_PATIENCE = 5.0
"""Seconds to wait for another program that reads or writes the file."""
LOCK_PATIENCE = 3.0
"""Seconds that a former service may still take to end."""


class StoreClosed(MoonError):
    """The database was asked before it opened or after it closed: a bug in the order of things."""


class StoreFailed(NoSpace, sqlite3.OperationalError):
    """Nothing was written: the disk is full, read-only or broken, or another program holds the file."""


class StoreInUse(MoonError):
    """Another trio_moon works on the same data."""


class Database:
    """Runs one piece of work at a time, each in a transaction of its own.

    In WAL: what `write` returned from survives `kill -9` and, unless it was said not to be `durable`, a power cut.
    A file that can't be written is read once and refuses all that is new until the next start.
    """

    def __init__(self, path: Path | None, schemas: tuple[Schema, ...] = ()) -> None:
        """`path` None keeps everything in memory, for tests."""
        self._path = path
        self._schemas = schemas
        self._copies: list[Path] = []
        self._workers = Workers("store")
        self._connection: sqlite3.Connection | None = None
        self._set_aside: list[str] = []
        self._predecessor = Predecessor(path.with_name(FILE)) if path else None
        self._disk_fails = ""
        self._stands_in = ""
        """Why a copy in memory stands in for the file."""

    def adopt(self, schema: Schema) -> None:
        """Keep these tables too; said before the database is opened."""
        self._schemas += (schema,)

    def adopt_copies(self, folder: Path) -> None:
        """What is in this folder holds the same secrets; said before the database is opened."""
        self._copies.append(folder)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open (and migrate), serve until cancelled, close. StoreInUse while another program has it."""
        with ExitStack() as folder:
            if self._path is not None:
                await self._workers.run(lock_folder, self._path.parent, folder)
            await self._serve(task_status)

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        self._connection = await self._workers.run(self._open)
        try:
            task_status.started()
            await trio.sleep_forever()
        finally:
            connection, self._connection = self._connection, None
            with trio.CancelScope(shield=True):  # closing checkpoints the WAL; it has no peer to wait for
                await self._workers.run(connection.close)

    @property
    def warnings(self) -> list[str]:
        """Sentences for `server.info`: a file that had to be set aside, a disk that takes nothing at present."""
        if self._stands_in:
            unwritten = f"{self._stands_in}. Restart the service when that is mended."
        else:
            unwritten = self._disk_fails
        warnings = [*self._set_aside, *(self._predecessor.warnings if self._predecessor else ())]
        if not unwritten:
            return warnings
        return [*warnings, f"The database can't be written, so nothing new is remembered: {unwritten}"]

    def vitals(self) -> Mapping[str, object]:
        return {"queue": self._workers.waiting}

    async def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Do `work` in one transaction: all of it is on disk when this returns, none of it when it raises.

        StoreFailed when the disk can't hold it.

        With `durable` False it survives `kill -9`, but a power cut only once a durable write has followed: what
        is written every second must not make a memory card sync every second.
        """
        return await self._workers.run(self._in_transaction, work, durable)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work`, which only reads."""
        return await self._workers.run(self._plainly, work)

    def _plainly(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            raise StoreClosed("the database is not open")
        return work(self._connection)

    def _in_transaction(self, work: Callable[[sqlite3.Connection], T], durable: bool) -> T:
        connection = self._connection  # whoever closes meanwhile waits for us
        if connection is None:
            raise StoreClosed("the database is not open")
        if self._stands_in:
            raise StoreFailed(f"The database can't be written: {self._stands_in}")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:  # SQLite itself has given up on some errors
                connection.execute("ROLLBACK")
            if _is_of_the_disk(error) or _is_busy(error):
                self._disk_fails = str(error)
                raise StoreFailed(f"The database can't be written: {error}") from error
            raise
        self._disk_fails = ""
        return result

    def _open(self) -> sqlite3.Connection:
        if self._path is None:
            return self._open_file(":memory:")
        if os.path.exists(self._path) and not os.path.isfile(self._path):  # who opens a pipe waits for ever
            self._stands_in = f"not a file: {self._path}"
            logger.error("the database can't be written: %s", self._stands_in)
            connection = in_memory()
            self._prepare(connection)
            return connection
        self._keep_private(self._path)
        try:
            return self._open_file(str(self._path))
        except sqlite3.OperationalError as error:  # the file itself is not to blame
            if _is_of_the_disk(error) or _is_busy(error):
                return self._open_unwritable(self._path, error)
            return self._open_anew(self._path, error)
        except (sqlite3.DatabaseError, UnicodeDecodeError, TypeError) as error:  # sqlite3 stumbles over its own words
            return self._open_anew(self._path, error)

    def _open_anew(self, path: Path, error: Exception) -> sqlite3.Connection:
        """Begin with empty tables; what can't be used stays beside them."""
        aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        warning = f"The database {path} can't be used ({error}). It was set aside as {aside.name}."
        logger.error(warning)
        self._set_aside.append(warning)
        self._predecessor = None  # a spool or a key from before all that was set aside would be out of date
        self._keep_private(path)
        return self._open_file(str(path))

    def _keep_private(self, path: Path) -> None:
        """What SQLite puts beside the file has the file's mode."""
        with suppress(OSError):  # SQLite will say what is wrong
            create_private(path)
            for place in {path, path.resolve()}:
                tighten(place.parent.glob(f"{place.name}*"))
            for folder in self._copies:
                tighten(folder.iterdir())

    def _open_unwritable(self, path: Path, error: sqlite3.OperationalError) -> sqlite3.Connection:
        try:
            if _is_busy(error):
                raise error  # who wants it alone has no better chance
            connection = self._open_file(str(path), alone=True)
            self._disk_fails = f"{error}; is the disk full?"
        except sqlite3.OperationalError:
            self._stands_in = obstacle(path) or str(error)
            connection = stand_in_for(path, self._prepare)
        logger.error("the database can't be written: %s", self._stands_in or self._disk_fails)
        return connection

    def _open_file(self, name: str, *, alone: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(name, isolation_level=None, check_same_thread=False, timeout=BUSY_PATIENCE)
        try:
            if alone:  # needs no room on the disk for memory that is shared with other programs
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -512")  # KiB: a Pi's memory is for others
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
        migrate(connection, self._schemas, self._predecessor)


def _is_of_the_disk(error: BaseException) -> bool:
    kinds = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in kinds


def _is_busy(error: BaseException) -> bool:
    """Another program, such as the `sqlite3` of somebody who looks around, keeps the file for longer than we wait."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def lock_folder(folder: Path, until: ExitStack) -> None:
    """Keep other services out of a folder until the stack is closed: two of them would report all filament twice."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:  # no one else can work in it either
        logger.warning("%s can't be opened: %s", folder, error.strerror)
        return
    until.callback(os.close, handle)
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StoreInUse(f"another trio_moon works on {folder.parent}") from None
            time.sleep(0.05)
        except OSError as error:
            logger.warning("%s can't be locked against other services: %s", folder, error)
            return
        else:
            return
