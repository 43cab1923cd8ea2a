"""What clients may ask of the roots."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.features.files.world import QUIET, World
from trio_moon.features.files import Files, changes
from trio_moon.features.files.places import STAGING
from trio_moon.model.errors import BadParams, Conflict, Forbidden, NamesNothing, NoSpace, NotFound
from trio_moon.rpc.registry import Registry
from trio_moon.rpc.replies import Download
from trio_moon.store.database import Database


async def test_the_list_of_gcodes_holds_what_can_be_printed_with_folders(world: World) -> None:
    world.write("gcodes/b.gcode")
    world.write("gcodes/sub/deep/A.GCODE", "G1\n")
    world.write("gcodes/notes.txt")
    listed = await world.call("list")
    assert [(file["path"], file["size"], file["permissions"]) for file in listed] == [
        ("b.gcode", 4, "rw"),
        ("sub/deep/A.GCODE", 3, "rw"),
    ]
    assert set(listed[0]) == {"path", "modified", "size", "permissions"}


async def test_a_list_of_another_root_holds_everything(world: World) -> None:
    world.write("config/printer.cfg")
    world.write("config/.theme/custom.css")
    assert [file["path"] for file in await world.call("list", root="config")] == [".theme/custom.css", "printer.cfg"]


async def test_an_unknown_root_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match="nope"):
        await world.call("list", root="nope")


async def test_roots_tell_path_and_permissions(world: World) -> None:
    assert await world.call("roots") == [
        {"name": "gcodes", "path": str(world.gcodes), "permissions": "rw"},
        {"name": "config", "path": str(world.paths.config), "permissions": "rw"},
        {"name": "logs", "path": str(world.paths.logs), "permissions": "r"},
    ]
    assert world.files.registered_directories() == ["gcodes", "config", "logs"]


async def test_a_directory_shows_files_folders_usage_and_its_root(world: World) -> None:
    world.write("gcodes/sub/x.gcode")
    world.write("gcodes/notes.txt", "hello")
    shown = await world.call("get_directory", path="gcodes")
    assert [folder["dirname"] for folder in shown["dirs"]] == ["sub"]
    assert [(file["filename"], file["size"]) for file in shown["files"]] == [("notes.txt", 5)]
    assert shown["disk_usage"]["total"] >= shown["disk_usage"]["used"] > 0
    assert shown["root_info"] == {"name": "gcodes", "permissions": "rw"}
    with pytest.raises(NotFound):
        await world.call("get_directory", path="gcodes/nothing")
    with pytest.raises(NotFound, match="Directory does not exist"):
        await world.call("get_directory", path="gcodes/notes.txt")


async def test_folders_are_made_and_deleted_and_all_are_told(world: World) -> None:
    made = await world.call("post_directory", path="gcodes/new")
    assert made["action"] == "create_dir"
    assert made["item"]["path"] == "new"
    assert (world.gcodes / "new").is_dir()
    deleted = await world.call("delete_directory", path="gcodes/new", force="false")
    assert deleted == {
        "action": "delete_dir",
        "item": {"root": "gcodes", "path": "new", "modified": 0, "size": 0, "permissions": ""},
    }
    assert world.told() == [made, deleted]


async def test_a_folder_needs_its_parent_and_a_free_name(world: World) -> None:
    for path in ("gcodes/a/b", "nope/a"):
        with pytest.raises(NamesNothing):
            await world.call("post_directory", path=path)
    await world.call("post_directory", path="gcodes/a")
    with pytest.raises(Conflict):
        await world.call("post_directory", path="gcodes/a")


async def test_a_full_folder_is_deleted_only_by_force(world: World) -> None:
    world.write("gcodes/sub/deep/x.gcode")
    with pytest.raises(Conflict, match="not empty"):
        await world.call("delete_directory", path="gcodes/sub")
    await world.call("delete_directory", path="gcodes/sub", force=True)
    assert world.all_files() == set()
    assert not (world.gcodes / STAGING).exists()


async def test_a_folder_with_nothing_but_pictures_is_empty(world: World) -> None:
    world.write("gcodes/sub/.thumbs/x.png")
    await world.call("delete_directory", path="gcodes/sub")
    assert world.all_files() == set()


async def test_what_is_no_file_can_not_be_copied_or_packed(world: World) -> None:
    os.mkfifo(world.gcodes / "pipe")
    with pytest.raises(BadParams):
        await world.call("copy", source="gcodes/pipe", dest="gcodes/x")
    with pytest.raises(NotFound):
        await world.http("GET", "/server/files/gcodes/pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(world.gcodes / "socket.gcode"))
    with pytest.raises(NotFound):
        await world.call("metascan", filename="socket.gcode")
    world.write("gcodes/a.gcode")
    await world.call("zip", dest="config/a.zip", items=["gcodes"])
    with zipfile.ZipFile(world.paths.config / "a.zip") as archive:
        assert archive.namelist() == ["gcodes/a.gcode"]


@pytest.mark.parametrize("path", ["gcodes", "config"])
async def test_a_root_itself_stays(world: World, path: str) -> None:
    with pytest.raises(Forbidden):
        await world.call("delete_directory", path=path, force=True)
    with pytest.raises((BadParams, Forbidden)):
        await world.call("move", source=path, dest="gcodes/x")


async def test_moving_renames_and_tells_where_from(world: World) -> None:
    world.write("gcodes/a.gcode")
    world.write("gcodes/sub/.keep")
    told = await world.call("move", source="gcodes/a.gcode", dest="gcodes/sub/b.gcode")
    assert told["action"] == "move_file"
    assert told["item"]["path"] == "sub/b.gcode"
    assert told["source_item"] == {"root": "gcodes", "path": "a.gcode"}
    assert world.all_files() == {"gcodes/sub/.keep", "gcodes/sub/b.gcode"}
    assert world.told()[-1] == told


async def test_moving_to_an_existing_folder_moves_into_it(world: World) -> None:
    world.write("gcodes/a/x.gcode")
    world.write("gcodes/b/y.gcode")
    told = await world.call("move", source="gcodes/a", dest="gcodes/b")
    assert (told["action"], told["item"]["path"]) == ("move_dir", "b/a")
    assert world.all_files() == {"gcodes/b/a/x.gcode", "gcodes/b/y.gcode"}


async def test_a_folder_can_not_be_moved_into_itself(world: World) -> None:
    world.write("gcodes/a/x.gcode")
    with pytest.raises(BadParams, match="itself"):
        await world.call("move", source="gcodes/a", dest="gcodes/a/b")


async def test_a_file_that_is_moved_over_another_replaces_it(world: World) -> None:
    world.write("gcodes/a.gcode", "new")
    world.write("gcodes/b.gcode", "old")
    await world.call("move", source="gcodes/a.gcode", dest="gcodes/b.gcode")
    assert world.all_files() == {"gcodes/b.gcode"}
    assert (world.gcodes / "b.gcode").read_text() == "new"


async def test_a_file_that_is_moved_into_a_folder_replaces_nothing_there(world: World) -> None:
    world.write("gcodes/a.gcode", "new")
    world.write("gcodes/sub/a.gcode", "old")
    with pytest.raises(BadParams, match="exists already"):
        await world.call("move", source="gcodes/a.gcode", dest="gcodes/sub")
    assert (world.gcodes / "sub/a.gcode").read_text() == "old"
    assert (world.gcodes / "a.gcode").read_text() == "new"


async def test_copies_of_files_and_folders(world: World) -> None:
    world.write("gcodes/a/x.gcode", "hello")
    told = await world.call("copy", source="gcodes/a/x.gcode", dest="gcodes/y.gcode")
    assert (told["action"], told["item"]["size"]) == ("create_file", 5)
    told = await world.call("copy", source="gcodes/a", dest="gcodes/b")
    assert told["action"] == "create_dir"
    assert world.all_files() == {"gcodes/a/x.gcode", "gcodes/b/x.gcode", "gcodes/y.gcode"}
    assert world.actions() == [("create_file", "gcodes/y.gcode"), ("create_dir", "gcodes/b")]
    assert not (world.gcodes / STAGING).exists()


async def test_a_read_only_root_can_be_copied_from_but_not_changed(world: World) -> None:
    world.write("logs/klippy.log", "log")
    await world.call("copy", source="logs/klippy.log", dest="config/klippy.log")
    for name, params in {
        "delete_file": {"path": "logs/klippy.log"},
        "move": {"source": "logs/klippy.log", "dest": "config/x"},
        "copy": {"source": "config/klippy.log", "dest": "logs/x"},
        "post_directory": {"path": "logs/x"},
    }.items():
        with pytest.raises(Forbidden, match="read-only"):
            await world.call(name, **params)
    assert world.all_files() == {"logs/klippy.log", "config/klippy.log"}


async def test_archives_hold_files_and_folders_by_their_roots(world: World) -> None:
    world.write("config/printer.cfg", "cfg")
    world.write("logs/klippy.log", "log")
    world.write("gcodes/sub/x.gcode", "G28")
    told = await world.call("zip", dest="config/all.zip", items=["config/printer.cfg", "logs", "gcodes/sub"])
    assert told["action"] == "zip_files"
    assert told["destination"]["path"] == "all.zip"
    with zipfile.ZipFile(world.paths.config / "all.zip") as archive:
        assert sorted(archive.namelist()) == ["config/printer.cfg", "gcodes/sub/x.gcode", "logs/klippy.log"]
        assert archive.read("gcodes/sub/x.gcode") == b"G28"
    unnamed = await world.call("zip", items=["logs"], store_only=True)
    assert unnamed["destination"]["path"].startswith("collection-")


async def test_a_file_is_deleted_by_path_and_by_name(world: World) -> None:
    world.write("gcodes/sub/a b%20'\"é.gcode")
    world.write("config/x.cfg")
    deleted = await world.http("DELETE", "/server/files/gcodes/sub/a b%20'\"é.gcode")
    assert deleted["action"] == "delete_file"
    await world.call("delete_file", path="config/x.cfg")
    assert world.all_files() == set()
    with pytest.raises(NotFound):
        await world.call("delete_file", path="config/x.cfg")


@pytest.mark.parametrize("state", ["printing", "paused"])
async def test_the_file_being_printed_is_protected_with_its_folders(world: World, state: str) -> None:
    world.write("gcodes/sub/x.gcode", "good")
    world.write("gcodes/other.gcode")
    world.prints("sub/x.gcode", state)
    doomed: dict[str, dict[str, object]] = {
        "delete_file": {"path": "gcodes/sub/x.gcode"},
        "delete_directory": {"path": "gcodes/sub", "force": True},
        "move": {"source": "gcodes/sub", "dest": "gcodes/moved"},
    }
    for name, params in doomed.items():
        with pytest.raises(Forbidden, match="being printed"):
            await world.call(name, **params)
    for name in ("move", "copy"):
        with pytest.raises(Forbidden, match="being printed"):
            await world.call(name, source="gcodes/other.gcode", dest="gcodes/sub/x.gcode")
    with pytest.raises(Forbidden, match="being printed"):
        await world.upload("x.gcode", b"other", fields_after={"path": "sub"})
    assert (world.gcodes / "sub/x.gcode").read_text() == "good"
    await world.call("copy", source="gcodes/sub/x.gcode", dest="gcodes/y.gcode")
    world.prints("sub/x.gcode", "complete")
    await world.call("delete_file", path="gcodes/sub/x.gcode")


async def test_links_that_lead_out_are_not_followed(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.gcode").write_text("secret")
    (world.gcodes / "link").symlink_to(outside)
    (world.gcodes / "file.gcode").symlink_to(outside / "secret.gcode")
    assert await world.call("list") == []
    for path in ("gcodes/link/secret.gcode", "gcodes/file.gcode"):
        with pytest.raises(Forbidden):
            await world.http("GET", f"/server/files/{path}")
    with pytest.raises(Forbidden):
        await world.call("delete_file", path="gcodes/link/secret.gcode")
    with pytest.raises(Forbidden):
        await world.upload("x.gcode", fields_after={"path": "link"})
    with pytest.raises(Forbidden):
        await world.upload("file.gcode", b"changed")
    await world.call("delete_file", path="gcodes/file.gcode")
    assert sorted(os.listdir(outside)) == ["secret.gcode"]
    assert (outside / "secret.gcode").read_text() == "secret"


async def test_a_sibling_with_a_longer_name_is_outside(world: World) -> None:
    sibling = world.paths.root / "gcodes_other"
    sibling.mkdir()
    (world.gcodes / "link").symlink_to(sibling)
    with pytest.raises(Forbidden):
        await world.upload("x.gcode", fields_after={"path": "link"})
    with pytest.raises(BadParams):
        await world.upload("x.gcode", fields_after={"path": "../gcodes_other"})
    assert os.listdir(sibling) == []


async def test_links_inside_a_root_are_followed_and_kept(world: World) -> None:
    world.write("gcodes/real/x.gcode", "old")
    (world.gcodes / "link").symlink_to("real")
    (world.gcodes / "y.gcode").symlink_to("real/x.gcode")
    assert {file["path"] for file in await world.call("list")} >= {"y.gcode"}
    await world.upload("y.gcode", b"new")
    assert (world.gcodes / "y.gcode").is_symlink()
    assert (world.gcodes / "real/x.gcode").read_text() == "new"


async def test_a_copy_through_a_link_to_its_own_root_does_not_copy_itself(world: World) -> None:
    world.write("gcodes/x.gcode", "G28")
    (world.gcodes / "all").symlink_to(".")
    await world.call("copy", source="gcodes/all", dest="gcodes/copy")
    assert sorted(os.listdir(world.gcodes / "copy")) == ["all", "x.gcode"]


async def test_an_installers_link_to_a_configuration_may_be_read_but_not_written(world: World, tmp_path: Path) -> None:
    target = tmp_path / "mainsail-config" / "mainsail.cfg"
    target.parent.mkdir()
    target.write_text("[virtual_sdcard]")
    (world.paths.config / "mainsail.cfg").symlink_to(target)
    (world.paths.config / "evil.cfg").symlink_to("/etc/passwd")
    shown = await world.call("get_directory", path="config")
    assert [(file["filename"], file["permissions"]) for file in shown["files"]] == [("mainsail.cfg", "r")]
    download = await world.http("GET", "/server/files/config/mainsail.cfg")
    assert download.path.read_text() == "[virtual_sdcard]"
    with pytest.raises(Forbidden):
        await world.upload("mainsail.cfg", b"changed", root="config")
    with pytest.raises(Forbidden):
        await world.http("GET", "/server/files/config/evil.cfg")
    assert target.read_text() == "[virtual_sdcard]"


async def test_a_stick_may_be_linked_to_when_the_configuration_says_so(tmp_path: Path) -> None:
    stick = tmp_path / "media" / "usb"
    stick.mkdir(parents=True)
    (stick / "x.gcode").write_text("G28")
    async with World.open(tmp_path, link_targets=(tmp_path / "media",)) as world:
        (world.gcodes / "usb").symlink_to(stick)
        assert [file["path"] for file in await world.call("list")] == ["usb/x.gcode"]
        await world.upload("y.gcode", fields_after={"path": "usb"})
        assert (stick / "y.gcode").exists()


async def test_a_link_in_a_circle_ends_the_walk(world: World) -> None:
    world.write("gcodes/sub/x.gcode")
    (world.gcodes / "sub" / "round").symlink_to("..")
    with trio.fail_after(30):
        assert "sub/x.gcode" in {file["path"] for file in await world.call("list")}


@pytest.mark.parametrize("folder", ["database", "backup/database", "certs"])
async def test_reserved_folders_are_for_nobody(tmp_path: Path, folder: str) -> None:
    async with World.open(tmp_path, link_targets=(tmp_path,)) as world:
        world.write("other/plain.txt", "for all")
        world.write(f"{folder}/secret.db", "secret")
        (world.gcodes / "link").symlink_to(world.paths.root)
        assert await world.http("GET", "/server/files/gcodes/link/other/plain.txt")
        with pytest.raises(Forbidden):
            await world.http("GET", f"/server/files/gcodes/link/{folder}/secret.db")


async def test_a_folder_that_holds_what_is_reserved_stays_and_is_copied_without_it(tmp_path: Path) -> None:
    async with World.open(tmp_path) as world:
        secret = world.write("config/keep/secret.json", "secret")
        world.write("config/keep/plain.cfg")
        files = Files(QUIET, world.paths, world.printer, Database(None, ()), world.audience, reserved=(secret,))
        registry = Registry()
        registry.add(files.endpoints())

        async def call(name: str, **params: object) -> object:
            return await registry.named(f"server.files.{name}")(params, world.caller)

        with pytest.raises(Forbidden):
            await call("move", source="config/keep", dest="gcodes/keep")
        with pytest.raises(Forbidden):
            await call("delete_directory", path="config/keep", force=True)
        await call("copy", source="config/keep", dest="gcodes/keep")
        assert world.all_files() == {"config/keep/secret.json", "config/keep/plain.cfg", "gcodes/keep/plain.cfg"}


async def test_downloads_have_types_that_a_browser_can_trust(world: World) -> None:
    world.write("gcodes/a.gcode")
    world.write("gcodes/.thumbs/a-32x32.png")
    world.write("config/page.html")
    gcode = await world.http("GET", "/server/files/gcodes/a.gcode")
    assert gcode == Download(world.gcodes / "a.gcode", "a.gcode", "text/x.gcode; charset=utf-8", True)
    assert (await world.http("GET", "/server/files/gcodes/.thumbs/a-32x32.png")).attachment is False
    page = await world.http("GET", "/server/files/config/page.html")
    assert (page.content_type, page.attachment) == ("application/octet-stream", True)
    with pytest.raises(NotFound):
        await world.http("GET", "/server/files/config/.theme/default.json")
    with pytest.raises(NotFound, match="no file"):
        await world.http("GET", "/server/files/gcodes/.thumbs")


async def test_the_logs_have_short_paths(world: World) -> None:
    world.write("logs/klippy.log")
    world.write("logs/trio_moon.log")
    assert (await world.http("GET", "/server/files/klippy.log")).filename == "klippy.log"
    assert (await world.http("GET", "/server/files/moonraker.log")).path == world.paths.logs / "trio_moon.log"


async def test_klippers_log_is_found_where_klipper_writes_it(world: World, tmp_path: Path) -> None:
    (tmp_path / "klippy.log").write_text("Start printer")
    answers: list[dict[str, object]] = [{}, {"log_file": None}, {"log_file": str(tmp_path)}, {"log_file": "/no\0where"}]
    for answer in answers:
        world.printer.info = answer
        with pytest.raises(NotFound):
            await world.http("GET", "/server/files/klippy.log")
    world.printer.info = {"log_file": str(tmp_path / "klippy.log")}
    for link in (False, True):
        if link:
            (world.paths.logs / "klippy.log").symlink_to(tmp_path / "klippy.log")
        download = await world.http("GET", "/server/files/klippy.log")
        assert (download.path, download.filename) == (tmp_path / "klippy.log", "klippy.log")


async def test_a_name_that_is_not_utf8_hides_one_file_only(world: World) -> None:
    with open(os.fsencode(world.gcodes) + b"/bad\xff.gcode", "wb"):
        pass
    world.write("gcodes/good.gcode")
    assert [file["path"] for file in await world.call("list")] == ["good.gcode"]


@pytest.fixture
def locked_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders called `locked` can't be read by anybody: permissions would not stop root, who may run this."""
    really = os.scandir

    def scandir(folder: str) -> object:
        if folder.endswith("/locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really(folder)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.usefixtures("locked_folders")
async def test_a_folder_that_nobody_may_read_hides_no_other_and_stops_no_start(tmp_path: Path) -> None:
    gcodes = tmp_path / "printer_data/gcodes"  # an ext4 stick: its `lost+found` is root's
    for folder in ("a", "locked", "z"):
        (gcodes / folder).mkdir(parents=True)
        (gcodes / folder / "x.gcode").write_text("G28\n")
    async with World.open(tmp_path) as world:
        assert [file["path"] for file in await world.call("list")] == ["a/x.gcode", "z/x.gcode"]
        with pytest.raises(Forbidden, match="no permission"):
            await world.call("get_directory", path="gcodes/locked")


async def test_gcodes_on_a_stick_that_is_not_plugged_in_stops_no_start(tmp_path: Path) -> None:
    (tmp_path / "printer_data").mkdir()
    (tmp_path / "printer_data/gcodes").symlink_to(tmp_path / "stick")
    async with World.open(tmp_path) as world:
        with pytest.raises(NotFound):
            await world.call("list")
        (tmp_path / "stick").mkdir()
        world.write("gcodes/a.gcode")
        assert [file["path"] for file in await world.call("list")] == ["a.gcode"]


async def test_files_move_into_and_out_of_the_folder_of_the_print(world: World) -> None:
    world.write("gcodes/sub/printed.gcode")
    world.write("gcodes/sub/b.gcode")
    world.write("gcodes/a.gcode")
    world.prints("sub/printed.gcode")
    await world.call("move", source="gcodes/a.gcode", dest="gcodes/sub")
    await world.call("move", source="gcodes/sub/b.gcode", dest="gcodes")
    assert world.all_files() == {"gcodes/sub/printed.gcode", "gcodes/sub/a.gcode", "gcodes/b.gcode"}
    for source, dest in [("sub/a.gcode", "sub/printed.gcode"), ("sub", "other"), ("sub/printed.gcode", "p.gcode")]:
        with pytest.raises(Forbidden, match="is being printed"):
            await world.call("move", source=f"gcodes/{source}", dest=f"gcodes/{dest}")


async def test_a_network_share_that_hangs_keeps_nobody_waiting_but_for_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = threading.Event()
    really = os.stat

    def stat(path: Path | str | int, **options: Any) -> os.stat_result:
        if not isinstance(path, int) and str(path).endswith("gcodes") and not back.is_set():
            assert threading.current_thread() is not threading.main_thread()
            back.wait(30)
        return really(path, **options)

    async with World.open(tmp_path) as world:
        monkeypatch.setattr(os, "stat", stat)
        listed: list[object] = []

        async def list_folder() -> None:
            listed.append(await world.call("get_directory", path="gcodes"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(list_folder)
            await trio.sleep(0.05)
            assert "gcodes" in world.files.registered_directories()
            assert [file["path"] for file in await world.call("list", root="config")] == []
            assert not listed
            back.set()
        assert listed


async def test_what_is_no_file_and_what_vanishes_is_left_out_of_a_copied_folder(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        world.write(f"gcodes/sub/{name}.gcode", name)
    os.mkfifo(world.gcodes / "sub/fifo")
    (world.gcodes / "sub/link").symlink_to("a.gcode")
    copy_file = changes.copy_file

    def vanish(source: str, target: str) -> None:
        if source.endswith("b.gcode"):
            os.unlink(source)
        copy_file(source, target)

    monkeypatch.setattr(changes, "copy_file", vanish)
    await world.call("copy", source="gcodes/sub", dest="gcodes/other")
    assert {path.name for path in (world.gcodes / "other").iterdir()} == {"a.gcode", "c.gcode", "link"}
    assert os.readlink(world.gcodes / "other/link") == "a.gcode"


async def test_a_disk_that_fills_up_while_a_folder_is_copied_is_told_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def full(source: str, target: str) -> None:
        tried.append(source)
        raise OSError(errno.ENOSPC, "no space")

    for name in ("a", "b", "c"):
        world.write(f"gcodes/sub/{name}.gcode", name)
    monkeypatch.setattr(changes, "copy_file", full)
    before = world.all_files()
    with pytest.raises(NoSpace):
        await world.call("copy", source="gcodes/sub", dest="gcodes/other")
    assert len(tried) == 1
    assert world.all_files() == before


@pytest.mark.parametrize("method", ["copy", "zip"])
async def test_who_calls_for_a_long_copy_may_leave_before_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    world.write("gcodes/big.gcode", bytes(8 << 20))
    monkeypatch.setattr(changes, "CHUNK", 1)  # seconds, as a big file takes
    before, began = world.all_files(), trio.current_time()
    with trio.move_on_after(0.2):
        if method == "copy":
            await world.call("copy", source="gcodes/big.gcode", dest="gcodes/copy.gcode")
        else:
            await world.call("zip", items=["gcodes/big.gcode"], dest="gcodes/copy.zip", store_only=True)
        raise AssertionError("it has ended")
    assert trio.current_time() - began < 10
    assert world.all_files() == before


async def test_what_is_packed_may_be_said_in_one_text(world: World) -> None:
    for name in ("a", "b"):
        world.write(f"gcodes/{name}.gcode")
    await world.http("POST", "/server/files/zip", items="gcodes/a.gcode, gcodes/b.gcode,", dest="config/x.zip")
    with zipfile.ZipFile(world.paths.config / "x.zip") as archive:
        assert archive.namelist() == ["gcodes/a.gcode", "gcodes/b.gcode"]
    with pytest.raises(BadParams, match="nothing to pack"):
        await world.http("POST", "/server/files/zip", items=" , ", dest="config/y.zip")


async def test_an_archive_holds_each_file_once(world: World) -> None:
    world.write("gcodes/sub/a.gcode")
    (world.gcodes / "loop").symlink_to(".")
    await world.call("zip", items=["gcodes/sub/a.gcode", "gcodes/sub", "gcodes"], dest="config/x.zip")
    with zipfile.ZipFile(world.paths.config / "x.zip") as archive:
        assert archive.namelist() == ["gcodes/sub/a.gcode"]


async def test_roots_that_are_mounted_apart_are_other_disks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two volumes of a container are: the same device, and no renaming between them."""
    rename = os.rename

    def apart(source: Any, target: Any, **options: Any) -> None:
        if source == "a.cfg":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target, **options)

    world.write("config/a.cfg", "x")
    monkeypatch.setattr(os, "rename", apart)
    await world.call("move", source="config/a.cfg", dest="gcodes/b.cfg")
    assert world.all_files() == {"gcodes/b.cfg"}


async def test_a_folder_for_a_disk_that_only_a_link_leads_to_is_refused_in_words(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def apart(source: Any, target: Any, **options: Any) -> None:
        if STAGING in str(source):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target, **options)

    world.write("gcodes/sub/a.gcode")
    before = world.all_files()
    monkeypatch.setattr(os, "rename", apart)
    with pytest.raises(Conflict, match="another disk"):
        await world.call("copy", source="gcodes/sub", dest="gcodes/stick")
    assert world.all_files() == before


async def test_who_writes_into_a_folder_that_is_deleted_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, late = shutil.rmtree, ["a picture"]

    def removed(path: Path, **options: Any) -> None:
        remove(path, **options)
        if late:
            path.mkdir()
            (path / late.pop()).write_text("x")

    monkeypatch.setattr(shutil, "rmtree", removed)
    world.write("gcodes/sub/a.gcode")
    await world.call("delete_directory", path="gcodes/sub", force=True)
    assert os.listdir(world.gcodes) == []
