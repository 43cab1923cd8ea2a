"""Heaters by OctoPrint's names: tool0, tool1 …, bed, chamber; further ones keep Klipper's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from trio_moon.model.errors import BadParams, Conflict

_KINDS = ("heater_generic", "temperature_sensor", "temperature_fan")
_TOOL = re.compile(r"extruder(\d*)")
HOTTEST = 1000.0


def octoprint_name(klipper_name: str) -> str:
    """`extruder1` is `tool1`, `heater_generic my_chamber` is `chamber`."""
    tool = _TOOL.fullmatch(klipper_name)
    if tool:
        return f"tool{tool[1] or 0}"
    if klipper_name == "heater_bed":
        return "bed"
    kind, _, name = klipper_name.partition(" ")
    if kind in _KINDS and "chamber" in name.lower():
        return "chamber"
    return name or klipper_name


def by_octoprint_name(klipper_names: Iterable[str]) -> dict[str, str]:
    """OctoPrint's names with Klipper's; of two chambers the first counts (heaters come before sensors)."""
    found: dict[str, str] = {}
    for name in klipper_names:
        found.setdefault(octoprint_name(name), name)
    return dict(sorted(found.items(), key=lambda item: (not item[0].startswith("tool"), item[0] != "bed")))


def reading(fields: Mapping[str, object]) -> dict[str, object]:
    """One heater as OctoPrint shows it; a sensor has no target."""
    return {"actual": _rounded(fields.get("temperature")), "target": _rounded(fields.get("target")), "offset": 0}


def _rounded(value: object) -> float | None:
    return round(value, 2) if isinstance(value, int | float) and not isinstance(value, bool) else None


def target_gcode(klipper_name: str, target: float) -> str:
    """The command that sets a heater's target; Conflict for a sensor."""
    if not 0 <= target <= HOTTEST:  # NaN too
        raise BadParams(f"{target} is no sensible temperature")
    kind, _, name = klipper_name.partition(" ")
    if kind in _KINDS and kind != "heater_generic":
        raise Conflict(f"'{name}' is a sensor, no heater")
    return f"SET_HEATER_TEMPERATURE HEATER={name or klipper_name} TARGET={target:g}"
