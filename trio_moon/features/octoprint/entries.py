"""Files, folders and filament in OctoPrint's words. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from urllib.parse import quote

RADIUS_MM = 1.75 / 2


def filament_of(metadata: Mapping[str, object]) -> dict[str, object]:
    """`length` in mm, and the same as `tool0` with its volume in cm³."""
    length = metadata.get("filament_total")
    if not isinstance(length, int | float) or isinstance(length, bool):
        return {"length": None}
    return {"length": length, "tool0": {"length": length, "volume": length * math.pi * RADIUS_MM**2 / 1000}}


def resource(path: str) -> str:
    """The address of a file or folder."""
    return f"/api/files/local/{quote(path)}"


def folder_entry(path: str) -> dict[str, object]:
    """A folder, without what is in it."""
    name = path.rpartition("/")[2]
    return {
        "name": name,
        "display": name,
        "path": path,
        "origin": "local",
        "type": "folder",
        "typePath": ["folder"],
        "refs": {"resource": resource(path)},
    }


def file_entry(path: str, file: Mapping[str, object]) -> dict[str, object]:
    """A file; `file` is what our own API tells of it."""
    name = path.rpartition("/")[2]
    modified = file.get("modified")
    return {
        "name": name,
        "display": name,
        "path": path,
        "origin": "local",
        "type": "machinecode",
        "typePath": ["machinecode", "gcode"],
        "size": file.get("size"),
        "date": int(modified) if isinstance(modified, int | float) else None,
        "refs": {"resource": resource(path), "download": f"/server/files/gcodes/{quote(path)}"},
        "gcodeAnalysis": {"estimatedPrintTime": file.get("estimated_time"), "filament": filament_of(file)},
    }
