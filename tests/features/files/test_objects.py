"""Marks of objects become commands: with the library if it is there, and never half."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.features.files.samples import CURA, ORCA, PRUSA
from tests.features.files.world import World
from trio_moon.features.files.metadata import objects
from trio_moon.features.files.metadata.excerpt import Excerpt

MARKED = PRUSA.replace(
    "G28 ; home\n", "G28 ; home\n; printing object cube id:0 copy 0\nG1 X1 Y1 E1\n; stop printing object\n"
)
LIBRARY = """
def preprocess_slicer(lines):
    yield "; Pre-Processed for Cancel-Object support by preprocess_cancellation v0.2.1\\n"
    for line in lines:
        yield line
        if line.startswith("; printing object"):
            yield "EXCLUDE_OBJECT_START NAME=cube\\n"
def preprocess_m486(lines):
    raise RuntimeError("not today")
"""


def kind(text: str) -> str | None:
    data = text.encode()
    return objects.kind_of_marks(Excerpt(data, data, len(data)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PRUSA, None),
        (MARKED, "slicer"),
        (MARKED.replace("G28", "EXCLUDE_OBJECT_DEFINE NAME=cube\nG28"), None),
        (CURA.replace(";LAYER:0", ";LAYER:0\n;MESH:cube.stl"), "cura"),
        (CURA, None),
        (ORCA.replace("G28 ;", "M486 T3\nG28 ;"), "m486"),
    ],
)
def test_marks_are_known_by_their_slicer(text: str, expected: str | None) -> None:
    assert kind(text) == expected


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the library, for us and for the process that uses it."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / f"{objects.LIBRARY}.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.usefixtures("library")
async def test_an_upload_is_rewritten_before_it_is_printed(tmp_path: Path) -> None:
    async with World.open(tmp_path, process_objects=True) as world:
        world.prints("", "standby")
        assert await world.print_upload("cube.gcode", MARKED.encode()) == (True, False)
        written = (world.gcodes / "cube.gcode").read_text()
        assert "EXCLUDE_OBJECT_START NAME=cube" in written
        found = await world.call("metadata", filename="cube.gcode")
        assert found["file_processors"] == ["preprocess_cancellation"]
        assert found["size"] == len(written)
        assert ("modify_file", "gcodes/cube.gcode") in world.actions()


@pytest.mark.usefixtures("library")
async def test_what_can_not_be_rewritten_stays_as_it_is(tmp_path: Path) -> None:
    async with World.open(tmp_path, process_objects=True) as world:
        text = ORCA.replace("G28 ;", "M486 T3\nG28 ;")
        world.write("gcodes/m486.gcode", text)
        world.write("gcodes/used.gcode", MARKED)
        world.prints("used.gcode")
        for name in ("m486", "used"):
            assert (await world.call("metadata", filename=f"{name}.gcode"))["file_processors"] == []
        assert (world.gcodes / "m486.gcode").read_text() == text
        assert (world.gcodes / "used.gcode").read_text() == MARKED
        assert {name for name in world.all_files() if not name.endswith(".png")} == {
            "gcodes/m486.gcode",
            "gcodes/used.gcode",
        }


@pytest.mark.skipif(objects.is_installed(), reason="the library is installed")
async def test_without_the_library_a_warning_says_what_to_install(tmp_path: Path) -> None:
    async with World.open(tmp_path, process_objects=True) as world:
        assert "trio-moon[objects]" in world.files.warnings()[0]
    async with World.open(tmp_path / "off") as world:
        assert world.files.warnings() == []
