"""A file's filament in OctoPrint's words. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

RADIUS_MM = 1.75 / 2


def filament_of(metadata: Mapping[str, object]) -> dict[str, object]:
    """`length` in mm, and the same as `tool0` with its volume in cm³."""
    length = metadata.get("filament_total")
    if not isinstance(length, int | float) or isinstance(length, bool):
        return {"length": None}
    return {"length": length, "tool0": {"length": length, "volume": length * math.pi * RADIUS_MM**2 / 1000}}
