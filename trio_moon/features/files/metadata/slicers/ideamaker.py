"""ideaMaker: tells lengths and densities, from which the weight follows."""

from __future__ import annotations

import math
import re

from trio_moon.features.files.metadata import values
from trio_moon.features.files.metadata.excerpt import Excerpt, said
from trio_moon.features.files.metadata.slicers.cura import commanded_temperatures
from trio_moon.features.files.metadata.slicers.reading import Reading, Slicer, marked


def _read(excerpt: Excerpt) -> Reading:
    block = said(excerpt.head_comments, ":")
    lengths = values.all_searched(r";Material.\d\sUsed:\s+(\d*\.?\d+)", excerpt.tail)
    return {
        "layer_height": _height_of_layer(excerpt.head_comments, "LAYER:1"),
        "first_layer_height": _height_of_layer(excerpt.head_comments, "LAYER:0"),
        "object_height": values.highest(values.numbers(block.get("Bounding Box"))[-1:]),
        "nozzle_diameter": values.searched(r";Dimension:(?:\s\d+\.\d+){3}\s(\d*\.?\d+)", excerpt.head),
        "filament_total": sum(lengths) if lengths else None,
        "filament_weight_total": _weight(excerpt.head, lengths),
        "filament_type": _of_first_tool(excerpt.head, "Type"),
        "filament_name": _of_first_tool(excerpt.head, "Name"),
        "estimated_time": values.searched(r";Print\sTime:\s(\d*\.?\d+)", excerpt.tail),
        **commanded_temperatures(excerpt.head),
        "first_layer_extr_temp": values.searched(r"M109 T0 S(\d*\.?\d+)", excerpt.head),
    }


def _height_of_layer(comments: list[str], layer: str) -> float | None:
    """`;HEIGHT:` stands in one of the next lines."""
    if layer not in comments:
        return None
    at = comments.index(layer)
    return values.number(said(comments[at + 1 : at + 4], ":").get("HEIGHT"))


def _of_first_tool(head: str, what: str) -> str | None:
    match = re.search(rf";Filament\s{what}\s.\d:\s(.*)", head)
    match = match or re.search(rf";Filament\s{what.lower()}\s=\s(.*)", head)
    return values.unquoted(match[1]) if match else None


def _weight(head: str, lengths: list[float]) -> float | None:
    diameters = values.all_searched(r";Filament\sDiameter\s.\d:\s+(\d*\.?\d+)", head)
    densities = values.all_searched(r";Filament\sDensity\s.\d:\s+(\d*\.?\d+)", head)
    if not lengths or not len(lengths) == len(diameters) == len(densities):
        return None
    tools = zip(lengths, diameters, densities, strict=True)
    return sum(math.pi / 4 * diameter**2 * length * density / 1e6 for length, diameter, density in tools)


IDEAMAKER = Slicer(marked("IdeaMaker", r"\sideaMaker\s(.*),"), _read, objects="ideamaker")
