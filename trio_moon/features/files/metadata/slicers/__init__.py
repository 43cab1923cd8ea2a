"""One module for each slicer: how to know its files, and where it writes what."""

from __future__ import annotations

from trio_moon.features.files.metadata.excerpt import Excerpt
from trio_moon.features.files.metadata.slicers import (
    bambu,
    cura,
    icesl,
    ideamaker,
    kirimoto,
    kisslicer,
    prusa,
    simplify3d,
    slic3r,
    unknown,
)
from trio_moon.features.files.metadata.slicers.reading import Reading, Slicer

SLICERS: tuple[Slicer, ...] = (
    slic3r.PRUSA_EDITION,
    slic3r.SLIC3R,
    bambu.BAMBU_STUDIO,
    prusa.PRUSA_SLICER,
    cura.CURA,
    simplify3d.SIMPLIFY3D,
    kisslicer.KISSLICER,
    ideamaker.IDEAMAKER,
    icesl.ICESL,
    kirimoto.KIRIMOTO,
)
"""In the order in which they are asked: what a fork's file also looks like comes after the fork."""


def read_slicer(excerpt: Excerpt) -> tuple[Slicer, Reading]:
    """What the slicer of a file says of the print: only what it says."""
    for slicer in SLICERS:
        known = slicer.identify(excerpt.head)
        if known is not None:
            return slicer, _named(*known, slicer.read(excerpt))
    return unknown.UNKNOWN, _named("Unknown", "?", unknown.UNKNOWN.read(excerpt))


def _named(name: str, version: str, reading: Reading) -> Reading:
    told = {key: value for key, value in reading.items() if value is not None}
    return {"slicer": name, "slicer_version": version, **told}
