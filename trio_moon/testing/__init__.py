"""Public doubles for integration tests: a simulated Klipper and a mock Spoolman, both Trio-native."""

from trio_moon.testing.klipper import SimulatedKlipper
from trio_moon.testing.spoolman import MockSpoolman

__all__ = ["MockSpoolman", "SimulatedKlipper"]
