"""Every difference is found, and named for what happened."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from threading import Event, Thread

from hypothesis import given
from hypothesis import strategies as st

from trio_moon.features.files.index import Change, Entry, Index
from trio_moon.features.files.places import Place


class Disk:
    """A make-believe disk: paths with their entries."""

    def __init__(self, **files: Entry) -> None:
        self.now: dict[Place, Entry] = {}

    def put(self, path: str, inode: int, *, folder: bool = False, version: int = 1) -> None:
        entry = Entry(True, (1, inode)) if folder else Entry(False, (1, inode), version, version)
        self.now[Place("gcodes", tuple(path.split("/")))] = entry

    def look(self, place: Place) -> Entry | None:
        return self.now.get(place)

    def walk(self, place: Place) -> Iterator[tuple[Place, Entry]]:
        depth = len(place.parts)
        for found, entry in self.now.items():
            if len(found.parts) > depth and found.parts[:depth] == place.parts:
                yield found, entry


def place(path: str) -> Place:
    return Place("gcodes", tuple(path.split("/")))


def reconciled(index: Index, disk: Disk, *touched: str) -> list[Change]:
    return index.reconcile(map(place, touched), disk.look, disk.walk)


def test_a_change_is_found_once() -> None:
    disk, index = Disk(), Index()
    disk.put("a.gcode", 1)
    assert reconciled(index, disk, "a.gcode") == [Change("create_file", place("a.gcode"))]
    assert reconciled(index, disk, "a.gcode") == []
    disk.put("a.gcode", 1, version=2)
    assert reconciled(index, disk, "a.gcode") == [Change("modify_file", place("a.gcode"))]
    disk.now.clear()
    assert reconciled(index, disk, "a.gcode") == [Change("delete_file", place("a.gcode"))]
    assert len(index) == 0


def test_the_same_file_under_another_name_was_moved() -> None:
    disk, index = Disk(), Index()
    disk.put("a", 1, folder=True)
    disk.put("a/x.gcode", 2)
    reconciled(index, disk, "a", "a/x.gcode")
    disk.now.clear()
    disk.put("b", 1, folder=True)
    disk.put("b/x.gcode", 2)
    assert reconciled(index, disk, "a", "b", "a/x.gcode", "b/x.gcode") == [Change("move_dir", place("b"), place("a"))]


def test_a_folder_that_took_the_place_of_a_file_is_both() -> None:
    disk, index = Disk(), Index()
    disk.put("a", 1)
    reconciled(index, disk, "a")
    disk.put("a", 2, folder=True)
    assert reconciled(index, disk, "a") == [Change("delete_file", place("a")), Change("create_dir", place("a"))]


def test_pictures_and_repositories_are_nobodys_news() -> None:
    disk, index = Disk(), Index()
    disk.put(".thumbs/x.png", 1)
    disk.put(".git/index", 2)
    assert reconciled(index, disk, ".thumbs/x.png", ".git/index") == []


def test_two_roots_may_be_looked_at_at_once() -> None:
    index = Index()
    files = [(Place("gcodes", ("a", f"{n}.gcode")), Entry(False, (1, n))) for n in range(2000)]
    index.fill("gcodes", files + [(Place("gcodes", (f"folder{n}",)), Entry(True, (2, n))) for n in range(100)])
    disk, ended = Disk(), Event()

    def others() -> None:
        look = itertools.cycle([Entry(False, (3, 1)), Entry(False, (3, 2)), None]).__next__
        while not ended.is_set():
            index.reconcile([Place("config", (f"{n}.cfg",)) for n in range(50)], lambda place: look(), disk.walk)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = Thread(target=others)
    thread.start()
    try:
        assert len(reconciled(index, disk, *(f"folder{n}" for n in range(100)))) == 100
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(interval)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a/c", "b/c", "a/c/d"]), st.integers(0, 3))))
def test_after_every_look_the_index_knows_what_is_there(steps: list[tuple[str, int]]) -> None:
    disk, index = Disk(), Index()
    for path, version in steps:
        here = place(path)
        for below in [p for p in disk.now if p.parts[: len(here.parts)] == here.parts]:
            del disk.now[below]
        if version:
            for depth in range(1, len(here.parts)):
                folder = Place("gcodes", here.parts[:depth])
                if folder in disk.now and not disk.now[folder].is_folder:
                    break
                disk.put(folder.path, hash(folder.path) % 1000, folder=True)
            else:
                disk.put(path, 1000 + version, folder=version == 3, version=version)
        index.reconcile([here], disk.look, disk.walk)
        assert set(index.places()) == set(disk.now)
        assert index.reconcile(disk.now, disk.look, disk.walk) == []
