"""A spool as Spoolman shows it: what we use of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct


class Spool(Struct, frozen=True):
    """One spool at one moment."""

    id: int
    used_mm: float
    remaining_mm: float | None = None
    remaining_g: float | None = None
    archived: bool = False
    name: str = ""
    material: str = ""
    vendor: str = ""
    color: str = ""
    grams_per_mm: float | None = None
    cost_per_gram: float | None = None
    extruder_temp: float | None = None
    bed_temp: float | None = None

    @property
    def label(self) -> str:
        """What a user calls it."""
        words = " ".join(word for word in (self.vendor, self.name or self.material) if word)
        return f"spool {self.id} ({words})" if words else f"spool {self.id}"

    @property
    def cost_per_mm(self) -> float | None:
        if self.cost_per_gram is None or self.grams_per_mm is None:
            return None
        return _number(self.cost_per_gram * self.grams_per_mm)

    @classmethod
    def from_wire(cls, value: object) -> Spool | None:
        """None when it is no spool of Spoolman's."""
        if not isinstance(value, Mapping):
            return None
        spool_id, used_mm = value.get("id"), _number(value.get("used_length"))
        if type(spool_id) is not int or used_mm is None:
            return None
        filament = value.get("filament")
        filament = filament if isinstance(filament, Mapping) else {}
        vendor = filament.get("vendor")
        price = _number(value.get("price"))
        return cls(
            id=spool_id,
            used_mm=used_mm,
            remaining_mm=_number(value.get("remaining_length")),
            remaining_g=_number(value.get("remaining_weight")),
            archived=value.get("archived") is True,
            name=_text(filament.get("name")),
            material=_text(filament.get("material")),
            vendor=_text(vendor.get("name")) if isinstance(vendor, Mapping) else "",
            color=_text(filament.get("color_hex")),
            grams_per_mm=_grams_per_mm(_number(filament.get("density")), _number(filament.get("diameter"))),
            cost_per_gram=_ratio(
                price if price is not None else _number(filament.get("price")),
                _number(value.get("initial_weight")) or _number(filament.get("weight")),
            ),
            extruder_temp=_number(filament.get("settings_extruder_temp")),
            bed_temp=_number(filament.get("settings_bed_temp")),
        )


def _grams_per_mm(density: float | None, diameter: float | None) -> float | None:
    if density is None or diameter is None or density <= 0 or diameter <= 0:
        return None
    return _number(density * math.pi * (diameter / 2) * (diameter / 2) / 1000)


def _ratio(price: float | None, grams: float | None) -> float | None:
    return _number(price / grams) if price is not None and grams else None


def _number(value: object) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
