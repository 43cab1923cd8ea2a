"""What the real Moonraker has written down is taken over by the service that follows it on the same data path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.integration.service import configure, running
from tests.peers.moonraker import StartMoonraker
from tests.until import until
from trio_moon.model.paths import DataPaths
from trio_moon.testing import MockSpoolman, SimulatedKlipper

pytestmark = pytest.mark.peer

SAME = (
    "/server/history/list",
    "/server/history/totals",
    "/server/webcams/list",
    "/server/spoolman/spool_id",
    "/server/database/item?namespace=mainsail",
    "/server/database/item?namespace=fluidd",
    "/access/users/list",
    "/access/api_key",
)
SUBSCRIBES_WITHIN = 2.0
"""Moonraker says that Klipper is ready a moment before it has subscribed, and misses prints that begin in between."""
GCODE = "G28\nM83\nG1 E5 F300\nG4 P1500\n"


def is_watched(klipper: SimulatedKlipper) -> bool:
    """Whether Moonraker has subscribed to the last that it asks for, the heaters."""
    asked = [request.params.get("objects") for request in klipper.requests("objects/subscribe")]
    return any(isinstance(objects, dict) and "heater_bed" in objects for objects in asked)


async def results(http: httpx.AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    """What a client is told at these addresses."""
    answers = {path: await http.get(path, headers=headers) for path in SAME}
    assert {answer.status_code for answer in answers.values()} == {200}
    return {path: answer.json()["result"] for path, answer in answers.items()}


async def test_a_client_is_told_the_same_after_the_switch(
    real_moonraker: StartMoonraker, mock_spoolman: MockSpoolman, nursery: trio.Nursery, tmp_path: Path
) -> None:
    spool = mock_spoolman.add_spool()
    paths = DataPaths(tmp_path / "moonraker")
    paths.make()
    (paths.gcodes / "part.gcode").write_text(GCODE)
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes)
    await nursery.start(klipper.run)
    sections = f"[spoolman]\nserver: {mock_spoolman.url}\n[webcam nozzle]\nstream_url: /webcam/\n"
    moonraker = await real_moonraker(paths.comms / "klippy.sock", sections)
    async with httpx.AsyncClient(base_url=moonraker.url, timeout=30) as http:

        async def has_printed() -> bool:
            jobs = (await http.get("/server/history/list")).json()["result"]["jobs"]
            return bool(jobs) and jobs[0]["status"] == "completed"

        async def is_ready() -> bool:
            return bool((await http.get("/server/info")).json()["result"]["klippy_state"] == "ready")

        await until(is_ready, within=60)
        await until(lambda: is_watched(klipper), within=60)
        await trio.sleep(SUBSCRIBES_WITHIN)
        for namespace, key, value in (
            ("mainsail", "general.printername", "Voron"),
            ("fluidd", "number", 3),
            ("fluidd", "share", 1.5),
            ("fluidd", "yes", True),
            ("fluidd", "word", "Grüße"),
            ("fluidd", "rows", [1, {"a": None}]),
        ):
            item = {"namespace": namespace, "key": key, "value": value}
            (await http.post("/server/database/item", json=item)).raise_for_status()
        camera = {"name": "bed", "stream_url": "/webcam2/", "rotation": 180, "flip_horizontal": True}
        (await http.post("/server/webcams/item", json=camera)).raise_for_status()
        (await http.post("/server/spoolman/spool_id", json={"spool_id": spool.id})).raise_for_status()
        (await http.post("/printer/print/start", params={"filename": "part.gcode"})).raise_for_status()
        await until(has_printed, within=60)
        user = {"username": "anna", "password": "geheim"}
        (await http.post("/access/user", json=user)).raise_for_status()
        key = (await http.get("/access/api_key")).json()["result"]
        before = await results(http, {"X-Api-Key": key})
    moonraker.process.terminate()
    await moonraker.process.wait()

    configure(paths.root, sections)
    async with running(paths) as (_, client), httpx.AsyncClient(base_url=client.url, timeout=30) as http:
        assert await results(http, {"X-Api-Key": key}) == before
        (await http.post("/access/login", json=user)).raise_for_status()
