"""The real peers' fixtures."""

from tests.peers.kalico import kalico_program, real_klipper
from tests.peers.moonraker import moonraker_bin, real_moonraker

__all__ = ["kalico_program", "moonraker_bin", "real_klipper", "real_moonraker"]
