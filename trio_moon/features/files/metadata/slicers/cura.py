"""Cura: a short header, and the temperatures where they are commanded."""

from __future__ import annotations

from trio_moon.features.files.metadata import values
from trio_moon.features.files.metadata.excerpt import Excerpt, said
from trio_moon.features.files.metadata.slicers.reading import Reading, Slicer, marked


def _read(excerpt: Excerpt) -> Reading:
    block = said(excerpt.head_comments, ":")
    added = excerpt.head_settings
    lengths_m = values.numbers(block.get("Filament used"))
    weights = values.numbers(added.get("Filament weight"))
    return {
        "layer_height": values.number(block.get("Layer height")),
        "first_layer_height": values.number(block.get("MINZ")),
        "object_height": values.number(block.get("MAXZ")),
        "layer_count": values.whole(block.get("LAYER_COUNT")),
        "estimated_time": values.highest(values.all_searched(r";TIME:(\d*\.?\d+)", excerpt.head)),
        "filament_total": sum(length * 1000 for length in lengths_m) if lengths_m else None,
        "filament_lengths": [length * 1000 for length in lengths_m] or None,
        "filament_weight_total": sum(weights) if weights else None,
        "filament_weights": weights or None,
        "filament_type": values.unquoted(added.get("Filament type")),
        "filament_name": values.unquoted(added.get("Filament name")),
        "nozzle_diameter": values.number(added.get("Nozzle diameter")),
        **commanded_temperatures(excerpt.head),
    }


def commanded_temperatures(head: str) -> Reading:
    """What the start of the print waits for."""
    return {
        "first_layer_extr_temp": values.searched(r"M109 S(\d*\.?\d+)", head),
        "first_layer_bed_temp": values.searched(r"M190 S(\d*\.?\d+)", head),
        "chamber_temp": values.searched(r"M191 S(\d*\.?\d+)", head),
    }


CURA = Slicer(marked("Cura", r"Cura_SteamEngine\s(.*)"), _read, objects="cura")
