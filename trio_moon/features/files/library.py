"""The roots as the rest of the house changes them: one change at a time in each root, protected, and told to all."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import trio

from trio_moon.features.files import listing
from trio_moon.features.files.changes import Changes
from trio_moon.features.files.index import UNWATCHED, Change, Entry, Index
from trio_moon.features.files.places import Place
from trio_moon.features.files.roots import Roots, is_within
from trio_moon.features.files.staging import Staging
from trio_moon.kit.threads import Workers
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import Forbidden, MoonError
from trio_moon.model.events import FileMoved
from trio_moon.model.job_state import is_at_work
from trio_moon.printer.mirror import PrinterMirror
from trio_moon.rpc.audience import Audience

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DISK_THREADS = 4


class Library:
    """Everything that changes a root comes through here."""

    def __init__(self, roots: Roots, mirror: PrinterMirror, audience: Audience) -> None:
        self.roots = roots
        self.staging = Staging(roots)
        self.changes = Changes(roots, self.staging)
        self.told: Topic[Change] = Topic()
        """Every change that clients were told of, for those who keep something about files."""
        self.moves: Topic[FileMoved] = Topic()
        """What was moved inside `gcodes`, whoever did it."""
        self._mirror = mirror
        self._audience = audience
        self._index = Index()
        self._locks = {root.name: trio.Lock() for root in roots}
        self._workers = Workers("files", DISK_THREADS)

    @property
    def waiting(self) -> int:
        """How many pieces of disk work wait for a thread."""
        return self._workers.waiting

    async def on_disk(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Do blocking work on the disk in a thread."""
        return await self._workers.run(work, *args)

    async def open(self, ready: Callable[[], None]) -> None:
        """Remove what a killed program left behind and look at everything once; changes wait for that, root by root.

        `ready` is called as soon as calls may come: a network share that is gone hangs, and must cost only its files.
        """
        self._index = Index()
        async with trio.open_nursery() as nursery:
            for root in self.roots:
                await nursery.start(self._open_root, root.name)
            ready()
            await self.on_disk(self.roots.look)

    async def _open_root(self, name: str, *, task_status: trio.TaskStatus[None]) -> None:
        async with self._locks[name]:
            task_status.started()
            await self.on_disk(self.staging.clean, name)
            self._index.fill(name, await self.on_disk(list, self._walk(Place(name))))

    def places(self) -> list[Place]:
        """Every file and folder that was there when we last looked."""
        return self._index.places()

    async def everything(self) -> list[Place]:
        """Every file and folder that is there now."""
        everything: list[Place] = []
        for root in self.roots:
            everything += [place for place, _ in await self.on_disk(list, self._walk(Place(root.name)))]
        return everything

    @asynccontextmanager
    async def changing(self, *places: Place) -> AsyncIterator[None]:
        """Be the only one who changes the roots of these places, none of which may be in use by the printer."""
        async with self.alone_in_roots_of(*places):
            await self.check_unused(*places)
            yield

    @asynccontextmanager
    async def alone_in_roots_of(self, *places: Place) -> AsyncIterator[None]:
        """Be the only one who changes these roots; what is in use has still to be checked."""
        async with AsyncExitStack() as stack:
            for name in sorted({self.roots.get(place.root).name for place in places}):
                await stack.enter_async_context(self._locks[name])
            yield

    async def check_unused(self, *places: Place) -> None:
        """Forbidden if one of the places is, or holds, the file being printed."""
        in_use = _file_in_use(self._mirror, self.roots.get("gcodes").path)
        if in_use is not None:
            for place in places:
                await self.on_disk(_check_not_in_use, self.roots, place, in_use)

    async def tell(self, change: Change) -> dict[str, object]:
        """Tell everybody of a change that was made inside `changing`; returns what they were told."""
        touched = [change.place] if change.source is None else [change.place, change.source]
        for found in await self.on_disk(self._index.reconcile, touched, self._look, self._walk):
            if found.place not in touched and found.source not in touched:
                await self._announce(found)  # somebody else's, which we came across
        return await self._announce(change)

    async def notice(self, touched: Iterable[Place]) -> list[Change]:
        """Tell everybody what others have changed at these places."""
        by_root: dict[str, list[Place]] = {}
        for place in touched:
            by_root.setdefault(place.root, []).append(place)
        changes: list[Change] = []
        async with AsyncExitStack() as stack:
            for name in sorted(by_root):
                await stack.enter_async_context(self._locks[name])
            everything = [place for places in by_root.values() for place in places]
            changes = await self.on_disk(self._index.reconcile, everything, self._look, self._walk)
            for change in changes:
                await self._announce(change)
        return changes

    async def _announce(self, change: Change) -> dict[str, object]:
        news: dict[str, object] = {
            "action": change.action,
            "item": await self.on_disk(listing.item, self.roots, change.place),
        }
        if change.source is not None:
            news["source_item"] = {"path": change.source.path, "root": change.source.root}
        self._audience.announce_after_answer("notify_filelist_changed", news)
        self.told.publish(change)
        if change.source is not None and change.source.root == change.place.root == "gcodes":
            self.moves.publish(FileMoved(change.source.path, change.place.path))
        return news

    def _look(self, place: Place) -> Entry | None:
        try:
            found = listing.find(self.roots, place)
        except MoonError:
            return None
        return _entry(found) if found.is_file or found.is_folder else None

    def _walk(self, place: Place) -> Iterable[tuple[Place, Entry]]:
        try:
            for found in listing.walk(self.roots, place, enter=lambda folder: folder.name not in UNWATCHED):
                yield found.place, _entry(found)
        except MoonError:
            return  # the folder has just gone: the next look will tell


def _entry(found: listing.Found) -> Entry:
    inode = (found.status.st_dev, found.status.st_ino)
    if found.is_folder:
        return Entry(True, inode)
    return Entry(False, inode, found.status.st_size, found.status.st_mtime_ns)


def _file_in_use(mirror: PrinterMirror, gcodes: Path) -> str | None:
    """The real path of the file being printed, None while the printer is idle."""
    if not is_at_work(mirror.get("print_stats")):
        return None
    path = mirror.get("virtual_sdcard").get("file_path")
    if not isinstance(path, str) or not path:
        name = mirror.get("print_stats").get("filename")
        if not isinstance(name, str) or not name:
            return None
        path = os.path.join(gcodes, name)
    return os.path.realpath(path)


def _check_not_in_use(roots: Roots, place: Place, in_use: str | None) -> None:
    """Forbidden if `place` is the file being printed, or a folder above it. Blocks."""
    if in_use is not None and is_within(in_use, roots.resolve(place)):
        raise Forbidden(f"'{place}' is being printed")
