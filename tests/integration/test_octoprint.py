"""The whole service as OctoPrint: what slicers and apps ask, over real sockets, with a simulated printer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.features.files.samples import ORCA
from tests.integration.service import Client, configure, running, with_printer
from tests.until import until
from trio_moon.app import App
from trio_moon.testing import SimulatedKlipper

QUICK = b"G28\nM83\nG1 X100 E2 F600\n"
ENDLESS = b"G28\n" + b"G1 X100 F600\nG1 X0 F600\n" * 5000


@dataclass
class House:
    klipper: SimulatedKlipper
    app: App
    client: Client
    gcodes: Path

    async def text(self) -> str:
        return str((await self.ok("GET", "/api/printer"))["state"]["text"])

    async def until_text(self, wanted: str) -> None:
        with trio.fail_after(30):
            while await self.text() != wanted:
                await trio.sleep(0.02)

    async def ok(self, verb: str, path: str, **options: Any) -> Any:
        answer = await self.client.request(verb, path, **options)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def status(self, verb: str, path: str, **options: Any) -> int:
        return (await self.client.request(verb, path, **options)).status_code

    async def upload(self, name: str, content: bytes, to: str = "/api/files/local", **fields: str) -> httpx.Response:
        return await self.client.post(to, files={"file": (name, content)}, data=fields)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    paths = configure(tmp_path, "[octoprint_compat]")
    async with with_printer(paths, extruders=2, speed=100.0, status_interval=0.05) as (klipper, app, client):
        yield House(klipper, app, client, paths.gcodes)


async def test_who_we_say_we_are(house: House) -> None:
    version = await house.ok("GET", "/api/version")
    assert version["text"].startswith("OctoPrint (Moonraker")
    assert (version["server"], version["api"]) == ("1.5.0", "0.1")
    assert (await house.ok("GET", "/api/server"))["safemode"] == "settings"
    user = await house.ok("GET", "/api/login")
    assert user == await house.ok("POST", "/api/login", json={"passive": True})
    assert user == await house.ok("GET", "/api/currentuser")
    assert (user["name"], user["admin"], user["groups"]) == ("_api", True, ["admins", "users"])
    profile = (await house.ok("GET", "/api/printerprofiles"))["profiles"]["_default"]
    assert (profile["heatedBed"], profile["extruder"]["count"]) == (True, 2)


async def test_settings_tell_of_ufp_and_of_the_camera(house: House) -> None:
    settings = await house.ok("GET", "/api/settings")
    assert settings["plugins"]["UltimakerFormatPackage"]["installed"] is True
    assert settings["feature"] == {"sdSupport": False, "temperatureGraph": False}
    webcam = settings["webcam"]
    assert (webcam["streamUrl"], webcam["webcamEnabled"]) == ("/webcam/?action=stream", True)
    assert (webcam["flipH"], webcam["flipV"], webcam["rotate90"]) == (False, False, False)


async def test_a_made_up_key_does_not_lock_a_slicer_out(house: House) -> None:
    headers = {"X-Api-Key": "88888888"}
    assert await house.status("GET", "/api/version", headers=headers) == 200
    assert await house.status("GET", "/server/info", headers=headers) == 401


async def test_without_its_section_nobody_is_there(tmp_path: Path) -> None:
    async with running(configure(tmp_path)) as (_, client):
        assert (await client.get("/api/version")).status_code == 404


async def test_the_cameras_section_is_used_unless_ours_says_otherwise(tmp_path: Path) -> None:
    sections = """
[octoprint_compat]
enable_ufp: False
flip_v: True

[webcam front]
stream_url: http://camera/stream
snapshot_url: http://camera/snapshot
flip_horizontal: True
rotation: 90
"""
    async with running(configure(tmp_path, sections)) as (_, client):
        settings = (await client.get("/api/settings")).json()
        webcam = settings["webcam"]
        assert "UltimakerFormatPackage" not in settings["plugins"]
        assert (webcam["streamUrl"], webcam["snapshotUrl"]) == ("http://camera/stream", "http://camera/snapshot")
        assert (webcam["flipH"], webcam["flipV"], webcam["rotate90"]) == (True, True, True)


# --- printing


async def test_upload_and_print_then_the_job_tells_how_far_it_is(house: House) -> None:
    content = ORCA.encode() + ENDLESS
    answer = await house.upload("Größe 1.gcode", content, print="true")
    assert answer.status_code == 201
    told = answer.json()
    assert told["item"]["path"] == "Größe 1.gcode"
    assert (told["print_started"], told["effectivePrint"], told["done"]) == (True, True, True)
    assert told["files"]["local"]["refs"]["resource"] == "/api/files/local/Gr%C3%B6%C3%9Fe%201.gcode"
    assert answer.headers["location"] == f"{house.client.url}{told['files']['local']['refs']['resource']}"
    await house.until_text("Printing")
    job = await house.ok("GET", "/api/job")
    assert (job["job"]["file"]["name"], job["job"]["file"]["size"]) == ("Größe 1.gcode", len(content))
    assert job["job"]["estimatedPrintTime"] == 1001
    assert job["job"]["filament"]["length"] == 1699.38
    assert job["state"] == "Printing"
    await until(lambda: (house.app.printer.mirror.get("virtual_sdcard").get("file_position") or 0) != 0)
    progress = (await house.ok("GET", "/api/job"))["progress"]
    assert 0 < progress["completion"] < 100
    assert 0 < progress["filepos"] < len(content)
    assert progress["printTimeOrigin"] in ("analysis", "linear")
    assert await house.status("POST", "/api/job", json={"command": "start"}) == 409
    again = await house.upload("second.gcode", QUICK, print="true")
    assert (again.status_code, again.json()["print_started"]) == (201, False)
    assert (await house.upload("Größe 1.gcode", QUICK)).status_code == 403
    assert await house.status("POST", "/api/job", json={"command": "cancel"}) == 204
    assert (await house.ok("GET", "/api/job"))["state"] == "Operational"


async def test_a_job_is_paused_resumed_and_restarted(house: House) -> None:
    await house.upload("a.gcode", ENDLESS, print="true")
    await house.until_text("Printing")
    for action, text in (("pause", "Paused"), ("pause", "Paused"), ("resume", "Printing"), ("toggle", "Paused")):
        assert await house.status("POST", "/api/job", json={"command": "pause", "action": action}) == 204
        await house.until_text(text)
    assert await house.status("POST", "/api/job", json={"command": "restart"}) == 204
    await house.until_text("Printing")
    assert await house.status("POST", "/api/job", json={"command": "restart"}) == 409
    assert await house.status("POST", "/api/job", json={"command": "cancel"}) == 204
    await house.until_text("Operational")
    for command in ("cancel", "pause"):
        assert await house.status("POST", "/api/job", json={"command": command}) == 409
    assert await house.status("POST", "/api/job", json={"command": "dance"}) == 400
    assert await house.status("POST", "/api/job", json={"command": "pause", "action": "dance"}) == 400


async def test_a_print_that_ended_leaves_an_operational_printer(house: House) -> None:
    await house.upload("a.gcode", QUICK, print="true")
    await until(lambda: house.app.printer.mirror.get("print_stats").get("state") == "complete")
    assert await house.text() == "Operational"
    job = await house.ok("GET", "/api/job")
    assert (job["progress"]["completion"], job["progress"]["printTimeLeft"]) == (100, 0)
    await house.upload("bad.gcode", b"G28\nNONSENSE\nG1 X1000000\n", print="true")
    await until(lambda: house.app.printer.mirror.get("print_stats").get("filename") == "bad.gcode")
    await house.until_text("Operational")


async def test_a_selected_file_is_shown_and_started(house: House) -> None:
    assert await house.status("POST", "/api/job", json={"command": "start"}) == 409
    empty = await house.ok("GET", "/api/job")
    assert empty["job"]["file"]["name"] is None
    assert set(empty["progress"].values()) == {None}
    await house.upload("sub.gcode", ENDLESS, to="/server/files/upload")
    assert await house.status("POST", "/api/files/local/sub.gcode", json={"command": "select"}) == 204
    assert (await house.ok("GET", "/api/job"))["job"]["file"]["name"] == "sub.gcode"
    assert await house.status("POST", "/api/job", json={"command": "start"}) == 204
    await house.until_text("Printing")
    select = {"command": "select", "print": True}
    assert await house.status("POST", "/api/files/local/sub.gcode", json=select) == 409
    assert await house.status("POST", "/api/files/moonraker/gcodes/sub.gcode", json=select) == 409
    assert await house.status("POST", "/api/files/moonraker/gcodes/sub.gcode", json={"command": "select"}) == 204
    assert await house.status("DELETE", "/api/files/local/sub.gcode") == 409
    await house.status("POST", "/api/job", json={"command": "cancel"})
    await house.until_text("Operational")
    assert await house.status("POST", "/api/files/moonraker/gcodes/sub.gcode", json=select) == 204
    await house.until_text("Printing")


async def test_a_print_that_somebody_else_starts_takes_the_place_of_the_selected_file(house: House) -> None:
    for name in ("selected.gcode", "printed.gcode"):
        await house.upload(name, ENDLESS)
    assert await house.status("POST", "/api/files/local/selected.gcode", json={"command": "select"}) == 204
    await house.ok("POST", "/printer/print/start", json={"filename": "printed.gcode"})
    await house.until_text("Printing")
    await house.status("POST", "/api/job", json={"command": "cancel"})
    await house.until_text("Operational")
    assert (await house.ok("GET", "/api/job"))["job"]["file"]["name"] == "printed.gcode"


# --- files


async def test_files_and_folders_are_listed_with_what_is_known(house: House) -> None:
    await house.upload("part.gcode", ORCA.encode(), path="deep/down")
    await house.upload("top.gcode", QUICK)
    (house.gcodes / "notes.txt").write_text("no gcode")
    assert await house.status("GET", "/server/files/metadata", params={"filename": "deep/down/part.gcode"}) == 200
    listed = await house.ok("GET", "/api/files")
    assert listed["total"] >= listed["free"] > 0
    assert {entry["path"]: entry["type"] for entry in listed["files"]} == {"deep": "folder", "top.gcode": "machinecode"}
    whole = await house.ok("GET", "/api/files/local", params={"recursive": "true"})
    deep = next(entry for entry in whole["files"] if entry["name"] == "deep")
    part = deep["children"][0]["children"][0]
    assert (part["path"], part["size"], part["origin"]) == ("deep/down/part.gcode", len(ORCA), "local")
    assert part["gcodeAnalysis"]["estimatedPrintTime"] == 1001
    assert (await house.client.get(part["refs"]["download"])).content == ORCA.encode()
    assert (await house.ok("GET", part["refs"]["resource"]))["name"] == "part.gcode"
    assert [c["name"] for c in (await house.ok("GET", "/api/files/local/deep"))["children"]] == ["down"]
    assert await house.status("GET", "/api/files/local/missing.gcode") == 404
    assert await house.status("GET", "/api/files/sdcard") == 404
    assert await house.status("GET", "/api/files/local/../config/moonraker.conf") in (400, 404)


async def test_links_that_lead_back_do_not_make_a_list_endless(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_moon.features.octoprint.files.MOST_ENTRIES", 50)
    for name in ("here", "there"):
        (house.gcodes / name).symlink_to(".")
    files = {f"{number}.gcode" for number in range(20)}
    for name in files:
        (house.gcodes / name).write_bytes(QUICK)
    with trio.fail_after(20):
        listed = await house.ok("GET", "/api/files?recursive=true")
    assert {entry["name"] for entry in listed["files"]} == {"here", "there", *files}
    assert 20 < str(listed).count("gcodeAnalysis") <= 50 + 20


async def test_files_are_copied_moved_and_deleted(house: House) -> None:
    await house.upload("a.gcode", QUICK)
    for make in ({"json": {"foldername": "new"}}, {"files": {"foldername": (None, b"other")}}):
        made = await house.client.post("/api/files/local", **make)
        assert made.status_code == 201, made.text
        assert made.json()["folder"]["name"] in ("new", "other")
    copy = {"command": "copy", "destination": "new"}
    answer = await house.client.post("/api/files/local/a.gcode", json=copy)
    assert (answer.status_code, answer.json()["path"]) == (201, "new/a.gcode")
    assert await house.status("POST", "/api/files/local/a.gcode", json=copy) == 409
    move = {"command": "move", "destination": "b.gcode"}
    answer = await house.client.post("/api/files/local/a.gcode", json=move)
    assert (answer.status_code, answer.json()["path"]) == (201, "b.gcode")
    assert await house.status("DELETE", "/api/files/local/new") == 204
    assert await house.status("DELETE", "/api/files/local/b.gcode") == 204
    assert await house.status("DELETE", "/api/files/local/b.gcode") == 404
    left = await house.ok("GET", "/api/files", params={"recursive": "true"})
    assert [entry["name"] for entry in left["files"]] == ["other"]


# --- the printer


async def test_every_heater_is_shown_and_set(house: House) -> None:
    shown = (await house.ok("GET", "/api/printer"))["temperature"]
    assert {"tool0", "tool1", "bed"} <= set(shown)
    assert set(shown["tool0"]) == {"actual", "target", "offset"}
    assert await house.status("POST", "/api/printer/tool", json={"command": "target", "targets": {"tool1": 50}}) == 204
    assert await house.status("POST", "/api/printer/bed", json={"command": "target", "target": 40}) == 204
    await until(lambda: house.app.printer.mirror.get("heater_bed").get("target") == 40)
    assert (await house.ok("GET", "/api/printer/bed"))["bed"]["target"] == 40
    tools = await house.ok("GET", "/api/printer/tool", params={"history": "true", "limit": "2"})
    assert tools["tool1"]["target"] == 50
    assert len(tools["history"]) <= 2
    assert await house.status("GET", "/api/printer/chamber") == 409
    assert await house.status("POST", "/api/printer/chamber", json={"command": "target", "target": 40}) == 409
    assert await house.status("POST", "/api/printer/bed", json={"command": "target", "target": -5}) == 400
    assert await house.status("POST", "/api/printer/tool", json={"command": "target", "targets": {"tool9": 5}}) == 409
    without = await house.ok("GET", "/api/printer", params={"exclude": "temperature,sd"})
    assert set(without) == {"state"}


async def test_the_printer_is_shown_as_it_is_however_often_one_asks(house: House) -> None:
    mirror = house.app.printer.mirror
    for target in (30.0, 35.0):
        order = {"command": "target", "target": target}
        assert await house.status("POST", "/api/printer/bed", json=order) == 204
        await until(partial(lambda wanted: mirror.get("heater_bed").get("target") == wanted, target))
        for _ in range(3):
            bed = (await house.ok("GET", "/api/printer"))["temperature"]["bed"]
            assert bed["target"] == target
    mirror.merge({"heater_bed": {"temperature": 31.236}}, mirror.eventtime)
    assert (await house.ok("GET", "/api/printer"))["temperature"]["bed"]["actual"] == 31.24
    house.klipper.shut_down()
    with trio.fail_after(30):
        while await house.text() != "Error":
            await trio.sleep(0.02)


async def test_commands_run_whole_and_refusals_are_told(house: House) -> None:
    assert await house.ok("POST", "/api/printer/command", json={"command": "G28"}) == {}
    assert await house.ok("POST", "/api/printer/command", json={"commands": ["G91", "G1 X5 F6000", "G90"]}) == {}
    assert await house.ok("POST", "/api/printer/command", data={"command": "M84"}) == {}
    bad = await house.client.post("/api/printer/command", json={"commands": ["G28", "G1 X99999"]})
    assert bad.status_code == 400
    assert "out of range" in bad.text
    assert await house.status("POST", "/api/printer/command", json={"commands": []}) == 400
    head = "/api/printer/printhead"
    assert await house.status("POST", head, json={"command": "home", "axes": ["x", "y", "z"]}) == 204
    assert await house.status("POST", head, json={"command": "jog", "x": 10, "z": 1.5, "speed": 3000}) == 204
    assert await house.status("POST", head, json={"command": "feedrate", "factor": 105}) == 204
    assert await house.status("POST", head, json={"command": "jog"}) == 400
    assert await house.status("POST", "/api/printer/tool", json={"command": "select", "tool": "tool1"}) == 204
    assert await house.status("POST", "/api/printer/tool", json={"command": "extrude", "amount": 5}) == 204
    assert await house.status("POST", "/api/printer/tool", json={"command": "flowrate", "factor": 0.95}) == 204


async def test_a_printer_that_stopped_says_error_and_connects_again(house: House) -> None:
    house.klipper.shut_down("thermal runaway")
    await house.until_text("Error")
    assert (await house.ok("GET", "/api/job"))["error"]
    assert await house.status("POST", "/api/printer/command", json={"command": "G28"}) == 409
    assert await house.status("GET", "/api/printer/tool") == 409
    assert (await house.ok("GET", "/api/connection"))["current"]["state"] == "Error"
    assert await house.status("POST", "/api/connection", json={"command": "connect"}) == 204
    await house.until_text("Operational")
    assert await house.status("POST", "/api/connection", json={"command": "connect"}) == 204
    assert await house.status("POST", "/api/connection", json={"command": "disconnect"}) == 409


async def test_without_klipper_uploads_work_and_the_print_waits(tmp_path: Path, nursery: trio.Nursery) -> None:
    paths = configure(tmp_path, "[octoprint_compat]")
    async with running(paths) as (app, client):
        printer = (await client.get("/api/printer")).json()
        assert (printer["state"]["text"], printer["temperature"]) == ("Offline", {})
        assert (await client.post("/api/printer/command", json={"command": "G28"})).status_code == 409
        assert (await client.post("/api/job", json={"command": "start"})).status_code == 409
        answer = await client.post("/api/files/local", files={"file": ("a.gcode", ENDLESS)}, data={"print": "true"})
        assert (answer.json()["print_started"], answer.json()["print_queued"]) == (False, True)
        klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, speed=100.0, status_interval=0.05)
        await nursery.start(klipper.run)
        with trio.fail_after(30):
            while (await client.get("/api/job")).json()["state"] != "Printing":
                await trio.sleep(0.05)
        assert app.printer.mirror.get("print_stats").get("filename") == "a.gcode"


# --- the rest


async def test_system_commands_and_keys(house: House) -> None:
    commands = await house.ok("GET", "/api/system/commands")
    assert [command["action"] for command in commands["core"]] == ["shutdown", "reboot", "restart"]
    assert await house.ok("GET", "/api/system/commands/custom") == []
    assert await house.status("POST", "/api/system/commands/core/dance") == 404
    assert await house.status("GET", "/plugin/appkeys/probe") == 204
    answer = await house.client.post("/plugin/appkeys/request", json={"app": "a test"})
    assert answer.status_code == 201
    address = answer.headers["location"].removeprefix(house.client.url)
    key = (await house.ok("GET", address))["api_key"]
    assert await house.status("GET", "/server/info", headers={"X-Api-Key": key}) == 200
    assert await house.status("GET", address) == 404


async def test_a_slash_too_many_leads_to_the_right_address(house: House) -> None:
    answer = await house.client.get(f"{house.client.url}//api/version")
    assert (answer.status_code, answer.headers["location"]) == (308, f"{house.client.url}/api/version")
