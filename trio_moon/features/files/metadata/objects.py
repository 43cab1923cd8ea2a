"""Marks around objects become Klipper's EXCLUDE_OBJECT commands, by the library `preprocess-cancellation`.

Optional and off by default: it reads and writes whole files. A process of its own does that, so that nobody waits.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import trio

from trio_moon.features.files import listing
from trio_moon.features.files.index import Change
from trio_moon.features.files.library import Library
from trio_moon.features.files.metadata.excerpt import Excerpt
from trio_moon.features.files.places import Place
from trio_moon.model.errors import MoonError

logger = logging.getLogger(__name__)

LONGEST = 600.0
"""Seconds that one file may take."""
NICENESS = 10
LIBRARY = "preprocess_cancellation"
_MARKS = {"slicer": "printing object", "cura": "MESH:", "ideamaker": "PRINTING:"}
_DONE = (
    "\nEXCLUDE_OBJECT_DEFINE NAME=",
    "\nDEFINE_OBJECT NAME=",
    "; Pre-Processed for Cancel-Object support by preprocess_cancellation",
)
_PROGRAM = f"""
import os, sys, {LIBRARY}
os.nice({NICENESS})
kind, source, target = sys.argv[1:]
with open(source, encoding="utf-8", newline="") as read, open(target, "w", encoding="utf-8", newline="") as write:
    write.writelines(getattr({LIBRARY}, "preprocess_" + kind)(read))
"""


def is_installed() -> bool:
    """Whether the library is there (`pip install trio-moon[objects]`)."""
    return importlib.util.find_spec(LIBRARY) is not None


def kind_of_marks(excerpt: Excerpt) -> str | None:
    """What the library calls the marks in a file; None if there are none, or if they are Klipper's already."""
    if any(done in excerpt.head for done in _DONE):
        return None
    if "\nM486" in excerpt.head:
        return "m486"
    from trio_moon.features.files.metadata.slicers import read_slicer  # seldom needed

    slicer, _ = read_slicer(excerpt)
    mark = _MARKS.get(slicer.objects or "")
    return slicer.objects if mark and any(line.startswith(mark) for line in excerpt.head_comments) else None


class ObjectProcessing:
    """Rewrites files that have marks of objects, each in one step."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def process(self, gcode: Place) -> bool:
        """Rewrite the file if it needs it; whether it was. What can't be rewritten is left as it is."""
        roots = self._library.roots
        found = await self._library.on_disk(listing.find, roots, gcode)
        kind = await self._library.on_disk(_read_kind, found.real)
        if kind is None or not roots.get(gcode.root).writable:
            return False
        staged = await self._library.on_disk(self._library.staging.enter, gcode.root)
        try:
            if not await _run(kind, found.real, staged):
                return False
            async with self._library.changing(gcode):
                now = await self._library.on_disk(listing.find, roots, gcode)
                if now.status.st_mtime_ns != found.status.st_mtime_ns:
                    return False
                await self._library.on_disk(shutil.copymode, found.real, staged)
                await self._library.on_disk(self._library.staging.publish, staged, gcode)
                await self._library.tell(Change("modify_file", gcode))
        except MoonError as error:
            logger.info("the objects in %s stay unmarked: %s", gcode, error.message)
            return False
        finally:
            with trio.CancelScope(shield=True):
                await self._library.on_disk(self._library.staging.leave, gcode.root, staged)
        return True


def _read_kind(path: str) -> str | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return kind_of_marks(Excerpt.read(descriptor, os.fstat(descriptor).st_size))
    finally:
        os.close(descriptor)


async def _run(kind: str, source: str, target: Path) -> bool:
    """Run the library in a process of its own; whether it succeeded."""
    command = [sys.executable, "-P", "-c", _PROGRAM, kind, source, str(target)]
    done = None
    with trio.move_on_after(LONGEST):
        done = await trio.run_process(
            command, stdin=subprocess.DEVNULL, capture_stdout=True, capture_stderr=True, check=False
        )
    if done is None or done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-500:] if done else f"it took more than {LONGEST:g} s"
        logger.info("the objects in %s stay unmarked: %s", source, said)
        return False
    return True
