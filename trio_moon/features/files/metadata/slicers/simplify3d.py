"""Simplify3D: `key,value` lines in the header, the sums at the end; version 5 writes temperatures another way."""

from __future__ import annotations

import re

from trio_moon.features.files.metadata import values
from trio_moon.features.files.metadata.excerpt import Excerpt, Said, said
from trio_moon.features.files.metadata.slicers.reading import Reading, Slicer, marked
from trio_moon.features.files.metadata.slicers.unknown import HEIGHTS

_SPANS = ((r"(\d{1,9})\shours?", 3600), (r"(\d{1,9})\smin", 60), (r"(\d{1,9})\ssec", 1))


def _read(excerpt: Excerpt) -> Reading:
    settings = said(excerpt.head_comments, ",")
    sums = {key.lower(): value for key, value in said(excerpt.tail_comments, ":").items()}
    heater = _heaters_of_5 if "temperatureController" in settings and "temperatureName" not in settings else _heaters
    return {
        "layer_height": values.number(settings.get("layerHeight")),
        "first_layer_height": values.lowest(values.all_searched(HEIGHTS, excerpt.head)),
        "object_height": values.highest(values.all_searched(HEIGHTS, excerpt.tail)),
        "nozzle_diameter": values.number(settings.get("extruderDiameter", settings.get("nozzleDiameter"))),
        "filament_total": values.number(sums.get("filament length", sums.get("material length"))),
        "filament_weight_total": values.number(sums.get("plastic weight", sums.get("material weight"))),
        "filament_name": values.unquoted(settings.get("printMaterial")),
        "filament_type": values.unquoted(said(excerpt.tail_comments, ",").get("makerBotModelMaterial")),
        "estimated_time": _time(sums.get("build time")),
        **heater(settings, excerpt.head),
    }


def _heaters(settings: Said, head: str) -> Reading:
    names = settings.get("temperatureName", "").split(",")
    set_to = dict(zip(names, settings.get("temperatureSetpointTemperatures", "").split(","), strict=False))
    return {
        "first_layer_extr_temp": values.number(set_to.get("Extruder 1")),
        "first_layer_bed_temp": values.number(set_to.get("Heated Bed")),
    }


def _heaters_of_5(settings: Said, head: str) -> Reading:
    return {
        "first_layer_extr_temp": _set_to(head, "extruder"),
        "first_layer_bed_temp": _set_to(head, "platform"),
    }


def _set_to(head: str, kind: str) -> float | None:
    """The first setpoint of the first controller of a kind."""
    for controller in head.split("temperatureController,")[1:]:
        if re.search(rf";\s+temperatureType,{kind}", controller):
            return values.searched(r";\s+temperatureSetpoints,\d+\|(\d+)", controller)
    return None


def _time(text: str | None) -> float | None:
    if text is None:
        return None
    found = [(re.search(pattern, text), span) for pattern, span in _SPANS]
    return sum(int(match[1]) * span for match, span in found if match)


SIMPLIFY3D = Slicer(marked("Simplify3D", r"Simplify3D\(R\)\sVersion\s(.*)"), _read)
