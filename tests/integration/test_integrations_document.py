"""Every request of Moonraker's document on third party integrations, letter by letter, over HTTP and JSON-RPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.service import Client, configure, with_printer
from tests.until import until
from trio_moon.testing import MockSpoolman

SECTIONS = """
[octoprint_compat]

[spoolman]
server: {spoolman}

[notifier print_start]
url: json://127.0.0.1:9/
events: started
body: Your printer started printing '{{event_args[1].filename}}'

[notifier print_complete]
url: json://127.0.0.1:9/
events: complete
body: Your printer completed printing '{{event_args[1].filename}}
attach: http://127.0.0.1:9/webcam/?action=snapshot
"""

PROXY = {"request_method": "POST", "path": "/v1/spool", "query": "a=1&b=4", "body": {"filament_id": 1}}
SPOOL = {"id", "registered", "filament", "remaining_weight", "used_weight", "remaining_length", "used_length"}
LOGIN = {"_is_external_client", "_login_mechanism", "name", "active", "user", "admin", "apikey", "permissions"}

Requests = list[tuple[str, str, str, dict[str, Any] | None, set[str]]]

REQUESTS: Requests = [
    ("GET", "/server/notifiers/list", "server.notifiers.list", None, {"notifiers"}),
    ("POST", "/debug/notifiers/test", "debug.notifiers.test", {"name": "print_start"}, {"status", "stats"}),
    (
        "GET",
        "/server/spoolman/status",
        "server.spoolman.status",
        None,
        {"spoolman_connected", "pending_reports", "spool_id"},
    ),
    ("POST", "/server/spoolman/spool_id", "server.spoolman.post_spool_id", {"spool_id": 1}, {"spool_id"}),
    ("GET", "/server/spoolman/spool_id", "server.spoolman.get_spool_id", None, {"spool_id"}),
    ("POST", "/server/spoolman/proxy", "server.spoolman.proxy", PROXY, SPOOL),
    (
        "POST",
        "/server/spoolman/proxy",
        "server.spoolman.proxy",
        {"use_v2_response": True, **PROXY},
        {"response", "error"},
    ),
]

OCTOPRINT: list[tuple[str, str, dict[str, Any] | None, set[str]]] = [
    ("GET", "/api/version", None, {"server", "api", "text"}),
    ("GET", "/api/server", None, {"server", "safemode"}),
    ("GET", "/api/login", None, LOGIN),
    ("GET", "/api/settings", None, {"plugins", "feature", "webcam"}),
    ("GET", "/api/job", None, {"job", "progress", "state"}),
    ("GET", "/api/printer", None, {"temperature", "state"}),
    ("GET", "/api/printerprofiles", None, {"profiles"}),
]


async def is_connected(client: Client) -> object:
    return (await client.result("/server/spoolman/status"))["spoolman_connected"]


@pytest.fixture
async def client(tmp_path: Path, mock_spoolman: MockSpoolman) -> AsyncIterator[Client]:
    paths = configure(tmp_path, SECTIONS.format(spoolman=mock_spoolman.url))
    async with with_printer(paths, debug=True, status_interval=0.05) as (_, _, client):
        await until(partial(is_connected, client))
        yield client


async def test_each_request_is_answered_with_the_documented_fields(client: Client) -> None:
    async with client.websocket() as socket:
        for verb, path, method, params, fields in REQUESTS:
            over_http = await client.request(verb, path, **({} if params is None else {"json": params}))
            assert over_http.status_code == 200, (path, over_http.text)
            over_rpc = await socket.call(method, **(params or {}))
            for answer in (over_http.json()["result"], over_rpc):
                assert fields <= answer.keys(), (path, answer)


async def test_what_the_answers_say(client: Client) -> None:
    first, second = (await client.result("/server/notifiers/list"))["notifiers"]
    assert {name: first[name] for name in ("name", "events", "title", "attach")} == {
        "name": "print_start",
        "events": ["started"],
        "title": None,
        "attach": None,
    }
    assert second["attach"] == "http://127.0.0.1:9/webcam/?action=snapshot"
    wrong = {"use_v2_response": True, "request_method": "GET", "path": "/v1/spool/3"}
    answer = (await client.post("/server/spoolman/proxy", json=wrong)).json()["result"]
    assert answer["response"] is None
    assert answer["error"]["status_code"] == 404
    assert "3" in answer["error"]["message"]
    async with client.websocket() as socket:
        await socket.call("server.spoolman.post_spool_id", spool_id=1)
        assert "notify_active_spool_set" not in [news["method"] for news in socket.news]
        assert (await socket.hear("notify_active_spool_set"))["params"][0]["spool_id"] == 1
        assert await socket.call("server.spoolman.post_spool_id", spool_id=None) == {"spool_id": None}
        assert (await socket.hear("notify_active_spool_set"))["params"][0]["spool_id"] is None
        await socket.call("server.spoolman.post_spool_id", spool_id=1)
        assert await socket.call("server.spoolman.post_spool_id") == {"spool_id": None}


async def test_octoprints_requests_are_answered_unwrapped(client: Client) -> None:
    for verb, path, params, fields in OCTOPRINT:
        answer = await client.request(verb, path, **({} if params is None else {"json": params}))
        assert answer.status_code == 200, (path, answer.text)
        assert fields <= answer.json().keys(), (path, answer.text)
    assert (await client.post("/api/printer/command", json={"commands": ["G28"]})).is_success
    uploaded = await client.post("/api/files/local", files={"file": ("x.gcode", b"G28\n")})
    assert uploaded.status_code == 201
