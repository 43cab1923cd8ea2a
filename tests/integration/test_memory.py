"""What an idle service holds in memory is mostly modules: this keeps those out that most services never need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.integration.service import Process, configure
from trio_moon.testing import MockSpoolman, SimulatedKlipper

ONLY_WHEN_NEEDED = {
    "apprise": "the first notification, 20 MB",
    "quart": "HTTP/2, 11 MB",
    "hypercorn": "HTTP/2, 4 MB",
    "asyncio": "HTTP/2, 4 MB",
    "PIL": "files with large pictures",
    "httpx": "snapshots of webcams, 2 MB",
    "jinja2": "templates in the configuration, 4 MB",
    "trio_websocket": "[spoolman], 1 MB",
    "importlib.metadata._meta": "2 MB with what it loads",  # the rest may stand in: kit/later
    "_ast": "source text, 0.5 MB",
    "locale": "other languages than English, 0.4 MB",
    "multiprocessing": "0.3 MB",
    "concurrent": "0.2 MB",
    "python_multipart": "the first upload, 0.5 MB with what it loads",
    "email": "other people's dates, 0.4 MB",
    "wsproto": "websocket frames that our clients don't send, 0.5 MB with h11",
    "h11": "the same",
    "http.client": "0.3 MB",
    "zipfile": "archives",
    "_ssl": "TLS, 5 MB: OpenSSL",
    "_hashlib": "passwords and API keys, the same",
    "_json": "JSON that msgspec refuses",
    "_pickle": "the worker that renders templates",
    "_lzma": "archives",
    "difflib": "misspelt options",
    "configparser": "secrets",
    "mimetypes": "files that are not a frontend's",
    "encodings.idna": "hosts with international names",
    "trio_moon.features.spoolman": "[spoolman]",
    "trio_moon.features.notifiers": "[notifier]",
    "trio_moon.features.files.metadata.slicers": "a file that wasn't read yet",
    "trio_moon.web.quart_app": "HTTP/2",
    "trio_moon.testing": "the demo",
    "trio_moon.rpc.openapi": "the API's document, 1.2 MB with what writes it",
    "trio_moon.features.server.summaries": "the same",
}
"""By the root of the module's name: what it is needed for, and what it costs."""

SECTIONS = "[octoprint_compat]\n[history]\n[file_manager]\n[authorization]\ntrusted_clients:\n  127.0.0.0/8\n"


NEEDED_FOR_SPOOLMAN = {"trio_websocket", "wsproto", "h11", "encodings.idna", "trio_moon.features.spoolman"}


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    process = Process(configure(tmp_path, SECTIONS))
    yield process
    process.clean_up()


def wrongly_loaded(process: Process, needed: set[str]) -> set[str]:
    """Of the modules that Python said it imported, those that it shouldn't have."""
    lines = process.stderr.read_text().splitlines()
    modules = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert {"trio_moon.app", "trio_moon.features.octoprint", "sqlite3"} <= modules
    roots = ONLY_WHEN_NEEDED.keys() - needed
    return {name for name in modules for root in roots if name == root or name.startswith(root + ".")}


async def test_an_idle_service_loads_only_what_it_needs(process: Process, nursery: trio.Nursery) -> None:
    paths = process.paths
    await nursery.start(SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes).run)
    client = await process.start()
    async with client.websocket() as socket:
        while (await socket.call("server.info"))["klippy_state"] != "ready":
            await trio.sleep(0.05)
        await socket.call("printer.objects.subscribe", objects={"toolhead": None})
        await socket.call("server.files.list", root="gcodes")
        await socket.hear("notify_proc_stat_update")
    assert (await client.get("/api/printer")).status_code == 200
    assert (await client.get("/")).status_code == 200
    await process.end()
    wrong = wrongly_loaded(process, needed=set())
    assert not wrong, f"an idle service loads {', '.join(sorted(wrong))}"


async def test_so_does_one_that_reports_to_spoolman(process: Process, nursery: trio.Nursery) -> None:
    paths, spoolman = process.paths, MockSpoolman()
    spool = spoolman.add_spool()
    await nursery.start(spoolman.run)
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, speed=100.0)
    await nursery.start(klipper.run)
    configure(paths.root, f"{SECTIONS}\n[spoolman]\nserver: {spoolman.url}\nsync_rate: 1\n")
    client = await process.start()
    async with client.websocket() as socket:
        while (await socket.call("server.info"))["klippy_state"] != "ready":
            await trio.sleep(0.05)
        await socket.call("server.spoolman.post_spool_id", spool_id=spool.id)
        await klipper.run_gcode("M83\nG1 E5 F1800")
        await spoolman.wait_uses(1)
    await process.end()
    wrong = wrongly_loaded(process, NEEDED_FOR_SPOOLMAN)
    assert not wrong, f"a service with [spoolman] loads {', '.join(sorted(wrong))}"
