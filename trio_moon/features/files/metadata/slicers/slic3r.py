"""Slic3r and its Prusa Edition, the ancestors: the same configuration, other words for the filament, no pictures."""

from __future__ import annotations

from trio_moon.features.files.metadata import values
from trio_moon.features.files.metadata.excerpt import Excerpt
from trio_moon.features.files.metadata.slicers import prusa
from trio_moon.features.files.metadata.slicers.reading import Reading, Slicer, marked


def _read_edition(excerpt: Excerpt) -> Reading:
    return {**prusa.read(excerpt), "filament_total": values.searched(r"filament\sused\s=\s(\d*\.?\d+)mm", excerpt.tail)}


def _read(excerpt: Excerpt) -> Reading:
    length_m = values.number(excerpt.tail_settings.get("filament_length_m"))
    return {
        **prusa.read(excerpt),
        "filament_total": None if length_m is None else length_m * 1000,
        "filament_weight_total": values.number(excerpt.tail_settings.get("filament mass_g")),
        "estimated_time": None,
    }


PRUSA_EDITION = Slicer(
    marked("Slic3r PE", r"Slic3r\sPrusa\sEdition\s(.*)\son"), _read_edition, has_pictures=False, objects="slicer"
)
SLIC3R = Slicer(marked("Slic3r", r"Slic3r\s(\d.*)\son"), _read, has_pictures=False, objects="slicer")
