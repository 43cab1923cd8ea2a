"""The folders whose changes the kernel tells us of: the roots that clients may change, and all that is below them."""

from __future__ import annotations

from pathlib import Path

from trio_moon.features.files import listing
from trio_moon.features.files.index import UNWATCHED
from trio_moon.features.files.places import Place
from trio_moon.features.files.roots import Roots
from trio_moon.kit.inotify import CREATED, DELETED, FORGOTTEN, MOVED_FROM, MOVED_TO, OVERFLOWED, Event, Inotify
from trio_moon.model.errors import MoonError


class FolderWatch:
    """Follows folders as they come and go. Whatever touches the disk here may block: call it in a worker thread."""

    def __init__(self, roots: Roots, kernel: Inotify) -> None:
        self._roots = roots
        self._kernel = kernel
        self._watched: dict[int, set[Place]] = {}
        """By the kernel's number: one folder may be seen at several places, by links or by roots within roots."""
        self._root_inodes: dict[str, tuple[int, int] | None] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def add_roots(self) -> None:
        """Watch everything; again, after the kernel couldn't tell us all. OSError where the kernel allows no more."""
        before, self._root_inodes = self._root_inodes, self._inodes()
        for name, inode in self._root_inodes.items():
            if before.get(name) != inode:
                self._forget(Place(name))
            if inode is not None:
                self._add(Place(name))

    def _inodes(self) -> dict[str, tuple[int, int] | None]:
        """Which folders the roots are at present: what clients may change, for of a growing log there is no end."""
        return {root.name: _inode(root.path) for root in self._roots if root.writable}

    def changed(self) -> set[Place] | None:
        """The places that something happened to; None if the kernel can't tell.

        That is so when it was too much, and of a disk that was mounted at a root, or taken away from there.
        """
        events = self._kernel.read()
        if any(event.flags & OVERFLOWED for event in events) or self._inodes() != self._root_inodes:
            return None
        touched: set[Place] = set()
        for event in events:
            if event.flags & FORGOTTEN:
                self._watched.pop(event.watch, None)
            elif event.name:
                touched |= self._follow(event)
        return touched

    def _follow(self, event: Event) -> set[Place]:
        try:
            name = event.name.decode()
        except UnicodeDecodeError:
            return set()  # no client can name it
        if listing.is_hidden(name) or name in UNWATCHED:
            return set()
        touched = {folder / name for folder in self._watched.get(event.watch, ())}
        for place in tuple(touched):
            if event.flags & (MOVED_FROM | DELETED):
                self._forget(place)
            elif event.flags & (MOVED_TO | CREATED):
                touched |= self._add(place)
        return touched

    def _add(self, place: Place) -> set[Place]:
        """Watch a folder and all that are below it; returns what is in them: it may have come before we watched."""
        found = set()
        try:
            above = listing.find(self._roots, place)
            if above.is_folder:
                self._watch(above)
                for below in listing.walk(self._roots, place, enter=lambda folder: folder.name not in UNWATCHED):
                    if below.is_folder and below.place.name not in UNWATCHED:
                        self._watch(below)
                    found.add(below.place)
        except MoonError:
            pass  # it has just gone, or links lead out of the root
        return found

    def _watch(self, folder: listing.Found) -> None:
        try:
            watch = self._kernel.add(folder.real)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        self._watched.setdefault(watch, set()).add(folder.place)

    def _forget(self, gone: Place) -> None:
        """Nothing is at or below a place any more: moved away, its folders would go on telling."""
        depth = len(gone.parts)
        for watch, places in tuple(self._watched.items()):
            left = {place for place in places if place.root != gone.root or place.parts[:depth] != gone.parts}
            if left != places:
                self._watched[watch] = left
            if not left:
                del self._watched[watch]
                self._kernel.remove(watch)


def _inode(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
