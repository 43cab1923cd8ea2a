"""KISSlicer."""

from __future__ import annotations

import re

from trio_moon.features.files.metadata import values
from trio_moon.features.files.metadata.excerpt import Excerpt
from trio_moon.features.files.metadata.slicers.reading import Reading, Slicer


def _identify(head: str) -> tuple[str, str] | None:
    if re.search(r";\sKISSlicer", head) is None:
        return None
    version = re.search(r";\sversion\s(.*)", head)
    return "KISSlicer", version[1].replace(" ", "-") if version else "?"


def _read(excerpt: Excerpt) -> Reading:
    said = excerpt.head_settings
    lengths = values.all_searched(r";\s+Ext #\d+\s+=\s+(\d*\.?\d+)\s*mm", excerpt.tail)
    minutes = values.searched(r";\sCalculated.*Build\sTime:\s(\d*\.?\d+)\sminutes", excerpt.tail)
    return {
        "layer_height": values.number(said.get("max_layer_thickness_mm")),
        "first_layer_height": values.number(said.get("first_layer_thickness_mm")),
        "object_height": values.highest(values.all_searched(r";\sEND_LAYER_OBJECT\sz=(\d*\.?\d+)", excerpt.tail)),
        "filament_total": sum(lengths) if lengths else None,
        "estimated_time": None if minutes is None else round(minutes * 60, 2),
        "first_layer_extr_temp": values.number(said.get("first_layer_C")),
        "first_layer_bed_temp": values.number(said.get("bed_C")),
        "chamber_temp": values.number(said.get("chamber_C")),
    }


KISSLICER = Slicer(_identify, _read)
