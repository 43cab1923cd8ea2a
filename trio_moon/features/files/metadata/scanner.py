"""Keeps metadata what the files are: scans what is new, when asked or in the background, and tells everybody."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping

import trio

from trio_moon.features.files import listing
from trio_moon.features.files.index import Change
from trio_moon.features.files.library import Library
from trio_moon.features.files.metadata.cache import Kept, MetadataCache
from trio_moon.features.files.metadata.extract import Metadata, extract_metadata
from trio_moon.features.files.metadata.objects import ObjectProcessing
from trio_moon.features.files.metadata.pictures import drop_pictures
from trio_moon.features.files.places import Place
from trio_moon.features.files.roots import Roots
from trio_moon.kit.threads import Workers
from trio_moon.model.errors import MoonError, NoSpace, NotFound
from trio_moon.rpc.audience import Audience

logger = logging.getLogger(__name__)

SCANNABLE = tuple(suffix for suffix in listing.GCODE_SUFFIXES if suffix != ".ufp")


class MetadataScanner:
    """Answers for the metadata of every G-code file."""

    def __init__(
        self,
        library: Library,
        cache: MetadataCache,
        audience: Audience,
        objects: ObjectProcessing | None = None,
    ) -> None:
        """With `objects`, marks of objects are made Klipper's before a file is read."""
        self._library = library
        self._cache = cache
        self._audience = audience
        self._objects = objects
        self._workers = Workers("metadata")
        self._wanted: dict[Place, None] = {}
        self._some = trio.Event()
        self._scanning: dict[Place, trio.Event] = {}
        self._behind: Callable[[], bool] = lambda: False
        self._followed = trio.Event()

    def vitals(self) -> Mapping[str, object]:
        return {"waiting": len(self._wanted)}

    async def get(self, gcode: Place) -> Kept:
        """The metadata of a file as it is now, scanned if need be; NotFound if there is no such file."""
        while self._behind():  # it may just have been moved, with all that is known of it
            await self._followed.wait()
        while True:
            kept = await self._cache.get(gcode.path)
            found = await self._library.on_disk(listing.find, self._library.roots, gcode)
            if not found.is_file:
                raise NotFound(f"'{gcode}' is no file")
            if kept is not None and _is_of(kept, found.status):
                return kept
            running = self._scanning.get(gcode)
            if running is None:
                return await self.scan(gcode)
            await running.wait()

    async def in_folder(self, folder: Place) -> dict[str, Kept]:
        """What is known of the files in a folder of `gcodes`, by path; nothing is scanned."""
        return await self._cache.in_folder(folder.path) if folder.root == "gcodes" else {}

    async def scan(self, gcode: Place) -> Kept:
        """Read a file anew and tell everybody. Who asks for a file that is being read waits for the next reading."""
        if not is_scannable(gcode):
            raise NotFound(f"there is no metadata of '{gcode}'")
        while (running := self._scanning.get(gcode)) is not None:
            await running.wait()
        done = self._scanning[gcode] = trio.Event()
        try:
            if self._objects is not None:
                await self._objects.process(gcode)
            before = await self._cache.get(gcode.path)
            found, modified_ns = await self._workers.run(extract_metadata, self._library.roots, gcode)
            kept = await self._keep(gcode, found, modified_ns)
            if not await self._library.on_disk(_is_there, self._library.roots, gcode):
                await self._forget(gcode)  # it went while it was read: who followed that had nothing to forget yet
                await self._drop_all_pictures(kept)
                raise NotFound(f"'{gcode}' does not exist any more")
            if before is not None:
                stale = _names(before) - _names(kept)
                await self._workers.run(drop_pictures, self._library.roots, gcode, stale)
        finally:
            del self._scanning[gcode]
            done.set()
        self._audience.announce("notify_metadata_update", kept.as_wire())
        return kept

    async def _keep(self, gcode: Place, found: Metadata, modified_ns: int) -> Kept:
        try:
            return await self._cache.put(gcode.path, found, modified_ns)
        except NoSpace:  # read each time, but told
            return Kept(gcode.path, 0, modified_ns, found, None, None)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the library: scan what is new, forget what has gone."""
        while True:
            with self._library.told.subscribe() as changes:
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                await self._catch_up()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._scan_wanted)
                    await self._follow_all(changes)
                    nursery.cancel_scope.cancel()

    async def _follow_all(self, changes: trio.MemoryReceiveChannel[Change]) -> None:
        self._behind = lambda: changes.statistics().tasks_waiting_receive == 0
        try:
            async for change in changes:
                await self._follow(change)
                self._tell_followed()
        finally:
            self._behind = lambda: False
            self._tell_followed()

    def _tell_followed(self) -> None:
        self._followed.set()
        self._followed = trio.Event()

    async def _catch_up(self) -> None:
        """Compare what is known with what is there: files change while we aren't running."""
        known = await self._cache.states()
        try:
            there = await self._library.on_disk(list, listing.walk(self._library.roots, Place("gcodes")))
        except MoonError as error:  # a stick that isn't plugged in: what is known of its files stays
            logger.warning("the G-code files can't be looked at: %s", error.message)
            return
        for found in there:
            if found.is_file and is_scannable(found.place):
                state = (found.status.st_size, found.status.st_mtime_ns)
                if known.pop(found.place.path, None) != state:
                    self._want(found.place)
        for path in known:
            await self._forget(Place("gcodes", tuple(path.split("/"))))

    async def _follow(self, change: Change) -> None:
        if change.action in ("delete_file", "delete_dir"):
            await self._forget(change.place)
        elif change.source is not None:
            await self._move(change.source, change.place)
        if change.action in ("create_file", "modify_file", "move_file"):
            self._want(change.place)
        elif change.action in ("create_dir", "move_dir"):
            await self._want_all(change.place)

    async def _forget(self, place: Place) -> None:
        if place.root == "gcodes":
            kept = await self._cache.forget(place.path)
            if kept is not None:  # in a folder that has gone there are no pictures either
                await self._drop_all_pictures(kept)

    async def _move(self, source: Place, dest: Place) -> None:
        if source.root != "gcodes":
            return
        if dest.root != "gcodes":
            await self._forget(source)
            return
        before = await self._cache.get(source.path)
        await self._cache.move(source.path, dest.path)
        if before is not None:  # a single file: its pictures are named after it, and stand in its old folder
            await self._drop_all_pictures(before)

    async def _drop_all_pictures(self, kept: Kept) -> None:
        place = Place("gcodes", tuple(kept.path.split("/")))
        await self._workers.run(drop_pictures, self._library.roots, place, _names(kept))

    async def _want_all(self, folder: Place) -> None:
        try:
            inside = await self._library.on_disk(list, listing.walk(self._library.roots, folder))
        except MoonError:
            return
        known = await self._cache.states()
        for found in inside:
            state = (found.status.st_size, found.status.st_mtime_ns)
            if found.is_file and known.get(found.place.path) != state:
                self._want(found.place)

    def _want(self, place: Place) -> None:
        if is_scannable(place):
            self._wanted.setdefault(place)
            self._some.set()

    async def _scan_wanted(self) -> None:
        while True:
            await self._some.wait()
            self._some = trio.Event()
            while self._wanted:
                place = next(iter(self._wanted))
                del self._wanted[place]
                began = trio.current_time()
                try:
                    await self.get(place)
                except MoonError as error:
                    logger.info("no metadata of %s: %s", place, error.message)
                except Exception:  # our own mistake: it would come again with each restart, and cost all other files
                    logger.exception("the metadata of %s can't be read", place)
                if self._wanted:  # a whole collection: leave half of the processor to others
                    await trio.sleep(trio.current_time() - began)


def is_scannable(place: Place) -> bool:
    """Whether a file is read for metadata."""
    return place.root == "gcodes" and place.name.lower().endswith(SCANNABLE)


def _is_there(roots: Roots, gcode: Place) -> bool:
    try:
        return listing.find(roots, gcode).is_file
    except MoonError:
        return False


def _is_of(kept: Kept, status: os.stat_result) -> bool:
    return (kept.size, kept.modified_ns) == (status.st_size, status.st_mtime_ns)


def _names(kept: Kept) -> set[str]:
    return {str(thumbnail.get("relative_path")) for thumbnail in kept.thumbnails()}
