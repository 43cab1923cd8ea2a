"""IceSL."""

from __future__ import annotations

import re

from trio_moon.features.files.metadata import values
from trio_moon.features.files.metadata.excerpt import Excerpt, said
from trio_moon.features.files.metadata.slicers.reading import Reading, Slicer


def _identify(head: str) -> tuple[str, str] | None:
    match = re.search(r"<IceSL\s(.+)>", head)
    return ("IceSL", match[1] if match[1][0].isdigit() else "-") if match else None


def _read(excerpt: Excerpt) -> Reading:
    block = said(excerpt.head_comments, ":")
    return {
        "layer_height": values.number(block.get("z_layer_height_mm")),
        "first_layer_height": values.number(block.get("z_layer_height_first_layer_mm")),
        "object_height": values.number(block.get("print_height_mm")),
        "layer_count": values.whole(block.get("layer_count")),
        "nozzle_diameter": values.number(block.get("nozzle_diameter_mm_0")),
        "first_layer_extr_temp": values.number(block.get("extruder_temp_degree_c_0")),
        "first_layer_bed_temp": values.number(block.get("bed_temp_degree_c")),
        "chamber_temp": values.number(block.get("chamber_temp_degree_c")),
        "filament_total": values.number(block.get("filament_used_mm")),
        "filament_weight_total": values.number(block.get("filament_used_g")),
        "filament_name": values.unquoted(block.get("filament_name")),
        "filament_type": values.unquoted(block.get("filament_type")),
        "estimated_time": values.number(block.get("estimated_print_time_s")),
    }


ICESL = Slicer(_identify, _read)
