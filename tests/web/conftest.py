"""Fixtures: a front on the live lanes, with and without TLS, one that hands everything to Quart-Trio, and a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.world import CERTIFICATES, QUICK, HttpClient, Running, open_front
from trio_moon.web.settings import FrontSettings, find_certificate


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Running]:
    async with open_front(tmp_path) as running:
        yield running


def secure_settings() -> FrontSettings:
    certificate, private_key = find_certificate(CERTIFICATES)
    return FrontSettings(certificate=certificate, private_key=private_key, limits=QUICK)


@pytest.fixture
async def tls(tmp_path: Path) -> AsyncIterator[Running]:
    async with open_front(tmp_path, secure_settings()) as running:
        running.secure = True
        yield running


@pytest.fixture(params=["live", "tls", "cold"])
async def front(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """The same promises hold on every lane."""
    plain = FrontSettings(live_lanes=request.param == "live", limits=QUICK)
    async with open_front(tmp_path, secure_settings() if request.param == "tls" else plain) as running:
        running.secure = request.param == "tls"
        yield running


@pytest.fixture
async def http(front: Running) -> HttpClient:
    return HttpClient(await front.connect())
