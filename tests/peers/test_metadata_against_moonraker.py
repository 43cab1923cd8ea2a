"""The real Moonraker reads the same sample files: we find the same, or better with the reason written here."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest

from tests.features.files.samples import SAMPLES
from trio_moon.features.files.metadata.extract import extract_metadata
from trio_moon.features.files.places import Place
from trio_moon.features.files.roots import Root, Roots

pytestmark = pytest.mark.peer

OWN = {"uuid", "modified"}
"""What is different in every reading of a file."""
MORE = {"filament_lengths": "millimetres for each tool, by which the Spoolman room checks each tool's spool"}
"""What we read and Moonraker doesn't, and what for."""
BETTER: dict[str, dict[str, str]] = {
    "bambu": {"estimated_time": "the header tells it, in words that Moonraker doesn't look for"},
    "orca-crlf": {
        "object_height": "Moonraker doesn't find the marks of layers before CRLF and takes the lifted nozzle's height",
        "printer_model": "Moonraker keeps the carriage return",
        "printer_variant": "Moonraker keeps the carriage return",
    },
}
"""Where we differ, and why that is right."""
READ = ["-m", "moonraker.components.file_manager.metadata"]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_same_file_says_the_same(name: str, tmp_path: Path, moonraker_bin: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for folder in (theirs, ours):
        folder.mkdir()
        (folder / f"{name}.gcode").write_text(SAMPLES[name], newline="")
    command = [str(moonraker_bin / "python"), *READ, "-p", str(theirs), "-f", f"{name}.gcode"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=120)
    expected = json.loads(done.stdout)["metadata"]
    found, _ = extract_metadata(Roots([Root("gcodes", ours, writable=True)]), Place("gcodes", (f"{name}.gcode",)))
    better = BETTER.get(name, {})
    different = {
        key: (expected.get(key), found.get(key))
        for key in expected.keys() | found.keys()
        if key not in OWN | MORE.keys() | better.keys() and not same(expected.get(key), found.get(key))
    }
    assert different == {}
    assert all(not same(expected.get(key), found.get(key)) for key in better)


def same(one: object, other: object) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-9)
    return one == other
