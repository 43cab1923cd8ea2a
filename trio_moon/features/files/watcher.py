"""Notices what others do in the roots: an SD card copied over SSH, an editor, a slicer with a network share."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from trio_moon.features.files.library import Library
from trio_moon.features.files.places import STAGING, Place

if TYPE_CHECKING:
    import watchfiles

logger = logging.getLogger(__name__)

GATHER_MS = 1000
"""What happens together is told together, unless it goes on for longer than this."""
STEP_MS = 200
"""How often the watching thread looks up: what a change waits at most, and what an idle printer pays for."""
SETTLED_AFTER = 0.5
"""Seconds without a change after which a file counts as written; one that grows is told of when it is whole."""
LONGEST_UNSETTLED = 30.0
STARTS_WITHIN = 2.0
"""Seconds until we are told of changes for sure."""
LOOK_EVERY = 15.0
"""Seconds between looks when the kernel can't tell us of changes."""


class Watcher:
    """Tells the library of whatever changed; it is the library that knows whether that is news."""

    def __init__(self, library: Library, *, enabled: bool = True) -> None:
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
        if not self._enabled:
            await trio.sleep_forever()
        bases = await self._library.on_disk(self._bases)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_telling)
            nursery.start_soon(self._look_once)
            try:
                await self._listen(bases)
            except* OSError as errors:
                reason = errors.exceptions[0]
                logger.warning("changes of files can't be watched (%s): looking every %g s", reason, LOOK_EVERY)
            await self._keep_looking()

    def _bases(self) -> list[tuple[str, str]]:
        """What clients may change is what they want news of; of a growing log there would be no end."""
        roots = (root for root in self._library.roots if root.writable and root.path.is_dir())
        return [(os.path.realpath(root.path), root.name) for root in roots]

    async def _listen(self, bases: list[tuple[str, str]]) -> None:
        self._how = "events"
        stop = threading.Event()
        here = partial(trio.to_thread.run_sync, limiter=trio.CapacityLimiter(1))  # this thread is ours for good
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_set_when_cancelled, stop)  # the watching thread ends by this alone
            batches = await here(_watch, [path for path, _ in bases], stop)
            while (batch := await here(next, batches, None)) is not None:
                self._touch(place for _, path in batch for place in _places(path, bases))

    async def _keep_looking(self) -> None:
        self._how = "polling"
        while True:
            await trio.sleep(LOOK_EVERY)
            await self._look()

    async def _look_once(self) -> None:
        """Find what changed between the first look and the moment from which we are told of changes."""
        await trio.sleep(STARTS_WITHIN)
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


def _watch(paths: list[str], stop: threading.Event) -> Iterator[set[tuple[watchfiles.Change, str]]]:
    import watchfiles  # in its thread: whoever watches nothing needs no memory for it, and nobody waits for it

    return watchfiles.watch(  # its `awatch` does the same, with anyio between us and the thread (2 MB)
        *paths, watch_filter=None, debounce=GATHER_MS, step=STEP_MS, stop_event=stop, rust_timeout=60_000
    )


async def _set_when_cancelled(event: threading.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        event.set()


def _places(path: str, bases: list[tuple[str, str]]) -> Iterable[Place]:
    """The place that a path on disk has in each root (a root may lie inside another)."""
    for base, root in bases:
        if path.startswith(base + "/"):
            parts = Path(path[len(base) + 1 :]).parts
            if not any(part.endswith(STAGING) for part in parts):
                yield Place(root, parts)
