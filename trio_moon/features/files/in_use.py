"""Which file the printer is at work on: nobody may touch it until the print has ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from trio_moon.features.files.places import Place
from trio_moon.features.files.roots import Roots, is_within
from trio_moon.model.errors import Forbidden

AT_WORK = ("printing", "paused")


class Mirror(Protocol):
    """The printer's objects as far as they are known."""

    def get(self, name: str) -> Mapping[str, object]: ...


def is_idle(mirror: Mirror) -> bool:
    """Whether no print is under way."""
    return mirror.get("print_stats").get("state") not in AT_WORK


def file_in_use(mirror: Mirror, gcodes: Path) -> str | None:
    """The real path of the file being printed, None while the printer is idle."""
    if is_idle(mirror):
        return None
    path = mirror.get("virtual_sdcard").get("file_path")
    if not isinstance(path, str) or not path:
        name = mirror.get("print_stats").get("filename")
        if not isinstance(name, str) or not name:
            return None
        path = os.path.join(gcodes, name)
    return os.path.realpath(path)


def check_not_in_use(roots: Roots, place: Place, in_use: str | None) -> None:
    """Forbidden if `place` is the file being printed, or a folder above it. Blocks."""
    if in_use is not None and is_within(in_use, roots.resolve(place)):
        raise Forbidden(f"'{place}' is being printed")
