"""The real peers' fixtures."""

from tests.peers.both_services import both_for_strangers, both_services
from tests.peers.kalico import kalico_program, real_klipper, real_time_klipper
from tests.peers.moonraker import moonraker_bin, real_moonraker

__all__ = [
    "both_for_strangers",
    "both_services",
    "kalico_program",
    "moonraker_bin",
    "real_klipper",
    "real_moonraker",
    "real_time_klipper",
]
