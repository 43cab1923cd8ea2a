"""The same files read the same: Moonraker's own reader and ours on a heap of shuffled lines."""

import json
import random
import subprocess
from pathlib import Path

import pytest

from trio_moon.config import Document

FILES = 600
LINES = [
    "[server]",
    "[a b]",
    "[c]  # x",
    "  [d]",
    "host: x",
    "port = 7",
    "x:",
    "x: 1",
    "X Y: 2",
    "y: z # c",
    "z: a;b ;c",
    "w: \\# q",
    "u: a \\; b",
    "v: é",
    "n = [x]",
    "e:    # only",
    "t:\tq",
    "\t tabbed",
    "  more",
    "    deeper # c",
    "  a=b:c",
    "  v: 1",
    "",
    "   ",
    "# c",
    "  ; c",
    "[include inc.conf]",
    "k",
    "[q",
    " : x",
]
READ_ALL = """
import json, logging, pathlib, sys
from moonraker.confighelper import ConfigError, FileSourceWrapper
logging.disable(logging.CRITICAL)
def read(path):
    source = FileSourceWrapper(None)
    try:
        source.read_file(path)
    except ConfigError:
        return None
    return source.as_dict()
print(json.dumps([read(path) for path in sorted(pathlib.Path(sys.argv[1]).glob("*.txt"))]))
"""

pytestmark = pytest.mark.peer


def test_what_moonraker_reads_we_read_and_what_it_refuses_is_a_problem(moonraker_bin: Path, tmp_path: Path) -> None:
    chance = random.Random(7125)
    (tmp_path / "inc.conf").write_text("[server]\nport: 9\n[inc]\nz: 1\n")
    paths = [tmp_path / f"{number:04}.txt" for number in range(FILES)]
    for path in paths:
        path.write_text("\n".join(["[s]", *chance.choices(LINES, k=chance.randrange(8)), ""]), encoding="utf-8")
    done = subprocess.run(
        [moonraker_bin / "python", "-c", READ_ALL, tmp_path], capture_output=True, text=True, timeout=120, check=True
    )
    theirs = json.loads(done.stdout)
    assert len(theirs) == FILES
    assert 100 < theirs.count(None) < FILES - 100, "a test of both outcomes"
    for path, read in zip(paths, theirs, strict=True):
        document = Document.load(path)
        if read is None:
            assert document.problems, path.read_text()
        else:
            assert (document.as_wire()["orig"], document.problems) == (read, []), path.read_text()
