"""Positions and moves as Klipper tells them. Whatever makes no sense is None."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from trio_moon.features.spoolman.ledger import LARGEST_TIME, Moment, Move
from trio_moon.kit.status_box import Status

E_AXIS = 3


def parse_moment(toolhead: Mapping[str, Any]) -> Moment | None:
    """The position that is the active extruder's; None when the fields don't make sense."""
    extruder, axes = toolhead.get("extruder"), toolhead.get("extra_axes")
    if not isinstance(extruder, str) or not extruder:
        return None
    axis = axes.get(extruder, E_AXIS) if isinstance(axes, dict) else E_AXIS
    position_mm = _coordinate(toolhead.get("position"), axis)
    print_time = number(toolhead.get("print_time"))
    if print_time is None or not 0 <= print_time < LARGEST_TIME:
        print_time = math.nan
    return None if position_mm is None else Moment(print_time, extruder, position_mm)


def parse_executed(status: Status) -> Moment | None:
    """Where the active extruder is, of all that was commanded; None when it isn't told."""
    commanded = parse_moment(status.get("toolhead", {}))
    live_mm = _coordinate(status.get("motion_report", {}).get("live_position"), E_AXIS)
    if commanded is None or live_mm is None:
        return None
    # Klipper computes the live position four times a second: it may still be the former extruder's
    return replace(commanded, position_mm=min(live_mm, commanded.position_mm))


def _coordinate(position: object, axis: object) -> float | None:
    if not isinstance(position, (list, tuple)) or not isinstance(axis, int) or not 0 <= axis < len(position):
        return None
    return number(position[axis])


def number(value: object) -> float | None:
    """A finite number, or None."""
    try:
        number = float(value) if isinstance(value, (int, float)) else math.nan
    except OverflowError:  # JSON's integers have no end
        return None
    return number if math.isfinite(number) else None


def parse_move(row: Any) -> Move | None:
    """A row of `dump_trapq`: time, duration, velocity, acceleration, start and direction; None when it is no move."""
    try:
        time, duration, velocity, acceleration, (start, *_), (direction, *_) = row
        end = start + direction * (velocity + 0.5 * acceleration * duration) * duration
        return Move(float(time), float(start), float(end))
    except (TypeError, ValueError, OverflowError):
        return None
