"""Metadata: found, kept, told, and never at the price of a stall."""

from __future__ import annotations

import io
import os
import time
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.features.files.samples import BAMBU, CURA, MOVES, ORCA, PRUSA, SAMPLES, picture, thumbnail
from tests.features.files.test_uploads import ufp
from tests.features.files.world import World
from tests.until import until
from trio_moon.features.files import SCHEMA
from trio_moon.features.files.metadata import scanner, values
from trio_moon.features.files.metadata.cache import MetadataCache
from trio_moon.features.files.metadata.excerpt import Excerpt
from trio_moon.features.files.metadata.extract import Metadata, extract_metadata
from trio_moon.features.files.metadata.pictures import Picture, find_pictures, picture_name, whole_picture, with_small
from trio_moon.features.files.metadata.slicers import read_slicer
from trio_moon.features.files.places import Place
from trio_moon.features.files.roots import Roots
from trio_moon.model.errors import NoSpace, NotFound
from trio_moon.store.database import Database

SLICERS = {
    "prusa": ("PrusaSlicer", "2.7.1+win64"),
    "super": ("SuperSlicer", "2.5.59"),
    "orca": ("OrcaSlicer", "2.1.1"),
    "bambu": ("BambuStudio", "01.09.05.51"),
    "cura": ("Cura", "5.6.0"),
    "simplify3d": ("Simplify3D", "4.1.2"),
    "slic3r": ("Slic3r", "1.3.0"),
    "slic3r-pe": ("Slic3r PE", "1.41.3+linux64"),
    "ideamaker": ("IdeaMaker", "4.3.2.6470"),
    "kisslicer": ("KISSlicer", "2.0-Beta-0.0.28"),
    "icesl": ("IceSL", "2.4.1"),
    "kirimoto": ("Kiri:Moto", "4.0.1"),
    "unknown": ("Unknown", "?"),
    "empty": ("Unknown", "?"),
}


def excerpt(text: str) -> Excerpt:
    data = text.encode()
    return Excerpt(data, data, len(data))


def reading(name: str) -> dict[str, Any]:
    return read_slicer(excerpt(SAMPLES[name]))[1]


@pytest.mark.parametrize("name", SLICERS)
def test_slicers_are_known_by_their_files(name: str) -> None:
    found = reading(name)
    assert (found["slicer"], found["slicer_version"]) == SLICERS[name]


def test_prusas_configuration_at_the_end_is_read() -> None:
    found = reading("prusa")
    assert found | {"slicer": "", "slicer_version": ""} == {
        "slicer": "",
        "slicer_version": "",
        "layer_height": 0.2,
        "first_layer_height": 0.2,
        "first_layer_extr_temp": 215,
        "first_layer_bed_temp": 60,
        "chamber_temp": 50,
        "nozzle_diameter": 0.4,
        "filament_type": "PLA",
        "filament_name": "Generic PLA; brown",
        "filament_colors": ["#804040"],
        "extruder_colors": ["#FF8000"],
        "filament_temps": [210],
        "referenced_tools": [],
        "mmu_print": 0,
        "filament_change_count": 0,
        "printer_vendor": "PrusaResearch",
        "printer_model": "MK3S",
        "printer_variant": "0.4",
        "object_height": 8.0,
        "estimated_time": 5947,
        "filament_total": 9159.55,
        "filament_weight_total": 27.32,
        "filament_lengths": [9159.55],
        "filament_weights": [27.32],
    }


def test_several_tools_are_summed_and_listed() -> None:
    found = reading("prusa-multi")
    assert found["filament_total"] == pytest.approx(300.75)
    assert found["filament_weights"] == [0.30, 0.60, 0.0]
    assert found["filament_type"] == '["PLA", "PETG", "PVA"]'
    assert found["filament_name"] == '["PLA, red", "PETG green", "PVA"]'
    assert found["first_layer_height"] == pytest.approx(0.3)
    assert found["estimated_time"] == 2 * 86400 + 3 * 3600 + 4 * 60 + 5
    assert found["filament_change_count"] == 12


def test_forks_that_use_bambus_names_only_are_read_too() -> None:
    old = "; first_layer_height = 0.25\n", "; first_layer_temperature = 220\n", "; first_layer_bed_temperature = 55\n"
    new = "; initial_layer_print_height = 0.3\n", "; nozzle_temperature_initial_layer = 230\n", ""
    text = ORCA
    for was, now in zip(old, new, strict=True):
        text = text.replace(was, now)
    found = read_slicer(excerpt(text))[1]
    assert (found["first_layer_height"], found["first_layer_extr_temp"]) == (0.3, 230)
    assert "first_layer_bed_temp" not in found


def test_a_head_of_bambu_with_two_filaments_is_summed() -> None:
    text = BAMBU.replace("[mm] : 2345.67", "[mm] : 100.5,200.5").replace("[g] : 7.00", "[g] : 1.5,2.5")
    found = read_slicer(excerpt(text))[1]
    assert (found["filament_total"], found["filament_weight_total"]) == (301.0, 4.0)


def test_offsets_of_the_first_and_last_command_are_bytes() -> None:
    text = "; größer ¼\n; x\nM104 S200\nG1 X1\nG28 X\n; ende\n"
    found = excerpt(text)
    data = text.encode()
    assert found.first_command_at == data.index(b"\nM104")
    assert found.last_command_until == data.index(b"; ende")


@given(st.text(max_size=200))
def test_values_take_any_text(text: str) -> None:
    for read in (values.number, values.whole, values.numbers, values.total, values.words, values.wholes):
        read(text)
    values.joined(text)
    values.seconds(text)


@given(st.text(st.sampled_from(';=: \n"\\.,019GM%[]thumbnailbeginend'), max_size=400))
def test_any_file_is_read(text: str) -> None:
    for head in ("", *(f"{first}\n" for sample in SAMPLES.values() for first in sample.split("\n", 2)[:2])):
        read_slicer(excerpt(head + text))
        find_pictures(excerpt(head + text))


MEGABYTE = 1 << 20
HOSTILE = {
    "one line": ";" + "x" * MEGABYTE,
    "blank lines": "; x ideaMaker 1,\n;LAYER:0" + "\n" * MEGABYTE,
    "spaces": ";sliced by ideaMaker 1,\n;LAYER:0" + " " * MEGABYTE,
    "generated by": "; generated by " * (MEGABYTE // 15),
    "begins": "; thumbnail begin 32x32 1000\n" * (MEGABYTE // 30),
    "digits": "; generated by PrusaSlicer 1 on 2024-01-01 at 00:00:00\n; layer_height = " + "1" * MEGABYTE,
    "quotes": "; generated by PrusaSlicer 1 on 2024-01-01 at 00:00:00\n; filament_type = " + '",\\' * (MEGABYTE // 3),
    "numbers": "; generated by PrusaSlicer 1 on 2024-01-01 at 00:00:00\n; filament used [mm] = "
    + "1 " * (MEGABYTE // 2),
    "commands": "G1 Z1 F1\n" * (MEGABYTE // 9),
    "open line": "\nG" + "1" * (MEGABYTE - 2),
    "prusa names": "PrusaSlicer on " * (MEGABYTE // 15),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_costs_more_than_moments(name: str) -> None:
    began = time.process_time()
    found = excerpt(HOSTILE[name])
    read_slicer(found)
    find_pictures(found)
    _ = found.first_command_at, found.last_command_until
    assert time.process_time() - began < 5


# --- pictures


def test_pictures_of_three_kinds_are_found_and_qoi_becomes_png() -> None:
    found = find_pictures(excerpt(SAMPLES["super"])) + find_pictures(excerpt(SAMPLES["qoi"]))
    assert [(p.width, p.height, p.ending) for p in found] == [
        (300, 200, "jpg"),
        (64, 48, "png"),
        (48, 48, "png"),
        (300, 300, "png"),
    ]
    qoi = Image.open(io.BytesIO(found[1].data))
    assert (qoi.size, qoi.getpixel((5, 5))) == ((64, 48), (255, 128, 0))


def test_a_small_picture_is_made_of_the_largest_unless_there_is_one() -> None:
    made = with_small(find_pictures(excerpt(PRUSA)))
    assert [(p.width, p.height) for p in made] == [(32, 18), (16, 16), (220, 124)]
    own = find_pictures(excerpt(thumbnail(picture(32, 32), 32, 32)))
    assert with_small(own) == own


def test_a_picture_in_the_colours_of_paper_is_made_small_too() -> None:
    data = io.BytesIO()
    Image.new("CMYK", (300, 300)).save(data, "JPEG")
    small, large = with_small([Picture(300, 300, "jpg", data.getvalue(), "-300x300.jpg")])
    assert ((small.width, small.height), large.data) == ((32, 32), data.getvalue())
    assert whole_picture(data.getvalue()).ending == "png"


def test_a_time_beyond_all_numbers_is_none() -> None:
    text = f"; Simplify3D(R) Version 4.1.2\n;   Build time: {'9' * 5000} hours 1 minutes\n"
    assert read_slicer(excerpt(text))[1]["slicer"] == "Simplify3D"


@pytest.mark.parametrize(
    "block",
    [
        thumbnail(picture(64, 64), 64, 64).replace("begin 64x64 ", "begin 64x64 9"),
        thumbnail(b"no picture", 64, 64, "QOI"),
        thumbnail(b"qoif" + b"\xff" * 30, 64, 64, "QOI"),
        thumbnail(picture(64, 64), 64, 64, "TIFF"),
        "; thumbnail begin 32x32 8\n; !!!!!!!!\n; thumbnail end\n",
        "; thumbnail begin 32x32\n; thumbnail end\n",
    ],
)
def test_what_is_no_picture_is_left_out(block: str) -> None:
    assert with_small(find_pictures(excerpt(block + MOVES))) == []


def test_a_picture_of_absurd_size_is_not_decoded() -> None:
    bomb = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(bomb, "PNG")
    found = find_pictures(excerpt(thumbnail(bomb.getvalue(), 300, 300)))
    assert [p.width for p in with_small(found)] == [300]


def test_a_long_name_still_has_room_for_its_pictures() -> None:
    names = {picture_name("é" * 120 + f"{n}.gcode", "-300x300.png") for n in range(3)}
    assert len(names) == 3
    assert all(len(name.encode()) <= 255 for name in names)


# --- the room


async def test_metadata_is_found_when_asked_for(world: World) -> None:
    file = world.write("gcodes/sub/part.gcode", PRUSA)
    found = await world.call("metadata", filename="sub/part.gcode")
    assert found["size"] == len(PRUSA)
    assert found["modified"] == file.stat().st_mtime
    assert found["estimated_time"] == 5947
    assert found["filename"] == "sub/part.gcode"
    assert (found["job_id"], found["print_start_time"], found["file_processors"]) == (None, None, [])
    assert [t["relative_path"] for t in found["thumbnails"]] == [
        ".thumbs/part-32x32.png",
        ".thumbs/part-16x16.png",
        ".thumbs/part-220x124.png",
    ]
    for shown in found["thumbnails"]:
        assert (world.gcodes / "sub" / shown["relative_path"]).stat().st_size == shown["size"]
    assert world.told("notify_metadata_update") == [found]
    assert await world.call("thumbnails", filename="sub/nope.gcode") == []
    assert await world.call("thumbnails", filename="sub/part.gcode") == [
        {"thumbnail_path": f"sub/{t.pop('relative_path')}", **t} for t in found["thumbnails"]
    ]


async def test_metadata_is_kept_until_the_file_changes(world: World) -> None:
    world.write("gcodes/part.gcode", PRUSA)
    first = await world.call("metadata", filename="part.gcode")
    assert (await world.call("metadata", filename="/part.gcode"))["uuid"] == first["uuid"]
    await world.files.note_print("part.gcode", "00002A", 123.5)
    world.write("gcodes/part.gcode", CURA)
    second = await world.call("metadata", filename="part.gcode")
    assert (second["slicer"], second["job_id"], second["print_start_time"]) == ("Cura", "00002A", 123.5)
    thumbs = {name for name in world.all_files() if ".thumbs" in name}
    assert thumbs == {"gcodes/.thumbs/part-32x32.png", "gcodes/.thumbs/part-300x300.png"}
    third = await world.call("metascan", filename="part.gcode")
    assert third["uuid"] != second["uuid"]


async def test_other_rooms_learn_of_files_by_their_names(world: World) -> None:
    world.write("gcodes/sub/part.gcode", PRUSA)
    assert (await world.files.metadata_of("sub/part.gcode"))["estimated_time"] == 5947
    await world.files.note_print("sub/part.gcode", "00000A", 7.5)
    assert (await world.files.metadata_of("sub/part.gcode"))["job_id"] == "00000A"
    assert [await world.files.exists(name) for name in ("sub/part.gcode", "sub", "gone.gcode")] == [True, False, False]


async def test_what_is_no_gcode_has_no_metadata(world: World) -> None:
    world.write("gcodes/notes.txt")
    for filename in ("notes.txt", "missing.gcode", ""):
        with pytest.raises(NotFound):
            await world.call("metadata", filename=filename)
        with pytest.raises(NotFound):
            await world.call("metascan", filename=filename)


async def wait_for_metadata(world: World, count: int) -> list[dict[str, Any]]:
    await until(lambda: len(world.told("notify_metadata_update")) >= count)
    return world.told("notify_metadata_update")


async def test_an_upload_is_scanned_and_shown_in_its_directory(world: World) -> None:
    await world.upload("part.gcode", ORCA.encode())
    await wait_for_metadata(world, 1)
    shown = (await world.call("get_directory", path="gcodes", extended=True))["files"]
    assert [(file["filename"], file["slicer"], file["layer_count"]) for file in shown] == [
        ("part.gcode", "OrcaSlicer", 20)
    ]
    plain = (await world.call("get_directory", path="gcodes"))["files"]
    assert "slicer" not in plain[0]


async def test_metadata_and_pictures_go_along_with_a_file_and_end_with_it(world: World) -> None:
    await world.upload("part.gcode", PRUSA.encode())
    await wait_for_metadata(world, 1)
    await world.files.note_print("part.gcode", "000001", 5.0)
    await world.call("post_directory", path="gcodes/sub")
    await world.call("move", source="gcodes/part.gcode", dest="gcodes/sub/other.gcode")
    moved = (await wait_for_metadata(world, 2))[-1]
    assert (moved["filename"], moved["job_id"]) == ("sub/other.gcode", "000001")
    pictures = {name for name in world.all_files() if name.endswith(".png")}
    assert pictures == {f"gcodes/sub/{t['relative_path']}" for t in moved["thumbnails"]}
    await world.call("move", source="gcodes/sub", dest="gcodes/bus")
    assert (await world.call("metadata", filename="bus/other.gcode"))["uuid"] == moved["uuid"]
    await world.call("delete_file", path="gcodes/bus/other.gcode")
    await until(lambda: not world.all_files())
    assert not (world.gcodes / "bus/.thumbs").exists()


async def test_files_that_came_while_we_were_away_are_scanned_at_the_start(tmp_path: Path) -> None:
    for name in ("a", "b/c"):
        file = tmp_path / f"printer_data/gcodes/{name}.gcode"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(PRUSA)
    async with World.open(tmp_path) as world:
        told = await wait_for_metadata(world, 2)
        assert {news["filename"] for news in told} == {"a.gcode", "b/c.gcode"}


async def test_the_picture_in_an_ufp_is_used(world: World) -> None:
    await world.upload("cube.ufp", ufp(b";Generated with Cura_SteamEngine 5.6.0\nG28\n", picture(128, 128)))
    found = await world.call("metadata", filename="cube.gcode")
    assert [(t["width"], t["relative_path"]) for t in found["thumbnails"]] == [
        (32, ".thumbs/cube-32x32.png"),
        (128, ".thumbs/cube.png"),
    ]


@pytest.mark.slow
async def test_half_a_gigabyte_is_read_in_a_moment(world: World) -> None:
    with (world.gcodes / "huge.gcode").open("wb") as file:
        file.write(PRUSA.encode())
        file.truncate(500 << 20)
        file.seek(0, 2)
        file.write(b"\n" + ORCA.encode())
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = trio.current_time()
            await trio.sleep(0.001)
            longest = max(longest, trio.current_time() - began)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        began = time.process_time()
        found = await world.call("metadata", filename="huge.gcode")
        spent = time.process_time() - began
        nursery.cancel_scope.cancel()
    assert found["slicer"] == "PrusaSlicer"
    assert spent < 1.5
    assert longest < 0.5


async def test_a_file_that_breaks_its_reader_costs_no_other_file(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def extract(roots: Roots, gcode: Place) -> tuple[Metadata, int]:
        if gcode.name == "a.gcode":
            raise KeyError("our own mistake")
        return extract_metadata(roots, gcode)

    monkeypatch.setattr("trio_moon.features.files.metadata.scanner.extract_metadata", extract)
    for name in "ab":
        await world.upload(f"{name}.gcode")
    await until(lambda: world.told("notify_metadata_update"))
    assert [told["filename"] for told in world.told("notify_metadata_update")] == ["b.gcode"]
    assert "gcodes/a.gcode can't be read" in caplog.text


async def test_a_file_from_a_far_future_has_metadata(world: World) -> None:
    os.utime(world.write("gcodes/a.gcode", PRUSA), (1e10, 1e10))
    assert (await world.call("metadata", filename="a.gcode"))["slicer"] == "PrusaSlicer"


@pytest.mark.parametrize("how", ["deleted", "moved"])
async def test_a_file_that_goes_while_it_is_read_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    is_read, goes_on = Event(), Event()

    def slowly(roots: Roots, gcode: Place) -> tuple[Metadata, int]:
        found = extract_metadata(roots, gcode)
        is_read.set()
        assert goes_on.wait(20)
        return found

    monkeypatch.setattr(scanner, "extract_metadata", slowly)
    await world.upload("part.gcode", PRUSA.encode())
    await trio.to_thread.run_sync(is_read.wait, 20)
    if how == "deleted":
        await world.call("delete_file", path="gcodes/part.gcode")
    else:
        await world.call("move", source="gcodes/part.gcode", dest="gcodes/part.txt")
    await trio.sleep(0.1)
    goes_on.set()
    await until(lambda: not world.all_files() - {"gcodes/part.txt"})
    assert not await world.files.metadata.in_folder(Place("gcodes"))


async def test_pictures_of_files_that_went_while_we_were_away_go_at_the_start(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db", (SCHEMA,))
    for there in (True, False):
        async with World.open(tmp_path, database=database) as world:
            if there:
                await world.upload("part.gcode", PRUSA.encode())
                await wait_for_metadata(world, 1)
            else:
                await until(lambda: not world.all_files())
        (world.gcodes / "part.gcode").unlink(missing_ok=True)
    assert not (world.gcodes / ".thumbs").exists()


async def test_metadata_needs_no_room_for_pictures_or_for_itself(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*arguments: object, **options: object) -> None:
        await trio.lowlevel.checkpoint()
        raise NoSpace("the database is full")

    (world.gcodes / ".thumbs").symlink_to(tmp_path)
    monkeypatch.setattr(MetadataCache, "put", full)
    world.write("gcodes/part.gcode", PRUSA)
    found = await world.call("metadata", filename="part.gcode")
    assert (found["slicer"], found["job_id"], found.get("thumbnails")) == ("PrusaSlicer", None, None)
    assert {path.name for path in tmp_path.iterdir()} == {"printer_data"}


async def test_who_ask_at_once_for_a_new_file_share_one_reading(world: World) -> None:
    world.write("gcodes/part.gcode", PRUSA)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(partial(world.call, "metadata", filename="part.gcode"))
    assert len(world.told("notify_metadata_update")) == 1
