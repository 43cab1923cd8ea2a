"""What others do in the roots is told once; what we do ourselves is not told twice."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.features.files.world import World
from tests.until import until
from trio_moon.features.files import watcher
from trio_moon.kit.inotify import OVERFLOWED, Event, Inotify


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "printer_data/gcodes/old").mkdir(parents=True)
    (tmp_path / "printer_data/gcodes/old/x.gcode").write_text("G28")
    async with World.open(tmp_path, watch=True) as world:
        with trio.fail_after(30):  # until the kernel tells us of a first change
            while not world.told():
                world.write("config/awake.txt", str(trio.current_time()))
                await trio.sleep(1.5)
        await settle(world)
        world.ear.heard.clear()
        yield world


async def settle(world: World) -> None:
    """Until nothing new has been told for a while."""
    told = -1
    while told != len(world.ear.heard):
        told = len(world.ear.heard)
        await trio.sleep(1.5)


async def told_of(world: World, wanted: Callable[[list[tuple[str, str]]], bool]) -> list[tuple[str, str]]:
    await until(lambda: wanted(world.actions()))
    return world.actions()


@pytest.mark.slow
async def test_outside_changes_are_told_with_one_word_for_a_whole_folder(watched: World) -> None:
    watched.write("gcodes/new/sub/a.gcode")
    watched.write("config/printer.cfg", "[mcu]")
    actions = await told_of(watched, lambda told: len(told) >= 2)
    await settle(watched)
    assert sorted(watched.actions()) == [("create_dir", "gcodes/new"), ("create_file", "config/printer.cfg")], actions
    watched.ear.heard.clear()
    (watched.gcodes / "old").rename(watched.gcodes / "renamed")
    await told_of(watched, bool)
    await settle(watched)
    assert watched.actions() == [("move_dir", "gcodes/renamed")]
    assert watched.told()[0]["source_item"] == {"root": "gcodes", "path": "old"}
    watched.ear.heard.clear()
    shutil.rmtree(watched.gcodes / "new")
    (watched.gcodes / "renamed/x.gcode").write_text("G28\nG28")
    await told_of(watched, lambda told: len(told) >= 2)
    await settle(watched)
    assert sorted(watched.actions()) == [("delete_dir", "gcodes/new"), ("modify_file", "gcodes/renamed/x.gcode")]


async def test_where_changes_can_not_be_watched_they_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(self: Inotify, folder: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Inotify, "add", exhausted)
    monkeypatch.setattr(watcher, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(watcher, "SETTLED_AFTER", 0.05)
    async with World.open(tmp_path, watch=True) as world:
        world.write("gcodes/a.gcode")
        await told_of(world, lambda told: told == [("create_file", "gcodes/a.gcode")])
        (world.gcodes / "a.gcode").unlink()
        await told_of(world, lambda told: told[-1] == ("delete_file", "gcodes/a.gcode"))
        assert world.files.watcher.vitals()["watching"] == "polling"


@pytest.mark.slow
async def test_folders_that_come_go_and_move_are_followed(watched: World, tmp_path: Path) -> None:
    (watched.gcodes / "old/deep").mkdir()
    (watched.gcodes / "old").rename(watched.gcodes / "renamed")
    await settle(watched)
    watched.ear.heard.clear()
    watched.write("gcodes/renamed/deep/a.gcode")
    await settle(watched)
    assert watched.actions() == [("create_file", "gcodes/renamed/deep/a.gcode")]
    (watched.gcodes / "renamed").rename(tmp_path / "elsewhere")
    await settle(watched)
    (tmp_path / "elsewhere/deep/b.gcode").write_text("G28")
    watched.write("gcodes/renamed/c.gcode")
    await settle(watched)
    assert watched.actions()[1:] == [("delete_dir", "gcodes/renamed"), ("create_dir", "gcodes/renamed")]


@pytest.mark.slow
async def test_links_are_followed_inside_their_root_and_make_no_circles(watched: World) -> None:
    (watched.gcodes / "old/top").symlink_to(watched.gcodes)
    (watched.gcodes / "out").symlink_to("/usr")
    (watched.gcodes / "old/x.gcode").write_text("G28\nG28")
    await settle(watched)
    actions = watched.actions()
    assert ("create_dir", "gcodes/old/top") in actions
    assert ("modify_file", "gcodes/old/x.gcode") in actions
    assert not [path for _, path in actions if path.startswith("gcodes/out")]


@pytest.mark.slow
async def test_more_changes_than_the_kernel_keeps_are_found_by_looking(
    watched: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(self: Inotify) -> list[Event]:
        return [*read(self), Event(-1, OVERFLOWED, b"")]

    read = Inotify.read
    monkeypatch.setattr(Inotify, "read", too_many)
    watched.write("gcodes/new/sub/a.gcode")
    await settle(watched)
    assert watched.actions() == [("create_dir", "gcodes/new")]
    monkeypatch.setattr(Inotify, "read", read)
    watched.write("gcodes/new/sub/b.gcode")
    await settle(watched)
    assert watched.actions()[1:] == [("create_file", "gcodes/new/sub/b.gcode")]


@pytest.mark.slow
async def test_our_own_changes_are_told_once(watched: World) -> None:
    await watched.upload("a.gcode", b"G28\n" * 1000, fields_after={"path": "deep/down"})
    await watched.call("move", source="gcodes/deep", dest="gcodes/deeper")
    await watched.call("copy", source="gcodes/old/x.gcode", dest="config/x.cfg")
    await watched.call("delete_directory", path="gcodes/old", force=True)
    await settle(watched)
    assert watched.actions() == [
        ("create_dir", "gcodes/deep"),
        ("create_file", "gcodes/deep/down/a.gcode"),
        ("move_dir", "gcodes/deeper"),
        ("create_file", "config/x.cfg"),
        ("delete_dir", "gcodes/old"),
    ]


@pytest.mark.slow
async def test_a_file_that_grows_is_told_when_it_is_whole(watched: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "SETTLED_AFTER", 2.0)  # a busy machine may let nobody write for half a second
    with (watched.gcodes / "growing.gcode").open("w") as file:
        for _ in range(10):
            file.write("G28\n" * 100)
            file.flush()
            await trio.sleep(0.2)
            assert watched.actions() == []
    await told_of(watched, bool)
    await settle(watched)
    assert watched.actions() == [("create_file", "gcodes/growing.gcode")]
    assert watched.told()[0]["item"]["size"] == 4000


async def test_a_log_that_grows_is_no_news(watched: World) -> None:
    watched.write("logs/moonraker.log", "one line more")
    watched.write("config/after.txt")
    assert await told_of(watched, bool) == [("create_file", "config/after.txt")]


async def test_a_root_that_is_unplugged_and_comes_back_is_watched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(watcher, "GATHER", 0.05)
    monkeypatch.setattr(watcher, "SETTLED_AFTER", 0.05)
    stick = tmp_path / "stick"
    stick.mkdir()
    (tmp_path / "printer_data").mkdir()
    (tmp_path / "printer_data/gcodes").symlink_to(stick)
    async with World.open(tmp_path, watch=True) as world:
        world.write("gcodes/a.gcode")
        await told_of(world, lambda told: told == [("create_file", "gcodes/a.gcode")])
        stick.rename(tmp_path / "pulled")
        await told_of(world, lambda told: told[1:] == [("delete_file", "gcodes/a.gcode")])
        stick.mkdir()
        for path in ("gcodes/b.gcode", "gcodes/c.gcode"):  # one is found by looking, one is told by the kernel
            world.write(path)
            await told_of(world, partial(_ends_with, ("create_file", path)))


def _ends_with(last: tuple[str, str], told: list[tuple[str, str]]) -> bool:
    return told[-1] == last
