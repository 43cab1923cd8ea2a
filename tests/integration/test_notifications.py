"""Notifications of a whole service: Klipper below, services of every temper above. Real sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.features.notifiers.targets import JPEG, Target
from tests.integration.service import Client, configure, running
from trio_moon.app import App
from trio_moon.testing import SimulatedKlipper

ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
SIX = ["started", "paused", "resumed", "complete", "started", "cancelled"]


@pytest.fixture
async def klipper(tmp_path: Path, nursery: trio.Nursery) -> SimulatedKlipper:
    paths = configure(tmp_path)
    klipper = SimulatedKlipper(
        paths.comms / "klippy.sock", gcodes=paths.gcodes, speed=50.0, status_interval=0.05, restart_pause=0.1
    )
    (paths.gcodes / "a.gcode").write_text("G28\nM83\nG1 X100 E2 F600\n")
    (paths.gcodes / "long.gcode").write_text("G28\nM83\n" + "G1 X100 E2 F600\nG1 X0 E2 F600\n" * 200)
    await nursery.start(klipper.run)
    return klipper


@pytest.fixture
async def target(nursery: trio.Nursery) -> Callable[..., Any]:
    async def start(mood: str = "good") -> Target:
        target = Target(mood)
        await nursery.start(target.run)
        return target

    return start


def section(name: str, url: str, *lines: str, events: str = "*") -> str:
    return "\n".join([f"[notifier {name}]", f"url: {url}", f"events: {events}", *lines, ""])


async def ready(app: App) -> None:
    with trio.fail_after(20):
        while app.printer.state != "ready":
            await trio.sleep(0.01)


async def status(client: Client, name: str) -> dict[str, Any]:
    listed = (await client.result("/server/notifiers/status"))["notifiers"]
    (entry,) = (entry for entry in listed if entry["name"] == name)
    assert isinstance(entry, dict)
    return entry


async def test_a_print_is_told_with_title_body_and_picture(
    klipper: SimulatedKlipper, tmp_path: Path, target: Callable[..., Any]
) -> None:
    phone, camera = await target(), await target()
    url = camera.page("/?action=snapshot", JPEG)
    camera_section = f"[webcam nozzle]\nlocation: printer\nstream_url: /x\nsnapshot_url: {url}\n"
    notifier = section(
        "phone",
        f"json://{phone.address}",
        "title: Print {event_name}",
        "body: {event_args[1].filename} was {event_args[0].state}, is {event_args[1].state}",
        "attach: webcam:nozzle",
    )
    paths = configure(tmp_path, camera_section + notifier)
    async with running(paths) as (app, client):
        await ready(app)
        await client.post("/printer/print/start?filename=a.gcode")
        await phone.wait_for(2)
        assert [post.message["title"] for post in phone.posts] == ["Print started", "Print complete"]
        assert phone.bodies == ["a.gcode was standby, is printing", "a.gcode was printing, is complete"]
        assert [post.pictures for post in phone.posts] == [[("snapshot.jpg", JPEG)]] * 2
        assert (await status(client, "phone"))["sent"] == 2
