"""The whole service over real sockets: life, signals, and Klipper's news on their way to a frontend."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import trio

from tests.integration.service import Process, configure, running
from tests.until import until
from trio_moon.model.paths import DataPaths
from trio_moon.testing import SimulatedKlipper


async def test_a_frontend_sees_klipper_come_print_and_go(klipper: SimulatedKlipper, tmp_path: Path) -> None:
    (tmp_path / "gcodes" / "a.gcode").write_text("G28\nM83\nG1 X100 E2 F600\n")
    async with running(DataPaths(tmp_path)) as (app, client), client.websocket() as socket:
        while (await client.get("/printer/info")).status_code != 200:
            await trio.sleep(0.05)
        while app.printer.state != "ready":
            await trio.sleep(0.01)
        assert "toolhead" in (await socket.call("printer.objects.list"))["objects"]
        first = await socket.call("printer.objects.subscribe", objects={"print_stats": ["state"]})
        assert first["status"] == {"print_stats": {"state": "standby"}}
        assert await socket.call("printer.print.start", filename="a.gcode") == "ok"
        seen = []
        while "complete" not in seen:
            status, eventtime = (await socket.hear("notify_status_update"))["params"]
            assert eventtime > 0
            seen.append(status["print_stats"]["state"])
        assert seen == ["printing", "complete"]
        await klipper.restart()
        assert "params" not in await socket.hear("notify_klippy_disconnected")
        assert "params" not in await socket.hear("notify_klippy_ready")
        klipper.shut_down("Lost communication with MCU 'mcu'")
        await socket.hear("notify_klippy_shutdown")


async def test_the_console_is_everybodys(klipper: SimulatedKlipper, tmp_path: Path) -> None:
    async with running(DataPaths(tmp_path)) as (app, client):
        while app.printer.state != "ready":
            await trio.sleep(0.01)
        async with client.websocket() as one, client.websocket() as other:
            refused = await one.ask("printer.gcode.script", script="G1 X5")
            assert refused["error"]["code"] == 400
            assert "Must home axis first" in refused["error"]["message"]
            assert "Must home" in (await other.hear("notify_gcode_response"))["params"][0]


async def test_without_klipper_calls_say_so_and_the_service_goes_on(tmp_path: Path) -> None:
    async with running(configure(tmp_path)) as (_, client):
        answer = await client.get("/printer/info")
        assert answer.status_code == 503
        assert "Klipper is not connected" in answer.json()["error"]["message"]
        async with client.websocket() as socket:
            assert (await socket.ask("printer.gcode.script", script="G28"))["error"]["code"] == 503


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_end_it_cleanly_within_two_seconds_whoever_is_connected(process: Process, number: int) -> None:
    client = await process.start()
    async with client.websocket() as socket:
        assert "error" in await socket.ask("no.such.method")
        seconds = await process.end(number)
        assert process.status == 0
        assert seconds < 2.0
    assert process.log.read_text().rstrip().endswith("ended")


def test_a_log_that_can_not_be_written_stops_no_start(tmp_path: Path) -> None:
    paths = configure(tmp_path)
    paths.logs.rmdir()
    paths.logs.symlink_to(tmp_path / "unplugged")
    command = [sys.executable, "-m", "trio_moon", "-d", str(paths.root)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        said = service.stderr.readline()
        while "listening on http" not in (line := service.stderr.readline()):
            assert line, said
        service.terminate()
        service.communicate(timeout=30)
    assert "The log goes to standard error" in said
    assert service.returncode == 0


def test_folders_that_can_not_be_written_are_named_by_a_service_that_runs(tmp_path: Path) -> None:
    paths = configure(tmp_path, "[spoolman]\nserver: http://127.0.0.1:1\n")
    folders = (paths.logs, paths.gcodes, paths.database, paths.comms)
    for folder in folders:
        folder.rmdir()
        folder.write_text("a file")
    command = [sys.executable, "-m", "trio_moon", "-d", str(paths.root)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        said: list[str] = []
        while "listening on http" not in (said[-1] if said else ""):
            said.append(service.stderr.readline())
            assert said[-1], said
        url = said[-1].split("listening on ")[1].split(",")[0].strip()
        warnings = httpx.get(f"{url}/server/info", trust_env=False, timeout=20).json()["result"]["warnings"]
        refused = httpx.post(
            f"{url}/server/database/item", json={"namespace": "x", "key": "y", "value": 1}, trust_env=False, timeout=20
        )
        httpx.post(f"{url}/server/spoolman/spool_id", json={"spool_id": 1}, trust_env=False, timeout=20)
        service.terminate()
        said.append(service.communicate(timeout=30)[1])
    for folder in folders:
        assert any(str(folder) in warning for warning in warnings), (folder, warnings)
    assert refused.status_code == 507
    assert "Traceback" not in "".join(said)
    assert service.returncode == 0


async def test_sighup_opens_the_log_anew(process: Process) -> None:
    await process.start()
    moved = process.log.with_suffix(".old")
    process.log.rename(moved)
    os.kill(process.pid, signal.SIGHUP)
    await until(lambda: process.log.exists() and "reopened" in process.log.read_text())
    await process.end()


async def test_a_second_service_on_the_same_data_ends_before_it_does_anything(process: Process) -> None:
    await process.start()
    second = Process(process.paths)
    with pytest.raises(AssertionError, match="another trio_moon works on"):
        await second.start()
    assert second.status == 1
    await process.end()
    await second.start()
    await second.end()
    second.clean_up()


async def test_a_port_that_is_taken_stops_the_program_with_a_clear_word(process: Process, tmp_path: Path) -> None:
    client = await process.start()
    port = int(client.url.rsplit(":", 1)[1])
    second = Process(configure(tmp_path / "second", port=port))
    with pytest.raises(AssertionError, match=r"(?i)address already in use"):
        await second.start()
    assert second.status == 1
    second.clean_up()


async def test_a_configuration_that_is_not_there_is_said(tmp_path: Path) -> None:
    process = Process(DataPaths(tmp_path / "nowhere"))
    with pytest.raises(AssertionError, match=r"moonraker\.conf"):
        await process.start()
    assert process.status == 1
    process.clean_up()


async def test_a_restart_by_the_api_begins_the_program_anew(process: Process) -> None:
    client = await process.start()
    pid = process.pid
    answer = await client.post("/server/restart")
    assert answer.json() == {"result": "ok"}
    await until(lambda: process.log.read_text().count("listening on http") >= 2)
    assert process.pid == pid
    assert process.status is None
    assert await process.end() < 2


async def test_damaged_rows_of_a_room_keep_nobody_from_the_printer(klipper: SimulatedKlipper, tmp_path: Path) -> None:
    paths = configure(tmp_path)
    async with running(paths):
        pass
    with closing(sqlite3.connect(paths.database / "trio_moon.db")) as connection:
        connection.execute("UPDATE queue_notes SET note = 'x'")
        connection.execute("DROP TABLE history_jobs")
        connection.commit()
    async with running(paths) as (app, client):
        await until(lambda: app.printer.state == "ready")
        assert (await client.result("/server/info"))["klippy_state"] == "ready"
        states = {record.name: record.state for record in app.supervisor.records}
        assert states["history"] == states["job queue"] == "restarting"
