"""Every method of the registry, each of its arguments of the wrong type, by HTTP and by JSON-RPC: never a 500."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx
import pytest
import trio

from tests.integration.service import Client, configure, with_printer
from trio_moon.app import App
from trio_moon.rpc.endpoint import Method
from trio_moon.testing import MockSpoolman

pytestmark = pytest.mark.slow

USUAL: dict[str, object] = {
    **{"namespace": "x", "key": "a.b", "value": 1, "root": "gcodes", "filename": "x.gcode", "path": "gcodes/x.gcode"},
    **{"source": "gcodes/x.gcode", "dest": "gcodes/y", "items": ["gcodes/x.gcode"], "spool_id": 1, "name": "x"},
    **{"username": "u", "password": "p", "new_password": "q", "request_method": "GET", "objects": {"toolhead": None}},
    **{"script": "M117", "stream_url": "/x", "snapshot_url": "/y", "uid": "x", "command": "select", "tool": 0},
}
WRONG: tuple[object, ...] = (
    None,
    True,
    -1,
    10**30,
    0.5,
    "",
    "\0",
    "x" * 300,
    "../x",
    [],
    [None],
    {"a": {"b": [1]}},
    "漢" * 120,
)
NOT_NOW = ("server.restart", "machine.reboot", "machine.shutdown", "machine.services", "printer.emergency_stop")


@pytest.fixture
async def whole(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[tuple[App, Client]]:
    spoolman = MockSpoolman()
    await nursery.start(spoolman.run)
    sections = f"[machine]\nprovider: none\n[spoolman]\nserver: {spoolman.url}\n[octoprint_compat]\n"
    paths = configure(tmp_path / "data", f"{sections}[notifier n]\nurl: json://127.0.0.1:1/\nevents: gcode\n")
    (paths.gcodes / "x.gcode").write_text("G28\n")
    async with with_printer(paths, restart_pause=0.1) as (_, app, client):
        yield app, client


def spoiled(method: Method) -> Iterator[dict[str, object]]:
    """Usual arguments, each of them wrong in turn."""
    names = getattr(method.endpoint.params, "__struct_fields__", ())
    known = names if names and names != ("arguments",) else tuple(USUAL)
    usual = {name: USUAL[name] for name in known if name in USUAL}
    for number, name in enumerate(known):
        for wrong in WRONG if len(known) < 8 else WRONG[number % 3 :: 3]:
            yield {**usual, name: wrong}


async def test_wrong_arguments_are_never_a_mistake_of_ours(
    whole: tuple[App, Client], caplog: pytest.LogCaptureFixture
) -> None:
    app, client = whole
    methods = [method for method in app.registry if not method.name.startswith(NOT_NOW)]
    assert len(methods) > 100
    mistakes: list[object] = []
    async with (
        httpx.AsyncClient(base_url=client.url, trust_env=False, timeout=30) as http,
        client.websocket() as socket,
    ):
        for method in methods:
            path, brace, _ = method.endpoint.path.partition("{")
            for arguments in spoiled(method):
                if method.name:
                    answer = await socket.ask(method.name, **arguments)
                    if answer.get("error", {}).get("code") in (500, -32603):
                        mistakes.append((method.name, arguments, answer))
                if path:
                    rest = quote(str(next(iter(arguments.values()))), safe="") if brace else ""
                    if method.verb == "POST":
                        reply = await http.post(path + rest, json=arguments)
                    else:
                        query = urlencode({name: json.dumps(value) for name, value in arguments.items()})
                        reply = await http.request(method.verb, f"{path}{rest}?{query}")
                    if reply.status_code >= 500 and reply.status_code != 503:
                        mistakes.append((method.verb, path, arguments, reply.text))
    assert not mistakes
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
