"""Notices what others do in the roots: an SD card copied over SSH, an editor, a slicer with a network share."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import closing

import trio

from trio_moon.features.files.folder_watch import FolderWatch
from trio_moon.features.files.library import Library
from trio_moon.features.files.places import Place
from trio_moon.kit.inotify import Inotify
from trio_moon.kit.periodic import next_beat

logger = logging.getLogger(__name__)

GATHER = 0.5
"""Seconds: what happens together is told together."""
SETTLED_AFTER = 0.5
"""Seconds without a change after which a file counts as written; one that grows is told of when it is whole."""
LONGEST_UNSETTLED = 30.0
LOOK_EVERY = 15.0
"""Seconds between looks when the kernel can't tell us of changes."""


class Watcher:
    """Tells the library of whatever changed; it is the library that knows whether that is news."""

    def __init__(self, library: Library, *, enabled: bool) -> None:
        self._library = library
        self._enabled = enabled
        self._touched: dict[Place, float] = {}
        self._some = trio.Event()
        self._how = "off"

    def vitals(self) -> Mapping[str, object]:
        return {"watching": self._how, "unsettled": len(self._touched), "queue": self._library.waiting}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look once, then tell of every change."""
        await self._library.open(task_status.started)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_looking_at_roots)
            if not self._enabled:
                await trio.sleep_forever()
            nursery.start_soon(self._keep_telling)
            try:
                with closing(Inotify()) as kernel:
                    await self._listen(kernel)
            except OSError as error:
                logger.warning("changes of files can't be watched (%s): looking every %g s", error, LOOK_EVERY)
            await self._keep_looking()

    async def _keep_looking_at_roots(self) -> None:
        while True:
            await next_beat(LOOK_EVERY)
            await self._library.on_disk(self._library.roots.look)

    async def _listen(self, kernel: Inotify) -> None:
        folders = FolderWatch(self._library.roots, kernel)
        on_disk = self._library.on_disk
        await on_disk(folders.add_roots)
        self._how = "events"
        await self._look()  # what changed before we were told of changes
        while True:
            with trio.move_on_after(LOOK_EVERY):  # then we see whether the roots are still the same folders
                await kernel.wait()
                await trio.sleep(GATHER)
            touched = await on_disk(folders.changed)
            if touched is None:
                await on_disk(folders.add_roots)
                await self._look()
            else:
                self._touch(touched)

    async def _keep_looking(self) -> None:
        self._how = "polling"
        while True:
            await trio.sleep(LOOK_EVERY)
            await self._look()

    async def _look(self) -> None:
        bases = {root.name for root in self._library.roots if root.writable}
        there = [*self._library.places(), *await self._library.everything()]
        self._touch(place for place in there if place.root in bases)

    def _touch(self, places: Iterable[Place]) -> None:
        now = time.monotonic()
        for place in places:
            self._touched.setdefault(place, now)
        self._some.set()

    async def _keep_telling(self) -> None:
        while True:
            await self._some.wait()
            self._some = trio.Event()
            touched, self._touched = self._touched, {}
            hot = await self._library.on_disk(self._unsettled, touched)
            await self._library.notice(place for place in touched if place not in hot)
            if hot:
                await trio.sleep(SETTLED_AFTER)
                self._touched = {**self._touched, **hot}
                self._some.set()

    def _unsettled(self, touched: Mapping[Place, float]) -> dict[Place, float]:
        """The files that somebody seems to be writing at this moment, with when we first saw it."""
        hot = {}
        for place, since in touched.items():
            path = self._library.roots.get(place.root).path.joinpath(*place.parts)
            try:
                status = os.lstat(path)
            except OSError:
                continue
            writing = 0 <= time.time() - status.st_mtime < SETTLED_AFTER and not path.is_dir()
            if writing and time.monotonic() - since < LONGEST_UNSETTLED:
                hot[place] = since
        return hot
