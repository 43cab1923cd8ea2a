"""What frontends, slicers and apps take for granted, because Moonraker does so: each a small promise of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.integration.service import Client, configure, running, with_printer
from trio_moon.rpc.caller import Caller, Transport

ME = {"client_name": "test", "version": "1", "type": "web", "url": "http://test"}
STRANGERS = "[authorization]\ntrusted_clients: 10.255.255.0/24\n"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """The service with a ready Klipper."""
    async with with_printer(configure(tmp_path), status_interval=0.05) as (_, _, client):
        yield client


async def test_an_answer_comes_before_the_news_of_what_the_call_changed(client: Client) -> None:
    async with client.websocket() as socket:
        await socket.call("server.webcams.post_item", name="door", stream_url="/x")
        assert "notify_webcams_changed" not in [news["method"] for news in socket.news]
        await socket.hear("notify_webcams_changed")
        await socket.call("access.post_user", username="ann", password="secret")
        assert "notify_user_created" not in [news["method"] for news in socket.news]
        assert (await socket.hear("notify_user_created"))["params"] == [{"username": "ann"}]


async def test_who_creates_a_user_stays_who_they_are(client: Client) -> None:
    async with client.websocket() as socket:
        await socket.call("access.post_user", username="ann", password="secret")
        assert (await socket.call("access.get_user"))["username"] == "_TRUSTED_USER_"
        await socket.call("access.login", username="ann", password="secret")
        assert (await socket.call("access.get_user"))["username"] == "ann"


async def test_a_wrong_password_is_a_400_that_frontends_show(client: Client) -> None:
    login = {"username": "nobody", "password": "x"}
    answer = await client.post("/access/login", json=login)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 400)
    async with client.websocket() as socket:
        assert (await socket.ask("access.login", **login))["error"]["code"] == 400


async def test_a_subscription_to_what_is_not_there_is_told_as_klipper_tells_it(client: Client) -> None:
    async with client.websocket() as socket:
        told = await socket.call("printer.objects.subscribe", objects={"nonsense": None, "toolhead": ["nonsense"]})
        assert told["status"] == {"nonsense": {}, "toolhead": {"nonsense": None}}
        asked = await socket.call("printer.objects.query", objects={"nonsense": None, "toolhead": ["nonsense"]})
        assert asked["status"] == told["status"]


async def test_obicos_agent_names_a_field_without_a_list(client: Client) -> None:
    async with client.websocket() as socket:
        told = await socket.call("printer.objects.subscribe", objects={"print_stats": ["state"], "fan": "speed"})
        assert told["status"] == {"print_stats": {"state": "standby"}, "fan": {"speed": 0.0}}


async def test_nobody_is_warned_of_a_section_that_older_versions_wanted(tmp_path: Path) -> None:
    async with running(configure(tmp_path, "[history]\n")) as (_, client):
        assert (await client.result("/server/info"))["warnings"] == []


async def test_programs_that_show_the_reason_of_an_answer_alone_show_what_is_wrong(client: Client) -> None:
    answer = await client.post("/printer/print/start", params={"filename": "nowhere.gcode"})
    assert (answer.status_code, answer.reason_phrase) == (400, "Unable to open file")
    for name in ("nö.gcode", "long" * 60):  # more than a status line can hold
        answer = await client.get("/server/files/metadata", params={"filename": name})
        assert answer.reason_phrase in ("Not Found", "Bad Request"), answer.reason_phrase


async def test_gcode_may_be_run_by_get_by_whom_no_page_could_play(client: Client) -> None:
    """CYD-Klipper's displays and the Telegram bot know no other way; a picture on a page could do it without a key."""
    key = {"X-Api-Key": await client.result("/access/api_key")}
    heard = {"script": "M118 by GET"}
    for verb, headers in (("GET", {}), ("HEAD", {}), ("HEAD", key)):
        for path in ("/printer/gcode/script", "/printer/emergency_stop"):
            answer = await client.request(verb, path, params=heard, headers=headers)
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), (verb, path)
    assert (await client.get("/printer/gcode/script", params=heard, headers=key)).json() == {"result": "ok"}
    store = (await client.result("/server/gcode_store"))["gcode_store"]
    assert [said["message"] for said in store if said["type"] == "command"] == ["M118 by GET"]
    assert (await client.get("/printer/emergency_stop", headers=key)).status_code == 200
    assert (await client.result("/printer/info"))["state"] == "shutdown"


async def test_a_folder_that_is_gone_is_told_in_words_that_helixscreen_knows(client: Client) -> None:
    assert (await client.post("/server/files/upload", files={"file": ("a.gcode", b"G28\n")})).status_code == 201
    async with client.websocket() as socket:
        for path in ("gcodes/gone", "gcodes/a.gcode"):
            error = (await socket.ask("server.files.get_directory", path=path))["error"]
            assert error == {"code": 400, "message": f"Directory does not exist ({path})"}


async def test_requests_of_the_wrong_kind_are_told_what_is_missing(client: Client) -> None:
    plain = await client.get("/websocket")
    assert plain.status_code == 400
    assert "Upgrade" in plain.json()["error"]["message"]
    empty = await client.post("/server/files/upload")
    assert empty.status_code == 400
    assert "multipart" in empty.json()["error"]["message"]


async def test_strangers_are_told_so_in_the_one_word_that_mainsail_looks_for(tmp_path: Path) -> None:
    async with running(configure(tmp_path, STRANGERS)) as (_, client), client.websocket() as socket:
        for method, params in (("server.connection.identify", ME), ("server.info", {})):
            assert (await socket.ask(method, **params))["error"] == {"code": -32602, "message": "Unauthorized"}
        for path in ("/server/info", "/nowhere"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]["message"]) == (401, "Unauthorized")


async def test_the_pictures_of_gcode_are_shown_to_img_elements_which_show_no_login(tmp_path: Path) -> None:
    paths = configure(tmp_path, STRANGERS)
    for folder in (paths.gcodes, paths.gcodes / "sub", paths.config):
        (folder / ".thumbs").mkdir(parents=True)
        (folder / ".thumbs" / "a-32x32.png").write_bytes(b"picture")
    for hidden in (paths.gcodes / "a.gcode", paths.gcodes / "a.png", paths.gcodes / ".thumbs" / "a.json"):
        hidden.write_bytes(b"mine")
    async with running(paths) as (_, client):
        for path in ("gcodes/.thumbs/a-32x32.png?date=1", "gcodes/sub/.thumbs/a-32x32.png"):
            assert (await client.get(f"/server/files/{path}")).content == b"picture"
            assert (await client.request("DELETE", f"/server/files/{path}")).status_code == 401
        for path in (
            "gcodes/a.gcode",
            "gcodes/a.png",
            "gcodes/.thumbs/a.json",
            "config/.thumbs/a-32x32.png",
            "nowhere",
        ):
            assert (await client.get(f"/server/files/{path}")).status_code == 401


async def test_strangers_hear_no_news_until_they_log_in(tmp_path: Path) -> None:
    async with running(configure(tmp_path, STRANGERS)) as (app, client), client.websocket() as socket:
        for _ in range(2):
            app.audience.announce("notify_test", 1)
            await socket.call("access.info")
        assert socket.news == []
        key = await app.registry.named("access.get_api_key")({}, Caller(Transport.UNIX, None, "_TRUSTED_USER_"))
        await socket.call("server.connection.identify", api_key=key, **ME)
        app.audience.announce("notify_test", 2)
        assert (await socket.hear("notify_test"))["params"] == [2]


async def test_klipperscreen_starts(client: Client) -> None:
    assert (await client.result("/server/info"))["klippy_state"] == "ready"
    token = await client.result("/access/oneshot_token")
    display = {**ME, "client_name": "KlipperScreen", "type": "display"}
    async with client.websocket(f"/websocket?token={token}") as socket:
        assert "connection_id" in await socket.call("server.connection.identify", **display)
        assert "klippy_state" in await socket.call("server.info")
        assert "cpu_info" in (await socket.call("machine.system_info"))["system_info"]
        assert (await socket.call("printer.info"))["state"] == "ready"
        objects = (await socket.call("printer.objects.list"))["objects"]
        wanted = dict.fromkeys(name for name in objects if name != "menu")
        assert set((await socket.call("printer.objects.subscribe", objects=wanted))["status"]) == set(wanted)
        configfile = await socket.call("printer.objects.query", objects={"configfile": None})
        assert "config" in configfile["status"]["configfile"]
        assert "SET_GCODE_OFFSET" in await socket.call("printer.gcode.help")
        assert await socket.call("server.files.list", path="gcodes") == []
        assert await socket.call("server.webcams.list") == {"webcams": []}
        assert "extruder" in await socket.call("server.temperature_store")
        assert "server" in (await socket.call("server.config"))["config"]
        assert (await socket.ask("machine.device_power.devices"))["error"]["code"] == -32601


async def test_slicers_that_speak_moonraker_find_the_first_key_and_the_bare_answer_of_an_upload(client: Client) -> None:
    info = await client.get("/server/info")
    assert next(iter(info.json())) == "result"
    assert info.json()["result"]["moonraker_version"].startswith("v0.")
    roots = await client.result("/server/files/roots")
    writable = [root["name"] for root in roots if "w" in root["permissions"]]
    assert writable == ["gcodes", "config"], "OrcaSlicer proposes the first of them for G-code; Moonraker's is config"
    form = {"root": "gcodes", "plateindex": "1", "print": "false"}
    uploaded = await client.post("/server/files/upload", data=form, files={"file": ("a b.gcode", b"G28\n")})
    assert uploaded.status_code == 201
    assert uploaded.json()["item"]["path"] == "a b.gcode"
    started = await client.post("/printer/print/start", json={"filename": "a b.gcode"})
    assert started.json() == {"result": "ok"}


async def test_batches_are_answered_in_an_array_and_results_are_never_null(client: Client) -> None:
    await client.post("/server/files/upload", files={"file": ("a.gcode", b"G28\n")})
    async with client.websocket() as socket:
        batch: list[dict[str, object]] = [
            {"jsonrpc": "2.0", "method": "server.files.metadata", "params": {"filename": name}, "id": index}
            for index, name in enumerate(("a.gcode", "missing.gcode", "a.gcode"), 100)
        ]
        answers = await socket.exchange(batch)
        assert {answer["id"]: "result" in answer for answer in answers} == {100: True, 101: False, 102: True}
        assert all("error" not in answer for answer in answers if "result" in answer)
        assert answers[1]["error"]["code"] == -32601
        for method in ("printer.gcode.script", "server.logs.rollover", "server.database.list", "server.files.list"):
            params = {"script": "M117"} if method == "printer.gcode.script" else {}
            assert isinstance(await socket.call(method, **params), dict | list | str)


async def test_a_frame_comes_at_least_every_few_seconds(client: Client) -> None:
    async with client.websocket() as socket:
        for _ in range(2):
            with trio.fail_after(10):  # Mainsail hangs up after ten seconds without any
                await socket.hear("notify_proc_stat_update")


async def test_the_theme_that_is_not_there_is_a_404_in_json(client: Client) -> None:
    answer = await client.get("/server/files/config/.theme/default.json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, 404)
    made = {"namespace": "mainsail", "key": "initVersion", "value": "2"}
    assert (await client.post("/server/database/item", json=made)).json()["result"] == made
    assert "mainsail" in (await client.result("/server/database/list"))["namespaces"]


async def test_a_probe_that_closes_at_once_leaves_nothing(client: Client) -> None:
    async with client.websocket():
        pass
    async with client.websocket() as socket:
        with trio.fail_after(10):
            while (await socket.call("server.info"))["websocket_count"] != 1:
                await trio.sleep(0.01)


async def test_who_has_logged_out_hears_no_more_of_the_printer(tmp_path: Path) -> None:
    paths = configure(tmp_path, "[authorization]\nforce_logins: yes\n")
    async with with_printer(paths, status_interval=0.05) as (_, app, client), client.websocket() as socket:
        await socket.call("access.post_user", username="ann", password="secret")
        await socket.call("access.login", username="ann", password="secret")
        await socket.call("printer.objects.subscribe", objects={"heater_bed": None})
        assert len(app.printer.subscriptions) == 1
        await socket.call("access.logout")
        assert len(app.printer.subscriptions) == 0
        assert "error" in await socket.ask("printer.objects.subscribe", objects={"heater_bed": None})
        await socket.call("access.login", username="ann", password="secret")
        assert await socket.call("printer.objects.subscribe", objects={"heater_bed": None})
