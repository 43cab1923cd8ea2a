"""The kernel tells what happened to the entries of a folder, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio

from trio_moon.kit.inotify import CREATED, DELETED, FORGOTTEN, MOVED_FROM, MOVED_TO, WRITTEN, Inotify


@pytest.fixture
def kernel() -> Iterator[Inotify]:
    with closing(Inotify()) as inotify:
        yield inotify


async def test_what_happens_is_told_by_name(kernel: Inotify, tmp_path: Path) -> None:
    watch = kernel.add(str(tmp_path))
    with (tmp_path / "ä b.gcode").open("w") as file:
        file.write("G28\n" * 10_000)
        file.flush()
        with trio.fail_after(10):
            await kernel.wait()
        assert [(event.flags, event.name) for event in kernel.read()] == [(CREATED, "ä b.gcode".encode())]
    (tmp_path / "ä b.gcode").rename(tmp_path / "c")
    (tmp_path / "c").unlink()
    told = kernel.read()
    assert [event.flags for event in told] == [WRITTEN, MOVED_FROM, MOVED_TO, DELETED]
    assert {event.watch for event in told} == {watch}
    assert kernel.read() == []


async def test_more_than_one_read_holds_is_told(kernel: Inotify, tmp_path: Path) -> None:
    kernel.add(str(tmp_path))
    for number in range(1000):
        (tmp_path / f"{number:0200}").touch()
    created = [event.name for event in kernel.read() if event.flags == CREATED]
    assert created == [b"%0200d" % number for number in range(1000)]


def test_a_folder_that_is_no_longer_watched_is_silent(kernel: Inotify, tmp_path: Path) -> None:
    watch = kernel.add(str(tmp_path))
    kernel.remove(watch)
    kernel.remove(watch)
    (tmp_path / "a").touch()
    assert [event.flags for event in kernel.read()] == [FORGOTTEN]


def test_what_is_no_folder_can_not_be_watched(kernel: Inotify, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        kernel.add(str(tmp_path / "file"))
    with pytest.raises(FileNotFoundError):
        kernel.add(str(tmp_path / "nothing"))
