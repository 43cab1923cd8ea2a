"""BambuStudio: PrusaSlicer's configuration at the beginning, and a header block of its own."""

from __future__ import annotations

import re

from trio_moon.features.files.metadata import values
from trio_moon.features.files.metadata.excerpt import Excerpt, said
from trio_moon.features.files.metadata.slicers import prusa
from trio_moon.features.files.metadata.slicers.reading import Reading, Slicer, marked


def _read(excerpt: Excerpt) -> Reading:
    settings = excerpt.head_settings
    block = said(excerpt.head_comments, ":")
    return {
        **prusa.read_settings(settings),
        **prusa.read_printer(excerpt.tail_settings),
        "first_layer_height": values.number(settings.get("initial_layer_print_height")),
        "first_layer_extr_temp": values.number(settings.get("nozzle_temperature_initial_layer")),
        "first_layer_bed_temp": values.number(settings.get("hot_plate_temp_initial_layer")),
        "chamber_temp": values.number(settings.get("chamber_temperatures")),
        "object_height": values.number(block.get("max_z_height")),
        "layer_count": values.whole(block.get("total layer number")),
        "filament_total": values.total(block.get("total filament length [mm]")),
        "filament_lengths": values.numbers(block.get("total filament length [mm]")) or None,
        "filament_weight_total": values.total(block.get("total filament weight [g]")),
        "estimated_time": _time(excerpt),
    }


def _time(excerpt: Excerpt) -> float | None:
    """`model printing time: 13m 58s; total estimated time: 20m 11s`."""
    usual = prusa.estimated_time(excerpt.head_comments)
    match = re.search(r"; total estimated time: ([\ddhms ]+)", excerpt.head)
    return usual if usual is not None or match is None else values.seconds(match[1])


BAMBU_STUDIO = Slicer(marked("BambuStudio", r"; BambuStudio[^ \n]* ([^\n]+)"), _read, objects="slicer")
