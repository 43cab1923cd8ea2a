"""Pytest fixtures for integration tests; use them with `pytest_plugins = ["trio_moon.testing.fixtures"]`.

They are Trio fixtures: pytest-trio must be installed and `trio_mode` on.
"""

from pathlib import Path

import pytest
import trio

from trio_moon.testing.klipper import SimulatedKlipper
from trio_moon.testing.spoolman import MockSpoolman


@pytest.fixture
async def mock_spoolman(nursery: trio.Nursery) -> MockSpoolman:
    """A MockSpoolman that listens on a free port and has one full spool of PLA, number 1."""
    spoolman = MockSpoolman()
    spoolman.add_spool()
    await nursery.start(spoolman.run)
    return spoolman


@pytest.fixture
async def simulated_klipper(nursery: trio.Nursery, tmp_path: Path) -> SimulatedKlipper:
    """A ready, fast printer with two extruders: `tmp_path/klippy.sock`, files in `tmp_path/gcodes`."""
    gcodes = tmp_path / "gcodes"
    gcodes.mkdir(exist_ok=True)
    klipper = SimulatedKlipper(tmp_path / "klippy.sock", gcodes=gcodes, extruders=2, speed=10.0)
    await nursery.start(klipper.run)
    return klipper
