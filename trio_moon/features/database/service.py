"""The API's database: frontends keep their settings here."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import trio

from trio_moon.features.database.dotted import MISSING, look_up, parse_key, remove_at, set_at
from trio_moon.features.database.parameters import NamedItem, NewBackup, NewItem, WhichBackup, WhichItem
from trio_moon.model.errors import BadParams, Forbidden, NoSpace, NotFound
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.store.database import Database
from trio_moon.store.namespaces import ABSENT, OUR_PREFIX, Namespaces
from trio_moon.store.private_files import create_private

T = TypeVar("T")

PROTECTED = frozenset({"moonraker", "gcode_metadata", "history", "job_queue"})
"""Namespaces that the API doesn't write; they have methods of their own."""

View = Callable[[], Awaitable[dict[str, object]]]
Written = Callable[[], Awaitable[None]]

_NAMESPACE = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
LONGEST_NAME = 255  # bytes of a file's name
_BACKUP = re.compile(r"\w[\w.-]{0,120}")


class UserDatabase:
    """Namespaces of JSON values, reached by dotted keys."""

    def __init__(
        self,
        namespaces: Namespaces,
        database: Database,
        file: Path,
        backups: Path,
        *,
        views: Mapping[str, View] | None = None,
        written: Mapping[str, Written] | None = None,
    ) -> None:
        """`file` is where `database` lives, `backups` the folder for copies of it.

        `views` are namespaces that are shown and can't be written; `written` is told when one has been.
        """
        self._namespaces = namespaces
        self._database = database
        self._file = file
        self._backups = backups
        self._views = views or {}
        self._written = written or {}

    async def list_namespaces(self, params: NoParams, caller: Caller) -> dict[str, object]:
        names = {name for name in await self._namespaces.names() if not name.startswith(OUR_PREFIX)}
        return {
            "namespaces": sorted(names | set(self._views)),
            "backups": await trio.to_thread.run_sync(self._list_backups),
        }

    def _list_backups(self) -> list[str]:
        return sorted(path.name for path in self._backups.glob("*") if path.is_file() and _BACKUP.fullmatch(path.name))

    async def get_item(self, params: WhichItem, caller: Caller) -> dict[str, object]:
        """A value, or a whole namespace when there is no key."""
        value = await self._value(params.namespace, params.key)
        return {"namespace": params.namespace, "key": params.key, "value": value}

    async def _value(self, namespace: str, key: object) -> object:
        _check_namespace(namespace)
        view = self._views.get(namespace)
        if key is None:
            items = await (view() if view else self._namespaces.items(namespace))
            if not items and not view:
                raise NotFound(f"Namespace {namespace:.200} not found")
            return items
        first, *rest = parse_key(key)
        value = (await view()).get(first, MISSING) if view else await self._namespaces.get(namespace, first, MISSING)
        found = MISSING if value is MISSING else look_up(value, tuple(rest))
        if found is MISSING:
            if not view and not await self._namespaces.items(namespace):
                raise NotFound(f"Namespace {namespace:.200} not found")
            raise NotFound(f"Key '{_shown(key):.200}' in namespace '{namespace}' not found")
        return found

    async def post_item(self, params: NewItem, caller: Caller) -> dict[str, object]:
        """Set a value; objects on the way to it are made."""
        namespace, key = params.item.namespace, params.item.key
        _check_namespace(namespace, writing=True)
        first, *rest = parse_key(key)

        def work(old: object) -> object:
            return set_at(MISSING if old is ABSENT else old, tuple(rest), params.value)

        await self._change(namespace, first, work)
        return {"namespace": namespace, "key": key, "value": params.value}

    async def delete_item(self, params: NamedItem, caller: Caller) -> dict[str, object]:
        """Remove a value and tell it; an object that has nothing else in it goes with it."""
        namespace, key = params.namespace, params.key
        _check_namespace(namespace, writing=True)
        first, *rest = parse_key(key)
        removed: list[object] = []

        def work(old: object) -> object:
            found = MISSING if old is ABSENT else look_up(old, tuple(rest))
            if found is MISSING:
                raise NotFound(f"Key '{_shown(key):.200}' in namespace '{namespace}' not found")
            removed.append(found)
            remaining = remove_at(old, tuple(rest))
            return ABSENT if remaining is MISSING or remaining == {} else remaining

        await self._change(namespace, first, work)
        return {"namespace": namespace, "key": key, "value": removed[0]}

    async def _change(self, namespace: str, key: str, work: Callable[[object], object]) -> None:
        await self._namespaces.change(namespace, key, work)
        if namespace in self._written:
            await self._written[namespace]()

    # the file

    async def compact(self, params: NoParams, caller: Caller) -> dict[str, object]:
        """Give unused space in the file back."""

        def work(connection: sqlite3.Connection) -> dict[str, object]:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what is new stands beside the file until then
            before = self._file.stat().st_size
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return {"previous_size": before, "new_size": self._file.stat().st_size}

        return await self._on_file(work)

    async def post_backup(self, params: NewBackup, caller: Caller) -> dict[str, object]:
        """Write a copy of the whole database beside the others; it takes the place of one of its name."""
        name = params.filename or f"trio_moon-backup-{time.strftime('%Y%m%d-%H%M%S')}.db"
        path = self._backups / _checked_backup(name)

        def work(connection: sqlite3.Connection) -> dict[str, object]:
            self._backups.mkdir(parents=True, exist_ok=True)
            unfinished = self._backups / ".unfinished"
            unfinished.unlink(missing_ok=True)
            create_private(unfinished, anew=True)
            try:
                connection.execute("VACUUM INTO ?", (str(unfinished),))
                unfinished.replace(path)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            return {"backup_path": str(path)}

        return await self._on_file(work)

    async def delete_backup(self, params: WhichBackup, caller: Caller) -> dict[str, object]:
        """Remove a copy."""
        filename = params.filename
        path = self._backups / _checked_backup(filename)
        if not await trio.to_thread.run_sync(os.path.isfile, path):
            raise NotFound(f"Backup file {filename} does not exist")
        try:
            await trio.to_thread.run_sync(path.unlink)
        except OSError as error:
            raise NoSpace(f"Backup file {filename} can't be deleted: {error.strerror}") from error
        return {"backup_path": str(path)}

    async def _on_file(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._database.read(work)
        except (sqlite3.OperationalError, OSError) as error:
            raise NoSpace(f"The database could not be written: {error}") from error


def _check_namespace(namespace: str, *, writing: bool = False) -> None:
    if not _NAMESPACE.fullmatch(namespace):
        raise BadParams(f"argument 'namespace': {namespace!r:.100} is no name")
    if namespace.startswith(OUR_PREFIX):
        raise Forbidden(f"Access to namespace '{namespace}' is forbidden")
    if writing and namespace in PROTECTED:
        raise Forbidden(f"Write access to namespace '{namespace}' is forbidden")


def _checked_backup(name: str) -> str:
    if not _BACKUP.fullmatch(name) or len(name.encode()) > LONGEST_NAME:
        raise BadParams(f"argument 'filename': {name!r:.100} is no plain file name")
    return name


def _shown(key: object) -> str:
    return ".".join(key) if isinstance(key, list) else str(key)
