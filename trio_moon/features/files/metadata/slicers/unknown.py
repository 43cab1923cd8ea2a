"""A file of nobody we know: what its moves and temperatures tell."""

from __future__ import annotations

from trio_moon.features.files.metadata import values
from trio_moon.features.files.metadata.excerpt import Excerpt
from trio_moon.features.files.metadata.slicers.cura import commanded_temperatures
from trio_moon.features.files.metadata.slicers.reading import Reading, Slicer

HEIGHTS = r"G1\sZ(\d*\.?\d+)\s"


def _read(excerpt: Excerpt) -> Reading:
    return {
        "first_layer_height": values.lowest(values.all_searched(HEIGHTS, excerpt.head)),
        "object_height": values.highest(values.all_searched(HEIGHTS, excerpt.tail)),
        **commanded_temperatures(excerpt.head),
    }


UNKNOWN = Slicer(lambda head: None, _read)
