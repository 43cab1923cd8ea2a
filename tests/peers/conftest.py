"""The real peers' fixtures."""

from tests.peers.moonraker import moonraker_bin, real_moonraker

__all__ = ["moonraker_bin", "real_moonraker"]
