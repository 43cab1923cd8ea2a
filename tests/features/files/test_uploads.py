"""Uploads arrive whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.features.files.world import World
from tests.until import until
from trio_moon.features.files import listing, starter
from trio_moon.features.files.places import STAGING
from trio_moon.model.errors import (
    BadParams,
    Forbidden,
    KlippyAway,
    MoonError,
    NoSpace,
    NotFound,
    TooMany,
    Unprocessable,
)
from trio_moon.model.errors import TooLarge as TooLargeError
from trio_moon.model.events import KlippyReady
from trio_moon.store.database import Database, StoreFailed

CONTENT = b"; a print\nG28\n"


async def test_the_answer_is_what_slicers_and_frontends_expect(world: World) -> None:
    reply = await world.upload("a part.gcode", CONTENT)
    assert reply.status == 201
    assert reply.headers == {"Location": "/server/files/gcodes/a%20part.gcode"}
    item = {
        "root": "gcodes",
        "path": "a part.gcode",
        "modified": (world.gcodes / "a part.gcode").stat().st_mtime,
        "size": len(CONTENT),
        "permissions": "rw",
    }
    assert reply.value == {"action": "create_file", "item": item, "print_started": False, "print_queued": False}
    assert (world.gcodes / "a part.gcode").read_bytes() == CONTENT
    assert world.told() == [{"action": "create_file", "item": item}]


async def test_a_file_that_can_not_be_printed_says_nothing_of_prints(world: World) -> None:
    answer = await world.uploaded("printer.cfg", b"[mcu]", root="config", print="true")
    assert set(answer) == {"action", "item"}


async def test_the_field_path_makes_folders_a_folder_in_the_name_must_exist(world: World) -> None:
    await world.upload("x.gcode", CONTENT, path="/new/sub/")
    assert world.actions() == [("create_dir", "gcodes/new"), ("create_file", "gcodes/new/sub/x.gcode")]
    await world.upload("new/y.gcode", CONTENT)
    with pytest.raises(NotFound):
        await world.upload("missing/z.gcode", CONTENT)
    assert world.all_files() == {"gcodes/new/sub/x.gcode", "gcodes/new/y.gcode"}


@pytest.mark.parametrize("after", [False, True])
async def test_a_wrong_checksum_is_refused_wherever_the_field_stands(world: World, after: bool) -> None:
    right = hashlib.sha256(CONTENT).hexdigest().upper()

    async def upload(checksum: str) -> None:
        if after:
            await world.upload("x.gcode", CONTENT, fields_after={"checksum": checksum})
        else:
            await world.upload("x.gcode", CONTENT, checksum=checksum)

    with pytest.raises(Unprocessable, match="checksum"):
        await upload("0" * 64)
    assert world.all_files() == set()
    await upload(right)
    assert world.all_files() == {"gcodes/x.gcode"}


NAMES = [
    "Größe ¼ 한.gcode",
    '50% "done" & it\'s.gcode',
    "a+b;c=d#e?.gcode",
    " spaces .gcode",
    "back\\slash.gcode",
    "...gcode",
]


@pytest.mark.parametrize("name", NAMES)
async def test_names_are_kept_as_they_are(world: World, name: str) -> None:
    answer = await world.uploaded(name, CONTENT)
    assert answer["item"]["path"] == name
    assert os.listdir(world.gcodes) == [name]


BAD = [
    "../x.gcode",
    "a/../../x.gcode",
    "x\0.gcode",
    "x\r\n.gcode",
    "y" * 300 + ".gcode",
    "",
    "/",
    "..",
    f"{STAGING}/x",
    f"x{STAGING}",
]


@pytest.mark.parametrize("name", BAD)
async def test_names_that_can_not_be_are_refused_and_leave_nothing(world: World, name: str) -> None:
    with pytest.raises(BadParams):
        await world.upload(name, CONTENT)
    assert world.all_files() == set()
    assert os.listdir(world.paths.root.parent) == [world.paths.root.name]


@pytest.mark.parametrize("root", ["logs", "nope", "../gcodes", "database"])
async def test_only_writable_roots_take_uploads(world: World, root: str) -> None:
    with pytest.raises(MoonError):
        await world.upload("x.gcode", CONTENT, root=root)
    with pytest.raises(MoonError):
        await world.upload("x.gcode", CONTENT, fields_after={"root": root})
    assert world.all_files() == set()


async def test_an_upload_that_breaks_off_leaves_nothing(world: World) -> None:
    def breaks() -> Iterator[bytes]:
        yield CONTENT
        assert any(STAGING in name for name in world.all_files())
        raise ConnectionResetError

    world.write("gcodes/x.gcode", "old")
    with pytest.raises(ConnectionResetError):
        await world.upload("x.gcode", breaks())
    assert world.all_files() == {"gcodes/x.gcode"}
    assert (world.gcodes / "x.gcode").read_text() == "old"
    assert not (world.gcodes / STAGING).exists()


async def test_uploads_at_once_do_not_touch_each_other(world: World) -> None:
    contents = {f"{n}.gcode": bytes([n]) * 70_000 for n in range(8)}

    def pieces(content: bytes) -> Iterator[bytes]:
        for start in range(0, len(content), 7000):
            yield content[start : start + 7000]

    async with trio.open_nursery() as nursery:
        for name, content in contents.items():
            nursery.start_soon(partial(world.upload, name, pieces(content)))
            nursery.start_soon(partial(world.upload, "same.gcode", pieces(content)))
    assert {name: (world.gcodes / name).read_bytes() for name in contents} == contents
    assert (world.gcodes / "same.gcode").read_bytes() in contents.values()
    assert not (world.gcodes / STAGING).exists()


async def test_what_a_killed_program_left_behind_is_removed_at_the_next_start(tmp_path: Path) -> None:
    async with World.open(tmp_path) as world:
        world.write(f"gcodes/{STAGING}/0123", "half")
        world.write(f"config/{STAGING}/4567", "half")
    async with World.open(tmp_path) as world:
        assert world.all_files() == set()


async def test_services_that_share_a_root_leave_each_others_uploads_alone(tmp_path: Path) -> None:
    shared = tmp_path / "first" / "printer_data" / "gcodes"

    async def start_and_end_another() -> None:
        async with World.open(tmp_path / "second") as second:
            await second.upload("second.gcode", CONTENT)

    async with World.open(tmp_path / "first") as first:
        link = tmp_path / "second" / "printer_data" / "gcodes"
        link.parent.mkdir(parents=True)
        link.symlink_to(shared)
        upload = first.files.desk.receive(first.caller, None)
        upload.start_file("file", "first.gcode")
        upload.write(CONTENT)
        await start_and_end_another()
        upload.end_file()
        await upload.complete()
        await start_and_end_another()
    assert (shared / "first.gcode").read_bytes() == (shared / "second.gcode").read_bytes() == CONTENT
    assert not (shared / STAGING).exists()


async def test_a_file_above_the_limit_is_refused_before_and_while_it_comes(tmp_path: Path) -> None:
    async with World.open(tmp_path, max_upload_bytes=1000) as world:
        with pytest.raises(TooLargeError):
            await world.upload("x.gcode", b"x" * 1001)
        announced = world.files.desk.receive(world.caller, 5000)
        with pytest.raises(TooLargeError):
            announced.start_file("file", "x.gcode")
        announced.abandon()
        assert world.all_files() == set()


async def test_uploads_under_way_leave_room_for_each_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "disk_usage", lambda roots, place: {"total": 0, "used": 0, "free": 100 << 20})
    first = world.files.desk.receive(world.caller, 60 << 20)
    first.start_file("file", "a.gcode")
    second = world.files.desk.receive(world.caller, 60 << 20)
    with pytest.raises(NoSpace):
        second.start_file("file", "b.gcode")
    second.abandon()
    first.abandon()
    third = world.files.desk.receive(world.caller, 60 << 20)
    third.start_file("file", "c.gcode")
    third.abandon()
    assert world.all_files() == set()


async def test_a_disk_that_fills_up_is_told_and_left_as_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("gcodes/x.gcode", "old")
    write = os.write

    def filling(descriptor: int, data: memoryview) -> int:
        if len(data) > 10:
            return write(descriptor, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", filling)
    with pytest.raises(NoSpace):
        await world.upload("x.gcode", CONTENT * 3)
    monkeypatch.undo()
    assert world.all_files() == {"gcodes/x.gcode"}
    assert (world.gcodes / "x.gcode").read_text() == "old"


async def test_two_files_in_one_upload_are_refused(world: World) -> None:
    incoming = world.files.desk.receive(world.caller, None)
    incoming.start_file("file", "x.gcode")
    incoming.end_file()
    with pytest.raises(BadParams):
        incoming.start_file("file", "y.gcode")
    incoming.abandon()
    assert world.all_files() == set()


async def test_an_upload_without_a_file_is_refused(world: World) -> None:
    incoming = world.files.desk.receive(world.caller, None)
    incoming.add_field("print", "true")
    with pytest.raises(BadParams):
        await incoming.complete()


# --- printing


async def test_print_starts_when_the_printer_is_ready_and_idle(world: World) -> None:
    world.prints("old.gcode", "complete")
    assert await world.print_upload('it\'s "x".gcode') == (True, False)
    assert world.printer.started == ['SDCARD_PRINT_FILE FILENAME="it\'s \\"x\\".gcode"']


async def test_while_printing_an_upload_is_kept_but_not_started(world: World) -> None:
    world.write("gcodes/old.gcode")
    world.prints("old.gcode")
    assert await world.print_upload("x.gcode") == (False, False)
    assert world.printer.started == []
    assert "gcodes/x.gcode" in world.all_files()


async def test_the_printed_file_can_not_be_uploaded_anew(world: World) -> None:
    world.write("gcodes/x.gcode", "old")
    world.prints("x.gcode")
    with pytest.raises(Forbidden, match="being printed"):
        await world.upload("x.gcode", CONTENT)
    assert (world.gcodes / "x.gcode").read_text() == "old"


async def test_a_print_waits_for_a_klipper_that_is_away(world: World) -> None:
    assert await world.print_upload("x.gcode") == (False, True)
    await trio.testing.wait_all_tasks_blocked()
    world.prints("", "standby")
    world.printer.events.publish(KlippyReady(1))
    await until(lambda: world.printer.started)
    assert world.printer.started == ['SDCARD_PRINT_FILE FILENAME="x.gcode"']


@pytest.mark.parametrize("age", [2000.0, -5.0, 500.0], ids=["too old", "clock set back", "from before the boot"])
async def test_nothing_starts_by_itself_long_after_it_was_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, age: float
) -> None:
    caplog.set_level("INFO")
    await world.upload("x.gcode", CONTENT, print="true")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + age)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: 60.0 if age == 500.0 else 90_000.0)
    world.prints("", "standby")
    world.printer.events.publish(KlippyReady(1))
    await until(lambda: "is not started" in caplog.text)
    assert world.printer.started == []


async def test_a_stopped_printer_does_not_start_by_itself_later(world: World) -> None:
    world.printer.state = "shutdown"
    assert await world.print_upload("x.gcode") == (False, False)


async def test_who_refuses_the_start_does_not_refuse_the_upload(world: World) -> None:
    async def refuse(filename: str) -> None:
        await trio.lowlevel.checkpoint()
        raise Forbidden("not enough filament")

    world.printer.before_print.append(refuse)
    world.prints("", "standby")
    answer = await world.uploaded("x.gcode", CONTENT, print="true")
    assert answer["print_started"] is False
    assert "not enough filament" in str(world.told("notify_gcode_response"))


class Queue:
    """What takes uploads that can't be printed at once."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.is_loading = False
        self.is_full = False

    async def enqueue(self, filename: str, user: str | None = None) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_full:
            raise TooMany("the job queue is full")
        self.files.append(filename)


def nothing(world: World, queue: Queue) -> None:
    world.prints("", "standby")


def is_printing(world: World, queue: Queue) -> None:
    world.prints("old.gcode")


def is_stopped(world: World, queue: Queue) -> None:
    world.printer.state = "shutdown"


def is_away(world: World, queue: Queue) -> None:
    assert not world.printer.connected


def is_loading_another(world: World, queue: Queue) -> None:
    world.prints("", "standby")
    queue.is_loading = True


def refuses(world: World, queue: Queue) -> None:
    async def refuse(filename: str) -> None:
        await trio.lowlevel.checkpoint()
        raise Forbidden("not enough filament")

    world.printer.before_print.append(refuse)
    world.prints("", "standby")


def is_lost_meanwhile(world: World, queue: Queue) -> None:
    async def go_away(filename: str) -> None:
        await trio.lowlevel.checkpoint()
        raise KlippyAway("Klipper went away")

    world.printer.before_print.append(go_away)
    world.prints("", "standby")


def is_printing_and_the_queue_full(world: World, queue: Queue) -> None:
    world.prints("old.gcode")
    queue.is_full = True


@pytest.mark.parametrize(
    ("the_printer", "started", "queued"),
    [
        (nothing, True, False),
        (is_printing, False, True),
        (is_stopped, False, True),
        (is_away, False, True),
        (is_loading_another, False, True),
        (refuses, False, True),
        (is_lost_meanwhile, False, False),  # perhaps it prints
        (is_printing_and_the_queue_full, False, False),
    ],
)
async def test_with_a_queue_what_can_not_be_printed_at_once_waits_there(
    tmp_path: Path, the_printer: Callable[[World, Queue], None], started: bool, queued: bool
) -> None:
    async with World.open(tmp_path, queue_uploads=True) as world:
        queue = Queue()
        world.files.queue_late_prints_in(queue)
        the_printer(world, queue)
        assert await world.print_upload("x.gcode") == (started, queued)
        assert (len(world.printer.started), queue.files) == (int(started), ["x.gcode"] * queued)


async def test_without_the_option_nothing_is_queued(world: World) -> None:
    queue = Queue()
    world.files.queue_late_prints_in(queue)
    world.prints("old.gcode")
    await world.upload("x.gcode", CONTENT, print="true")
    assert queue.files == []


async def test_what_can_be_printed_is_called_as_klipper_calls_it(world: World) -> None:
    world.write("gcodes/sub/part.gcode")
    for name in ("sub/part.gcode", "/sub//part.gcode", "./sub/part.gcode"):
        assert await world.files.printable(name) == "sub/part.gcode"
    for name in ("sub", "nope.gcode", "", "../gcodes/sub/part.gcode", "a\nb"):
        assert await world.files.printable(name) is None


# --- UFP


def ufp(
    model: bytes | None, picture: bytes | None = b"png", *, packing: int = zipfile.ZIP_DEFLATED, more: int = 0
) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packing) as container:
        if model is not None:
            container.writestr("/3D/model.gcode", model)
        if picture is not None:
            container.writestr("/Metadata/thumbnail.png", picture)
        container.writestr("../../escaped.gcode", b"evil")
        for number in range(more):
            container.writestr(f"{number}{'x' * 1000}", b"")
    return made.getvalue()


async def test_an_ufp_becomes_its_gcode(world: World) -> None:
    world.prints("", "standby")
    answer = await world.uploaded("cube.ufp", ufp(CONTENT), print="true")
    assert answer["item"]["path"] == "cube.gcode"
    assert answer["print_started"] is True
    assert (world.gcodes / "cube.gcode").read_bytes() == CONTENT
    assert not [name for name in world.all_files() if name.endswith(".ufp") or "escaped" in name]


@pytest.mark.parametrize(
    "content",
    [
        b"no zip at all",
        ufp(None),
        ufp(CONTENT)[:-30],
        ufp(b"G1 X1\n" * 4_000_000),
        ufp(CONTENT).replace(b"model.gcode", b"model.gcod\0"),
        ufp(CONTENT, packing=zipfile.ZIP_BZIP2),
        ufp(CONTENT, more=300),
    ],
    ids=["no zip", "no model", "cut off", "bomb", "odd name", "unpacked in one go", "many members"],
)
async def test_a_broken_ufp_is_refused_and_leaves_nothing(world: World, content: bytes) -> None:
    with pytest.raises((BadParams, TooLargeError)):
        await world.upload("cube.ufp", content)
    assert world.all_files() == set()


async def test_a_start_that_waits_behind_a_macro_does_not_keep_the_slicer_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "PATIENCE", 0.05)
    async with World.open(tmp_path) as world:
        macro_ended = trio.Event()

        async def busy(filename: str) -> None:
            await macro_ended.wait()

        world.printer.before_print.append(busy)
        world.prints("", "standby")
        assert await world.print_upload("x.gcode") == (False, True)
        macro_ended.set()
        await until(lambda: world.printer.started)


async def test_a_replaced_file_keeps_its_mode(world: World) -> None:
    world.write("config/script.sh", "#!/bin/sh").chmod(0o755)
    await world.upload("script.sh", b"#!/bin/sh\necho", root="config")
    assert (world.paths.config / "script.sh").stat().st_mode & 0o777 == 0o755


async def test_a_path_of_countless_folders_is_refused(world: World) -> None:
    with pytest.raises(BadParams, match="deep"):
        await world.upload("x.gcode", CONTENT, fields_after={"path": "a/" * 200})
    assert not list(world.gcodes.iterdir())


async def test_a_database_that_takes_nothing_stops_neither_files_nor_their_metadata(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*arguments: object, **options: object) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreFailed("the database is full")

    await world.upload("old.gcode", CONTENT, print="true")
    await world.call("metadata", filename="old.gcode")
    monkeypatch.setattr(Database, "write", full)
    assert await world.print_upload("x.gcode") == (False, False)
    await world.call("move", source="gcodes/old.gcode", dest="gcodes/new.gcode")
    await world.call("delete_file", path="gcodes/new.gcode")
    world.prints("", "standby")
    world.printer.events.publish(KlippyReady(1))
    await trio.sleep(0.2)
    assert (await world.call("metadata", filename="x.gcode"))["slicer"] == "Unknown"
    assert world.printer.started == []  # it would start again each time, for nobody can remember that it has
