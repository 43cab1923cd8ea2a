"""Who switches from Moonraker finds everything again: trio_moon takes over what Moonraker's database holds."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.service import Client, configure, running
from tests.moonraker_file import API_KEY, SPOOLS, TOTALS, write_moonraker_database
from trio_moon.model.paths import DataPaths

SPOOLMAN = "[spoolman]\nserver: http://127.0.0.1:1\n"
LOGINS = "[authorization]\nforce_logins: True\ntrusted_clients: 127.0.0.1\n"
WITH_KEY = {"X-Api-Key": API_KEY}


@pytest.fixture
def paths(tmp_path: Path) -> DataPaths:
    paths = configure(tmp_path)
    write_moonraker_database(paths.database / "moonraker-sql.db")
    return paths


async def shown(client: Client, namespace: str) -> Any:
    return (await client.result(f"/server/database/item?namespace={namespace}"))["value"]


async def test_front_ends_find_their_settings_and_cameras(paths: DataPaths) -> None:
    async with running(paths) as (_, client):
        assert await shown(client, "mainsail") == {"general": {"printername": "Voron"}}
        kept = {"num": 3, "ratio": 1.5, "flag": True, "name": "Grüße", "none": None, "list": [1, 2]}
        assert await shown(client, "fluidd") == kept
        (camera,) = (await client.result("/server/webcams/list"))["webcams"]
        assert (camera["uid"], camera["name"], camera["rotation"]) == ("c0ffee", "bed", 180)
        assert camera["flip_horizontal"] is True
        listed = (await client.result("/server/database/list"))["namespaces"]
        assert listed == ["fluidd", "gcode_metadata", "mainsail", "moonraker", "webcams"]


async def test_the_history_goes_on_with_its_numbers_and_totals(paths: DataPaths) -> None:
    async with running(paths) as (_, client):
        jobs = (await client.result("/server/history/list?order=asc"))["jobs"]
        assert [job["job_id"] for job in jobs] == [f"{number:06X}" for number in range(1, 22)]
        assert (jobs[0]["status"], jobs[0]["end_time"], jobs[0]["metadata"]) == ("completed", 1.5, {"size": 1})
        assert jobs[0]["auxiliary_data"] == SPOOLS
        assert (jobs[20]["status"], jobs[20]["end_time"]) == ("interrupted", None)
        assert (await client.result("/server/history/totals"))["job_totals"] == TOTALS


async def test_the_old_key_and_password_still_open_the_door(paths: DataPaths) -> None:
    configure(paths.root, LOGINS)
    async with running(paths) as (_, client):
        assert (await client.get("/server/info")).status_code == 401
        assert (await client.get("/server/info", headers=WITH_KEY)).status_code == 200
        assert (await client.get("/access/api_key", headers=WITH_KEY)).json()["result"] == API_KEY
        users = (await client.get("/access/users/list", headers=WITH_KEY)).json()["result"]["users"]
        assert users == [{"username": "anna", "source": "moonraker", "created_on": 2.5}]
        for password, status in (("Geheim", 400), ("", 400), ("geheim", 200)):
            login = {"username": "anna", "password": password}
            assert (await client.post("/access/login", json=login)).status_code == status
        login = {"username": "lena", "password": ""}
        assert (await client.post("/access/login", json=login)).status_code == 400


async def test_a_new_password_takes_the_place_of_the_one_that_was_taken_over(paths: DataPaths) -> None:
    async with running(paths) as (_, client):
        token = (await client.post("/access/login", json={"username": "anna", "password": "geheim"})).json()["result"]
        bearer = {"Authorization": f"Bearer {token['token']}"}
        change = {"password": "geheim", "new_password": "neu"}
        assert (await client.post("/access/user/password", json=change, headers=bearer)).status_code == 200
    async with running(paths) as (_, client):
        for password, status in (("geheim", 400), ("neu", 200)):
            login = {"username": "anna", "password": password}
            assert (await client.post("/access/login", json=login)).status_code == status


async def test_the_active_spool_stays_active(paths: DataPaths) -> None:
    configure(paths.root, SPOOLMAN)
    async with running(paths) as (_, client):
        status = await client.result("/server/spoolman/status")
        assert (status["spool_id"], status["pending_reports"], status["unassigned"]) == (2, [], 0.0)


async def test_it_is_taken_over_once(paths: DataPaths) -> None:
    configure(paths.root, SPOOLMAN)
    async with running(paths) as (_, client):
        key = (await client.post("/access/api_key")).json()["result"]
        await client.post("/server/spoolman/spool_id", json={"spool_id": 1})
        await client.request("DELETE", "/server/history/job?all=true")
        await client.request("DELETE", "/server/database/item?namespace=mainsail&key=general")
    async with running(paths) as (_, client):
        assert (await client.get("/access/api_key")).json()["result"] == key != API_KEY
        assert (await client.get("/server/info", headers=WITH_KEY)).status_code == 401
        assert (await client.result("/server/spoolman/status"))["spool_id"] == 1
        assert (await client.result("/server/history/list"))["jobs"] == []
        assert "mainsail" not in (await client.result("/server/database/list"))["namespaces"]


async def test_moonrakers_file_stays_as_it_is(paths: DataPaths) -> None:
    file = paths.database / "moonraker-sql.db"
    before = file.read_bytes()
    async with running(paths):
        assert sorted(path.name for path in file.parent.glob("moonraker*")) == [file.name]
    assert file.read_bytes() == before


async def test_no_namespace_of_moonrakers_can_bring_users_of_ours(tmp_path: Path) -> None:
    paths = configure(tmp_path, LOGINS)
    planted = {("trio_moon.access", "api_key"): b'{"key":"guessed"}', ("authorized_users", "x"): b"{}"}
    write_moonraker_database(paths.database / "moonraker-sql.db", planted)
    async with running(paths) as (_, client):
        assert (await client.get("/server/info", headers={"X-Api-Key": "guessed"})).status_code == 401
        listed = (await client.get("/server/database/list", headers=WITH_KEY)).json()["result"]["namespaces"]
        assert "authorized_users" not in listed


async def test_damaged_entries_cost_themselves_only(paths: DataPaths) -> None:
    changes = (
        "UPDATE namespace_store SET value = x'' WHERE key = 'num'",
        "UPDATE namespace_store SET value = x'7171' WHERE key = 'ratio'",
        "UPDATE namespace_store SET value = 'text' WHERE key = 'flag'",
        "UPDATE namespace_store SET value = x'73ff' WHERE key = 'name'",
        "UPDATE namespace_store SET value = '[[1], 2]' WHERE key = 'protected_namespaces'",
        "UPDATE authorized_users SET salt = 'no hexadecimal' WHERE username = 'anna'",
        "UPDATE authorized_users SET password = '' WHERE username = '_API_KEY_USER_'",
        "UPDATE job_history SET metadata = '{broken', filename = NULL WHERE job_id = 1",
        "UPDATE job_history SET auxiliary_data = '7' WHERE job_id = 2",
    )
    with closing(sqlite3.connect(paths.database / "moonraker-sql.db")) as connection:
        for change in changes:
            connection.execute(change)
        connection.commit()
    async with running(paths) as (_, client):
        assert await shown(client, "fluidd") == {"none": None, "list": [1, 2]}
        jobs = (await client.result("/server/history/list?order=asc&limit=2"))["jobs"]
        assert [(job["filename"], job["metadata"], job["auxiliary_data"]) for job in jobs] == [
            ("", {}, SPOOLS),
            ("2.gcode", {"size": 2}, []),
        ]
        assert (await client.result("/access/users/list"))["users"] == []
        assert len(await client.result("/access/api_key")) == 32


async def test_a_file_that_cannot_be_read_is_told_of_and_nothing_else_suffers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = configure(tmp_path)
    (paths.database / "moonraker-sql.db").write_text("no database at all" * 100)
    with caplog.at_level(logging.WARNING):
        async with running(paths) as (_, client):
            warnings = (await client.result("/server/info"))["warnings"]
    told = [line for line in warnings if "was taken over" in line]
    assert len(told) == 3
    assert "moonraker-sql.db can't be read (file is not a database)" in told[0]
    assert told[0] in caplog.text


async def test_nothing_old_comes_back_when_our_own_file_is_damaged(paths: DataPaths) -> None:
    (paths.database / "trio_moon.db").write_text("no database at all" * 100)
    async with running(paths) as (_, client):
        assert (await client.result("/access/api_key")) != API_KEY
        assert (await client.result("/server/history/list"))["jobs"] == []
