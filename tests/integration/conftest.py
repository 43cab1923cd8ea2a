"""Klipper below a data path, and a service of its own process on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.integration.service import Process, configure
from trio_moon.testing import SimulatedKlipper


@pytest.fixture
async def klipper(tmp_path: Path, nursery: trio.Nursery) -> SimulatedKlipper:
    paths = configure(tmp_path)
    klipper = SimulatedKlipper(
        paths.comms / "klippy.sock", gcodes=paths.gcodes, speed=50.0, status_interval=0.05, restart_pause=0.1
    )
    await nursery.start(klipper.run)
    return klipper


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(configure(tmp_path))
    yield process
    process.clean_up()
