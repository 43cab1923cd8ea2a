"""Pytest fixtures for integration tests; use them with `pytest_plugins = ["trio_moon.testing.fixtures"]`.

They are Trio fixtures: pytest-trio must be installed and `trio_mode` on.
"""

import pytest
import trio

from trio_moon.testing.spoolman import MockSpoolman


@pytest.fixture
async def mock_spoolman(nursery: trio.Nursery) -> MockSpoolman:
    """A MockSpoolman that listens on a free port and has one full spool of PLA, number 1."""
    spoolman = MockSpoolman()
    spoolman.add_spool()
    await nursery.start(spoolman.run)
    return spoolman
