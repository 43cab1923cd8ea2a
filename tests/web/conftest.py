"""Fixtures: a front on the live lanes, one that hands everything to Quart-Trio, and one client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.world import QUICK, HttpClient, Running, open_front
from trio_moon.web.settings import FrontSettings


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Running]:
    async with open_front(tmp_path) as running:
        yield running


@pytest.fixture(params=["live", "cold"])
async def front(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """The same promises hold on every lane."""
    async with open_front(tmp_path, FrontSettings(live_lanes=request.param == "live", limits=QUICK)) as running:
        yield running


@pytest.fixture
async def http(front: Running) -> HttpClient:
    return HttpClient(await front.connect())
