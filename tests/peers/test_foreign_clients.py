"""Clients that nobody here wrote, from the package index, find what they expect. They need no Klipper of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.integration.service import configure, running
from tests.peers import client_scripts
from tests.peers.environment import prepare_peer
from tests.until import until
from trio_moon.testing import SimulatedKlipper

pytestmark = pytest.mark.peer

REQUIREMENTS = (
    "moonraker-api>=4,<5",
    "moonraker-client>=0.2,<0.3",
    "moonrakerpy>=0.2.2,<0.3",
    "octorest>=0.4,<0.5",
    "pyoctoprintapi>=0.1.14,<0.2",
)
PATIENCE = 90.0


@pytest.fixture(scope="session")
def client_python() -> Path:
    """The interpreter of an environment with the clients."""
    return prepare_peer("clients", *REQUIREMENTS) / "python"


@pytest.fixture
async def port(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[str]:
    """The service's port, with a ready Klipper."""
    paths = configure(tmp_path, "[octoprint_compat]\n")
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, status_interval=0.05)
    await nursery.start(klipper.run)
    async with running(paths) as (app, client):
        await until(lambda: app.printer.state == "ready", within=PATIENCE)
        yield client.url.rpartition(":")[2]


async def told_by(python: Path, script: str, port: str) -> Any:
    """What a client's script prints."""
    with trio.fail_after(PATIENCE):
        ended = await trio.run_process(
            [str(python), "-W", "ignore", "-c", script, port], capture_stdout=True, capture_stderr=True, check=False
        )
    assert ended.returncode == 0, ended.stderr.decode()
    return json.loads(ended.stdout.splitlines()[-1])


async def test_home_assistants_moonraker_api(client_python: Path, port: str) -> None:
    told = await told_by(client_python, client_scripts.MOONRAKER_API, port)
    states = told.pop("states")
    assert told == {"klippy": "ready", "host": "ready", "modules": True, "server": "ready", "files": [], "heard": True}
    assert states[-1] in ("ws_stopped", "ws_stopping")
    assert "klippy_ready" in states or "ws_connected" in states


async def test_octorest_uploads_prints_and_deletes(client_python: Path, port: str) -> None:
    told = await told_by(client_python, client_scripts.OCTOREST, port)
    assert told == {"version": "0.1", "state": "Operational", "tools": ["tool0"], "size": 14, "left": []}


async def test_home_assistants_octoprint_api(client_python: Path, port: str) -> None:
    told = await told_by(client_python, client_scripts.PYOCTOPRINTAPI, port)
    assert told.pop("api")
    assert told == {
        "operational": True,
        "temperatures": ["bed", "tool0"],
        "job": "Operational",
        "upnp": True,
    }


async def test_moonrakerpy(client_python: Path, port: str) -> None:
    told = await told_by(client_python, client_scripts.MOONRAKERPY, port)
    assert "extruder" in told.pop("sensors")
    assert told == {"sent": True, "gcode": True, "homed": True, "temperatures": True}


async def test_moonraker_client(client_python: Path, port: str) -> None:
    told = await told_by(client_python, client_scripts.MOONRAKER_CLIENT, port)
    assert told.pop("version")
    assert {"extruder", "heater_bed"} <= set(told.pop("heaters"))
    assert told == {"printing": False, "subscribed": ["toolhead"], "info": "ready"}
