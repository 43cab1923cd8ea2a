"""The real Moonraker can be had as a peer, and MockSpoolman is a Spoolman to it."""

from pathlib import Path

import httpx
import pytest
import trio

from tests.peers.moonraker import StartMoonraker
from trio_moon.testing.spoolman import MockSpoolman

pytestmark = pytest.mark.peer


async def test_moonraker_connects_to_the_mock_and_reads_a_spool_through_its_proxy(
    real_moonraker: StartMoonraker, mock_spoolman: MockSpoolman, tmp_path: Path
) -> None:
    moonraker = await real_moonraker(tmp_path / "no_klippy.sock", f"[spoolman]\nserver: {mock_spoolman.url}\n")
    async with httpx.AsyncClient(base_url=moonraker.url, timeout=30) as client:
        with trio.fail_after(60):
            await mock_spoolman.wait_until(lambda: len(mock_spoolman.live) == 1)
        wish = {"request_method": "GET", "path": "/v1/spool/1"}
        answer = await client.post("/server/spoolman/proxy", json=wish)
        info = (await client.get("/server/info")).json()["result"]
    assert info["klippy_connected"] is False
    assert answer.json()["result"] == mock_spoolman.spools[1].as_wire()
