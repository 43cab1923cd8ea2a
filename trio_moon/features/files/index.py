"""What the roots held when we last looked: so that every change is told once, whoever made it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from msgspec import Struct

from trio_moon.features.files.places import PICTURES, Place

UNWATCHED = (PICTURES, ".git")
"""Folders whose changes are told to nobody."""


class Entry(Struct, frozen=True):
    """One file or folder: enough to see that it changed, or that it is the same one under another name."""

    is_folder: bool
    inode: tuple[int, int]
    size_bytes: int = 0
    modified_ns: int = 0

    def replaces(self, other: Entry) -> bool:
        """Whether one thing took the place of another, so that what was below it is gone."""
        return self.is_folder != other.is_folder or (self.is_folder and self.inode != other.inode)


class Change(Struct, frozen=True):
    """One thing that happened, by the API's name for it (`create_file` …)."""

    action: str
    place: Place
    source: Place | None = None


Look = Callable[[Place], Entry | None]
"""What is on disk at a place now."""
Walk = Callable[[Place], Iterable[tuple[Place, Entry]]]
"""Everything below a folder on disk."""


class Index:
    """The files and folders that everybody has been told of.

    Several threads may look at different roots at once: what is known of each is kept apart.
    """

    def __init__(self) -> None:
        self._known: defaultdict[str, dict[Place, Entry]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self.places())

    def places(self) -> list[Place]:
        """All of them, in no order."""
        return [place for known in tuple(self._known.values()) for place in tuple(known)]

    def fill(self, root: str, found: Iterable[tuple[Place, Entry]]) -> None:
        """Take over what is in a root at the start; nobody needs to be told."""
        self._known[root].update(found)

    def reconcile(self, touched: Iterable[Place], look: Look, walk: Walk) -> list[Change]:
        """Look at what was touched and tell what is different, with one change for a whole folder."""
        born: dict[Place, Entry] = {}
        gone: dict[Place, Entry] = {}
        changed: list[Change] = []
        for place in sorted(_with_parents(touched), key=lambda place: len(place.parts)):
            known = self._known[place.root]
            was, now = known.get(place), look(place)
            if was == now:
                continue
            if was is not None and now is not None and not now.replaces(was):
                known[place] = now
                if not now.is_folder:
                    changed.append(Change("modify_file", place))
                continue
            if was is not None:
                self._forget(place, was)
                gone[place] = was
            if now is not None:
                born[place] = now
                known[place] = now
                if now.is_folder:
                    known.update(walk(place))
        return [*_moves(born, gone), *_rest("delete", gone), *_rest("create", born), *changed]

    def _forget(self, place: Place, was: Entry) -> None:
        known = self._known[place.root]
        if not was.is_folder:
            del known[place]
            return
        depth = len(place.parts)
        for below in [other for other in known if other.parts[:depth] == place.parts]:
            del known[below]


def _with_parents(touched: Iterable[Place]) -> set[Place]:
    """The touched places and the folders above them, without those that nobody watches."""
    wanted: set[Place] = set()
    for place in touched:
        if not any(part in UNWATCHED for part in place.parts):
            wanted.update(Place(place.root, place.parts[:depth]) for depth in range(1, len(place.parts) + 1))
    return wanted


def _moves(born: dict[Place, Entry], gone: dict[Place, Entry]) -> list[Change]:
    """Pair what vanished with the same thing elsewhere; paired ones leave `born` and `gone`."""
    moves = []
    left = {entry: place for place, entry in gone.items()}
    for place, entry in list(born.items()):
        source = left.pop(entry, None)
        if source is not None:
            del born[place], gone[source]
            moves.append(Change("move_dir" if entry.is_folder else "move_file", place, source))
    return moves


def _rest(verb: str, entries: dict[Place, Entry]) -> list[Change]:
    return [Change(f"{verb}_{'dir' if entry.is_folder else 'file'}", place) for place, entry in entries.items()]
