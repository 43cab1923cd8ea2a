"""Clients that others wrote for OctoPrint find one: OctoRest, and the library of Home Assistant's integration."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.features.files.samples import ORCA
from tests.integration.service import configure, running
from tests.peers.environment import prepare_peer
from trio_moon.testing import SimulatedKlipper

pytestmark = pytest.mark.peer

ENDLESS = ORCA + "G28\n" + "G1 X100 F600\nG1 X0 F600\n" * 5000
SCRIPT_TIMEOUT = 120.0
WAIT = """
import sys, time
def until(happened):
    for _ in range(600):
        if happened():
            return
        time.sleep(0.05)
    raise AssertionError("it never happened")
"""

OCTOREST = (
    WAIT
    + """
from octorest import OctoRest
url, file = sys.argv[1:]
client = OctoRest(url=url, apikey="88888888")
assert client.version["text"].startswith("OctoPrint"), client.version
result, key = OctoRest(url=url).try_get_api_key("a test", None)
assert key, result
client = OctoRest(url=url, apikey=key)
until(lambda: client.state() == "Operational")
assert client.connection_info()["current"]["port"]
assert client.settings()["feature"]["sdSupport"] is False
assert client.printer_profiles()["profiles"]["_default"]["current"]
assert client.printer_profile("_default")["id"] == "_default"
assert client.upload(file)["done"] is True
assert client.upload(("other.gcode", open(file, "rb")))["files"]["local"]["name"] == "other.gcode"
assert client.new_folder("folder")["done"] is True
client.copy("other.gcode", "folder")
client.move("other.gcode", "folder/moved.gcode")
found = client.files(recursive=True)["files"]
children = next(entry for entry in found if entry["type"] == "folder")["children"]
assert sorted(entry["name"] for entry in children) == ["moved.gcode", "other.gcode"], found
assert client.files("folder")["name"] == "folder"
assert client.files_info("local", "endless.gcode")["gcodeAnalysis"]["estimatedPrintTime"] == 1001
client.delete("folder")
client.home()
client.home(["x", "y"])
client.jog(x=5, z=2)
client.feedrate(100)
client.flowrate(100)
client.tool_target(50)
client.tool_target({"tool0": 0, "tool1": 60})
client.bed_target(40)
until(lambda: client.bed()["bed"]["target"] == 40 and client.tool()["tool1"]["target"] == 60)
client.tool_select(1)
client.extrude(1)
client.retract(1)
client.gcode("M84")
client.gcode(["G90", "M83"])
assert client.printer(history=True, limit=2)["state"]["flags"]["operational"]
assert client.sd() == {"ready": False}
try:
    client.gcode("G1 X99999")
except RuntimeError as error:
    assert "400" in str(error), error
else:
    raise AssertionError("a command that fails must say so")
client.select("endless.gcode")
assert client.job_info()["job"]["file"]["name"] == "endless.gcode"
client.start()
until(lambda: client.state() == "Printing")
job = client.job_info()
assert job["job"]["estimatedPrintTime"] == 1001, job
client.pause()
until(lambda: client.state() == "Paused")
client.resume()
until(lambda: client.state() == "Printing")
client.cancel()
until(lambda: client.state() == "Operational")
client.select("endless.gcode", print=True)
until(lambda: client.state() == "Printing")
client.toggle()
until(lambda: client.state() == "Paused")
client.restart()
until(lambda: client.state() == "Printing")
client.cancel()
until(lambda: client.state() == "Operational")
assert [command["action"] for command in client.system_commands()["core"]]
assert client.source_system_commands("core")
"""
)

PYOCTOPRINTAPI = """
import asyncio, sys
from urllib.parse import urlparse
from pyoctoprintapi import OctoprintClient
async def main(url, file):
    where = urlparse(url)
    client = OctoprintClient(where.hostname, port=where.port)
    client.set_api_key(await client.request_app_key("Home Assistant", "user", 30))
    async def until(wanted):
        for _ in range(600):
            if (await client.get_printer_info()).state.text == wanted:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(wanted)
    await until("Operational")
    info = await client.get_printer_info()
    assert info.has_heated_bed and info.state.flags.ready and not info.state.flags.error
    assert {"tool0", "tool1", "bed"} <= {heater.name for heater in info.temperatures}
    assert all(heater.actual_temp is not None for heater in info.temperatures)
    assert (await client.get_server_info()).version
    assert (await client.get_discovery_info()).upnp_uuid
    camera = await client.get_webcam_info()
    assert camera.enabled and camera.stream_url.endswith("/webcam/?action=stream"), camera.stream_url
    assert camera.external_snapshot_url and camera.internal_snapshot_url
    job = await client.get_job_info()
    assert job.state == "Operational" and job.job.file.name is None and job.progress.completion is None
    await client.set_tool_temperature("tool0", 50)
    await client.set_bed_temperature(40)
    await asyncio.sleep(1)
    targets = {heater.name: heater.target_temp for heater in (await client.get_printer_info()).temperatures}
    assert (targets["tool0"], targets["bed"]) == (50, 40), targets
    await client.turn_tool_off("tool0")
    await client.turn_bed_off()
    await client.connect()
    import aiohttp
    form = aiohttp.FormData({"print": "true"})
    form.add_field("file", open(file, "rb"), filename="endless.gcode")
    async with aiohttp.ClientSession() as session, session.post(url + "/api/files/local", data=form) as answer:
        assert answer.status == 201, await answer.text()
    await until("Printing")
    job = await client.get_job_info()
    assert job.job.file.name == "endless.gcode" and job.job.estimated_print_time == 1001
    await client.pause_job()
    await until("Paused")
    await client.resume_job()
    await until("Printing")
    await client.cancel_job()
    await until("Operational")
    await client._api._session.close()
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="session")
def clients_bin() -> Path:
    """The programs of an environment in which both clients are installed."""
    return prepare_peer("octoprint-clients", "octorest>=0.4,<0.5", "pyoctoprintapi>=0.1.14,<0.2")


@pytest.fixture
async def url(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[str]:
    paths = configure(tmp_path, "[octoprint_compat]")
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, extruders=2, speed=100.0)
    await nursery.start(klipper.run)
    async with running(paths) as (_, client):
        yield client.url


@pytest.mark.parametrize("script", [OCTOREST, PYOCTOPRINTAPI], ids=["OctoRest", "pyoctoprintapi"])
async def test_a_client_does_everything_it_can(script: str, url: str, clients_bin: Path, tmp_path: Path) -> None:
    file = tmp_path / "endless.gcode"
    file.write_text(ENDLESS)
    command = [str(clients_bin / "python"), "-c", script, url, str(file)]
    with trio.fail_after(SCRIPT_TIMEOUT):
        done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()[-3000:]
