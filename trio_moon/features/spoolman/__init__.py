"""Filament accounting with Spoolman: measured from Klipper, written down, reported exactly once."""

from trio_moon.features.spoolman.endpoints import endpoints
from trio_moon.features.spoolman.journal import SCHEMA
from trio_moon.features.spoolman.service import Spoolman
from trio_moon.features.spoolman.settings import SpoolmanSettings

__all__ = ["SCHEMA", "Spoolman", "SpoolmanSettings", "endpoints"]
