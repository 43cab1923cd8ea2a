"""`[data_store]`: how much of the past is kept for graphs and consoles."""

from __future__ import annotations

from msgspec import Struct

from trio_moon.config import Section


class DataStoreSettings(Struct, frozen=True):
    """Lengths of what is kept in memory."""

    temperature_store_size: int = 1200
    gcode_store_size: int = 1000

    @classmethod
    def from_section(cls, section: Section) -> DataStoreSettings:
        """The settings of `[data_store]`, present or not; ConfigError names an option that can't be used."""
        return cls(
            section.integer("temperature_store_size", 1200, minimum=1, maximum=100_000),
            section.integer("gcode_store_size", 1000, minimum=1, maximum=100_000),
        )
