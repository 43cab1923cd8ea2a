"""What a file needs of each tool, as its slicer wrote it down. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from msgspec import Struct

from trio_moon.features.spoolman.spool import Spool


class Need(Struct, frozen=True):
    """So much filament of one tool; None where the slicer didn't say."""

    tool: int
    mm: float | None = None
    grams: float | None = None
    material: str = ""


def needed_mm(need: Need, spool: Spool) -> float | None:
    """How much filament of this spool that is; None where nobody can say."""
    if need.mm is not None:
        return need.mm
    return need.grams / spool.grams_per_mm if need.grams is not None and spool.grams_per_mm else None


def needs_of(metadata: Mapping[str, object]) -> tuple[Need, ...]:
    """The tools that a file really uses, from its metadata (`filament_lengths`, `filament_weights`, …).

    A slicer that tells only a sum is understood when one tool is used; else the amounts are unknown.
    """
    lengths, weights = _numbers(metadata.get("filament_lengths")), _numbers(metadata.get("filament_weights"))
    materials = _words(metadata.get("filament_type"))
    tools = _used_tools(metadata, lengths, weights)
    total_mm, total_g = _number(metadata.get("filament_total")), _number(metadata.get("filament_weight_total"))
    alone = len(tools) == 1
    return tuple(
        Need(
            tool,
            _at(lengths, tool) or (total_mm if alone else None),
            _at(weights, tool) or (total_g if alone else None),
            materials[tool] if tool < len(materials) else (materials[0] if len(materials) == 1 else ""),
        )
        for tool in tools
    )


def _used_tools(metadata: Mapping[str, object], lengths: Sequence[float], weights: Sequence[float]) -> list[int]:
    for amounts in (lengths, weights):
        if any(amounts):
            return [tool for tool, amount in enumerate(amounts) if amount > 0]
    referenced = metadata.get("referenced_tools")
    if isinstance(referenced, list) and referenced and all(type(tool) is int and tool >= 0 for tool in referenced):
        return sorted(set(referenced))
    return [0] if _number(metadata.get("filament_total")) else []


def _numbers(value: object) -> list[float]:
    return [_number(item) or 0.0 for item in value] if isinstance(value, list) else []


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else None


def _at(amounts: Sequence[float], tool: int) -> float | None:
    return amounts[tool] or None if tool < len(amounts) else None


def _words(value: object) -> list[str]:
    if not isinstance(value, str) or not value:
        return []
    try:
        listed = json.loads(value) if value.startswith("[") else value.split(";")
    except (ValueError, RecursionError):
        return [value]
    return [str(word).strip() for word in listed]
