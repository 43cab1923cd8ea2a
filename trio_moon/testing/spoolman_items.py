"""Spoolman's things (vendors, filaments, spools) and its arithmetic between grams and millimetres.

A spool holds *grams*; lengths are derived from them at each reading, and nothing is rounded. That is why a use of
10.5 mm reads back as 10.500000000000002.
"""

import math
from dataclasses import dataclass, field, fields
from datetime import datetime

Json = dict[str, object]


def weight_of(length_mm: float, *, diameter: float, density: float) -> float:
    """Grams of so many millimetres of filament."""
    return density * (length_mm * math.pi * (diameter / 2) ** 2 / 1000)


def length_of(weight_g: float, *, diameter: float, density: float) -> float:
    """Millimetres of so many grams of filament."""
    return (weight_g / density) * 1000 / (math.pi * (diameter / 2) ** 2)


def wire_time(moment: datetime) -> str:
    """A moment as Spoolman writes it: UTC, with a Z."""
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _wire_value(value: object) -> object:
    if isinstance(value, datetime):
        return wire_time(value)
    if isinstance(value, Vendor | Filament):
        return value.as_wire()
    return value


@dataclass(kw_only=True)
class Vendor:
    """A maker of filament."""

    id: int
    registered: datetime
    name: str
    comment: str | None = None
    empty_spool_weight: float | None = None
    external_id: str | None = None
    extra: dict[str, str] = field(default_factory=dict)

    def as_wire(self) -> Json:
        return _as_wire(self)


@dataclass(kw_only=True)
class Filament:
    """A kind of filament; its density and diameter turn grams into millimetres."""

    id: int
    registered: datetime
    name: str | None = None
    vendor: Vendor | None = None
    material: str | None = None
    price: float | None = None
    density: float
    diameter: float
    weight: float | None = None
    spool_weight: float | None = None
    article_number: str | None = None
    comment: str | None = None
    settings_extruder_temp: int | None = None
    settings_bed_temp: int | None = None
    color_hex: str | None = None
    multi_color_hexes: str | None = None
    multi_color_direction: str | None = None
    external_id: str | None = None
    extra: dict[str, str] = field(default_factory=dict)

    def as_wire(self) -> Json:
        answer = _as_wire(self)
        for name in ("color_hex", "multi_color_hexes"):
            if isinstance(value := answer.get(name), str):
                answer[name] = value.upper()
        return answer


@dataclass(kw_only=True)
class Spool:
    """A spool on the shelf: what was used is kept in grams, as Spoolman keeps it."""

    id: int
    registered: datetime
    first_used: datetime | None = None
    last_used: datetime | None = None
    filament: Filament
    price: float | None = None
    initial_weight: float | None = None
    spool_weight: float | None = None
    used_weight: float = 0.0
    location: str | None = None
    lot_nr: str | None = None
    comment: str | None = None
    archived: bool = False
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def used_length(self) -> float:
        """Millimetres taken from this spool, derived from its grams."""
        return self._length(self.used_weight)

    @property
    def remaining_weight(self) -> float | None:
        """Grams left, or None where nobody knows how many there were."""
        full = self.initial_weight if self.initial_weight is not None else self.filament.weight
        return None if full is None else max(full - self.used_weight, 0.0)

    @property
    def remaining_length(self) -> float | None:
        """Millimetres left, or None where nobody knows how many there were."""
        return None if (left := self.remaining_weight) is None else self._length(left)

    def _length(self, weight_g: float) -> float:
        return length_of(weight_g, diameter=self.filament.diameter, density=self.filament.density)

    def as_wire(self) -> Json:
        derived = {
            "remaining_weight": self.remaining_weight,
            "remaining_length": self.remaining_length,
            "used_length": self.used_length,
        }
        return _as_wire(self) | {name: value for name, value in derived.items() if value is not None}


def _as_wire(item: Vendor | Filament | Spool) -> Json:
    values = {each.name: _wire_value(getattr(item, each.name)) for each in fields(item)}
    return {name: value for name, value in values.items() if value is not None}
