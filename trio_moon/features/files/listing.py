"""What is in the roots, as the API tells it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress

from msgspec import Struct

from trio_moon.features.files.places import STAGING, Place
from trio_moon.features.files.roots import Roots, disk_errors
from trio_moon.model.errors import MoonError, NotFound

GCODE_SUFFIXES = (".gcode", ".g", ".gco", ".ufp", ".nc")
GONE: dict[str, object] = {"modified": 0, "size": 0, "permissions": ""}


def is_gcode(place: Place) -> bool:
    """Whether the API treats the file as something to print."""
    return place.root == "gcodes" and place.name.lower().endswith(GCODE_SUFFIXES)


def is_hidden(name: str) -> bool:
    """Whether a name on disk is only ours."""
    return name.endswith(STAGING)


class Found(Struct, frozen=True):
    """One file or folder on disk. `real` is where it is, links resolved."""

    place: Place
    real: str
    status: os.stat_result
    is_link: bool

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)


def find(roots: Roots, place: Place) -> Found:
    """The file or folder at a place; NotFound if there is none."""
    with disk_errors(str(place)):
        real = roots.resolve_file(place)
        return Found(place, real, os.stat(real), os.path.islink(roots.get(place.root).path.joinpath(*place.parts)))


def info(roots: Roots, found: Found) -> dict[str, object]:
    """`modified`, `size` and `permissions`, as every file has them in the API."""
    permissions = roots.permissions(found.place, real=found.real)
    if permissions == "rw" and found.is_link and not found.is_folder:
        permissions = "r"
    return {"modified": found.status.st_mtime, "size": found.status.st_size, "permissions": permissions}


def item(roots: Roots, place: Place) -> dict[str, object]:
    """The `item` of an answer or a notification; a file that is gone has size 0."""
    head: dict[str, object] = {"root": place.root, "path": place.path}
    try:
        return head | info(roots, find(roots, place))
    except MoonError:
        return head | GONE


def scan(roots: Roots, place: Place) -> Iterator[Found]:
    """The files and folders in one folder; what clients may not see is left out."""
    with disk_errors(str(place)):
        folder = roots.resolve(place)
        with os.scandir(folder) as entries:
            for entry in entries:
                found = _seen(roots, place, entry)
                if found is not None:
                    yield found


def _seen(roots: Roots, folder: Place, entry: os.DirEntry[str]) -> Found | None:
    if is_hidden(entry.name):
        return None
    place = folder / entry.name
    try:
        entry.name.encode()
        is_link = entry.is_symlink()
        real = roots.resolve_file(place) if is_link else entry.path
        if roots.is_reserved(real):
            return None
        found = Found(place, real, entry.stat(), is_link)
    except (OSError, MoonError, UnicodeEncodeError):
        return None  # dangling, leading out, just gone, or with a name that JSON can't hold
    return found if found.is_file or found.is_folder else None


def walk(roots: Roots, place: Place, *, enter: Callable[[Place], bool] = lambda folder: True) -> Iterator[Found]:
    """Everything below a folder, each folder before what is in it; each folder once, whatever links say.

    Folders below it that have just gone, or that we may not read (a disk's `lost+found`), count as empty.
    """
    visited = set()
    waiting = [scan(roots, place)]
    while waiting:
        for found in waiting.pop():
            yield found
            key = (found.status.st_dev, found.status.st_ino)
            if found.is_folder and key not in visited and enter(found.place):
                visited.add(key)
                waiting.append(_scan_if_possible(roots, found.place))


def _scan_if_possible(roots: Roots, place: Place) -> Iterator[Found]:
    with suppress(MoonError):
        yield from scan(roots, place)


def list_files(roots: Roots, root: str) -> list[dict[str, object]]:
    """Every file of a root, sorted by name; of `gcodes` only what can be printed."""
    found = [f for f in walk(roots, Place(root)) if f.is_file and (root != "gcodes" or is_gcode(f.place))]
    found.sort(key=lambda f: f.place.path.lower())
    return [{"path": f.place.path, **info(roots, f)} for f in found]


def list_folder(roots: Roots, place: Place) -> dict[str, list[dict[str, object]]]:
    """`dirs` and `files` of one folder."""
    if not os.path.isdir(roots.resolve(place)):
        raise NotFound(f"Directory does not exist ({place})")  # HelixScreen leaves the folder when it reads these words
    listed: dict[str, list[dict[str, object]]] = {"dirs": [], "files": []}
    for found in scan(roots, place):
        if found.is_folder:
            listed["dirs"].append({**info(roots, found), "dirname": found.place.name})
        else:
            listed["files"].append({**info(roots, found), "filename": found.place.name})
    return listed


def disk_usage(roots: Roots, place: Place) -> dict[str, int]:
    """The room on the disk of a folder, in bytes."""
    with disk_errors(str(place)):
        usage = shutil.disk_usage(roots.resolve(place))
    return {"total": usage.total, "used": usage.used, "free": usage.free}
