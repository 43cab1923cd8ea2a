"""The files room's calls: what clients may ask of the roots."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import trio

from trio_moon.features.files import listing
from trio_moon.features.files.changes import Prepared, archive_name
from trio_moon.features.files.content_types import content_type
from trio_moon.features.files.index import Change
from trio_moon.features.files.library import Library
from trio_moon.features.files.metadata.scanner import MetadataScanner
from trio_moon.features.files.parameters import (
    Archive,
    FolderDeletion,
    FolderRequest,
    GcodeFile,
    SomePath,
    Transfer,
    WholeRoot,
)
from trio_moon.features.files.places import Place, parse_place, place_in
from trio_moon.model.errors import BadParams, Forbidden, NamesNothing, NotFound, Unauthorized
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.replies import Download


def _blame_the_argument(handler: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    """What a call's path doesn't lead to is the caller's mistake: a user who clicked on it shall be told."""

    @wraps(handler)
    async def checked(self: FileCalls, params: Any, caller: Caller) -> object:
        try:
            return await handler(self, params, caller)
        except NotFound as error:
            raise NamesNothing(error.message) from error

    return checked


class FileCalls:
    """Lists, moves, copies, packs, deletes and hands out files."""

    def __init__(self, library: Library, metadata: MetadataScanner, klippers_log: Callable[[], object]) -> None:
        """`klippers_log` is where Klipper says that its log is."""
        self._klippers_log = klippers_log
        self._library = library
        self._metadata = metadata
        self._roots = library.roots
        self._changes = library.changes

    @_blame_the_argument
    async def list_files(self, params: WholeRoot, caller: Caller) -> object:
        return await self._library.on_disk(listing.list_files, self._roots, params.root)

    async def roots(self, params: NoParams, caller: Caller) -> object:
        present = await self._library.on_disk(self._roots.look)
        return [
            {"name": root.name, "path": str(root.path), "permissions": "rw" if root.writable else "r"}
            for root in self._roots
            if root.name in present
        ]

    @_blame_the_argument
    async def get_directory(self, params: FolderRequest, caller: Caller) -> object:
        place = parse_place(params.path)
        listed = await self._library.on_disk(listing.list_folder, self._roots, place)
        answer: dict[str, object] = {**listed}
        answer["disk_usage"] = await self._library.on_disk(listing.disk_usage, self._roots, place)
        if params.extended:
            await self._add_metadata(place, listed["files"])
        writable = self._roots.get(place.root).writable
        answer["root_info"] = {"name": place.root, "permissions": "rw" if writable else "r"}
        return answer

    async def _add_metadata(self, folder: Place, files: list[dict[str, object]]) -> None:
        known = await self._metadata.in_folder(folder)
        for file in files:
            kept = known.get((folder / str(file["filename"])).path)
            if kept is not None and kept.size == file["size"]:
                file.update({**kept.as_wire(), **file})

    async def metadata(self, params: GcodeFile, caller: Caller) -> object:
        return (await self._metadata.get(place_in("gcodes", params.filename))).as_wire()

    async def metascan(self, params: GcodeFile, caller: Caller) -> object:
        return (await self._metadata.scan(place_in("gcodes", params.filename))).as_wire()

    async def thumbnails(self, params: GcodeFile, caller: Caller) -> object:
        gcode = place_in("gcodes", params.filename)
        try:
            kept = await self._metadata.get(gcode)
        except NotFound:
            return []  # as Moonraker: nothing that could have pictures is there
        folder = "".join(f"{part}/" for part in gcode.parent.parts)
        return [
            {
                **{key: thumbnail[key] for key in ("width", "height", "size")},
                "thumbnail_path": f"{folder}{thumbnail['relative_path']}",
            }
            for thumbnail in kept.thumbnails()
        ]

    @_blame_the_argument
    async def post_directory(self, params: SomePath, caller: Caller) -> object:
        place = parse_place(params.path)
        async with self._library.changing(place):
            await self._library.on_disk(self._changes.make_folder, place)
            return await self._library.tell(Change("create_dir", place))

    @_blame_the_argument
    async def delete_directory(self, params: FolderDeletion, caller: Caller) -> object:
        place = parse_place(params.path)
        async with self._library.changing(place):
            await self._library.on_disk(lambda: self._changes.delete_folder(place, force=params.force))
            return await self._library.tell(Change("delete_dir", place))

    @_blame_the_argument
    async def delete_file(self, params: SomePath, caller: Caller) -> object:
        place = parse_place(params.path)
        async with self._library.changing(place):
            await self._library.on_disk(self._changes.delete_file, place)
            return await self._library.tell(Change("delete_file", place))

    @_blame_the_argument
    async def move(self, params: Transfer, caller: Caller) -> object:
        source, dest = parse_place(params.source), parse_place(params.dest)
        async with self._library.alone_in_roots_of(source, dest):
            dest = await self._library.on_disk(self._changes.goal_of_move, source, dest)
            await self._library.check_unused(source, dest)  # not of the folder that it goes into
            found = await self._library.on_disk(listing.find, self._roots, source)
            if not await self._library.on_disk(self._changes.move, source, dest):
                await self._library.on_disk(self._move_to_other_disk, source, dest)
            return await self._library.tell(Change("move_dir" if found.is_folder else "move_file", dest, source))

    def _move_to_other_disk(self, source: Place, dest: Place) -> None:
        prepared = self._changes.prepare_copy(source, dest)
        try:
            self._changes.publish(prepared)
        finally:
            self._changes.discard(prepared)
        if prepared.is_folder:
            self._changes.delete_folder(source, force=True)
        else:
            self._changes.delete_file(source)

    @_blame_the_argument
    async def copy(self, params: Transfer, caller: Caller) -> object:
        source, dest = parse_place(params.source), parse_place(params.dest)
        dest = await self._library.on_disk(self._changes.goal, source, dest)
        prepared = await self._library.on_disk(self._changes.prepare_copy, source, dest)
        async with self._in_place(prepared, dest) as replaced:
            action = "create_dir" if prepared.is_folder else "modify_file" if replaced else "create_file"
            return await self._library.tell(Change(action, dest))

    @asynccontextmanager
    async def _in_place(self, prepared: Prepared, dest: Place) -> AsyncIterator[bool]:
        """Inside, what was prepared stands in its place, and nothing of the preparation is left.

        So nothing has to be waited for behind the news, and the answer to the call comes first.
        """
        staged = True
        try:
            async with self._library.changing(dest):
                replaced = await self._library.on_disk(self._changes.publish, prepared)
                staged = False
                await self._discard(prepared)
                yield replaced
        finally:
            if staged:
                await self._discard(prepared)

    async def _discard(self, prepared: Prepared) -> None:
        with trio.CancelScope(shield=True):  # a disk is slow, but it ends
            await self._library.on_disk(self._changes.discard, prepared)

    @_blame_the_argument
    async def zip(self, params: Archive, caller: Caller) -> object:
        items = [parse_place(path) for path in params.listed()]
        if not items:
            raise BadParams("argument 'items' is empty: nothing to pack")
        dest = parse_place(params.dest) if params.dest else archive_name()
        prepared = await self._library.on_disk(
            lambda: self._changes.prepare_zip(items, dest, compress=not params.store_only)
        )
        async with self._in_place(prepared, dest):
            told = await self._library.tell(Change("create_file", dest))
            return {"destination": told["item"], "action": "zip_files"}

    async def download(self, params: SomePath, caller: Caller) -> Download:
        """A file; the pictures of G-code are everybody's, as a page's `<img>` shows no credentials."""
        place = parse_place(params.path)
        if not (caller.authorized or place.is_picture):
            raise Unauthorized
        return await self._library.on_disk(self._download, place)

    async def klippy_log(self, params: NoParams, caller: Caller) -> Download:
        """Klipper's log, wherever Klipper writes it: frontends offer it when Klipper has failed."""
        try:
            return await self._library.on_disk(self._download, Place("logs", ("klippy.log",)))
        except (NotFound, Forbidden):
            told = self._klippers_log()
            if isinstance(told, str) and await self._library.on_disk(os.path.isfile, told):
                return Download(Path(told), "klippy.log", *content_type(told))
            raise

    async def own_log(self, params: NoParams, caller: Caller) -> Download:
        """`moonraker.log`, where frontends look for the server's own log, whatever it is called here."""
        for name in ("moonraker.log", "trio_moon.log"):
            try:
                return await self._library.on_disk(self._download, Place("logs", (name,)))
            except NotFound:
                continue
        raise NotFound("no log is written to a file: look at the journal of the service")

    def _download(self, place: Place) -> Download:
        found = listing.find(self._roots, place)
        if not found.is_file:
            raise NotFound(f"'{place}' is no file")
        kind, attachment = content_type(place.name)
        return Download(Path(found.real), place.name, kind, attachment)
