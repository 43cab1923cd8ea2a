"""Notifications of a whole service: Klipper below, services of every temper above. Real sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.features.notifiers.targets import JPEG, Target
from tests.integration.service import Client, Process, configure, running
from tests.until import until
from trio_moon.app import App
from trio_moon.features.spoolman import Spoolman
from trio_moon.model.events import SpoolmanAlert
from trio_moon.testing import SimulatedKlipper

ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture(autouse=True)
def gcodes(tmp_path: Path) -> None:
    paths = configure(tmp_path)
    (paths.gcodes / "a.gcode").write_text("G28\nM83\nG1 X100 E2 F300\n")
    (paths.gcodes / "long.gcode").write_text("G28\nM83\n" + "G1 X100 E2 F600\nG1 X0 E2 F600\n" * 200)


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
    await until(lambda: app.printer.state == "ready")


async def status(client: Client, name: str) -> dict[str, Any]:
    listed = (await client.result("/server/notifiers/status"))["notifiers"]
    (entry,) = (entry for entry in listed if entry["name"] == name)
    assert isinstance(entry, dict)
    return entry


async def _sent(client: Client, name: str, count: int) -> bool:
    return bool((await status(client, name))["sent"] == count)


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
        await until(lambda: _sent(client, "phone", 2))


async def print_six_events(client: Client) -> list[float]:
    """started, paused, resumed, cancelled, started, complete in quick succession; returns when Klipper told each."""
    seen: list[float] = []
    async with client.websocket() as socket:
        await socket.call("printer.objects.subscribe", objects={"print_stats": ["state"]})

        async def step(state: str, path: str = "") -> None:
            if path:
                await client.post(path)
            while (await socket.hear("notify_status_update"))["params"][0]["print_stats"].get("state") != state:
                pass
            seen.append(trio.current_time())

        await step("printing", "/printer/print/start?filename=long.gcode")
        await step("paused", "/printer/print/pause")
        await step("printing", "/printer/print/resume")
        await step("cancelled", "/printer/print/cancel")
        await step("printing", "/printer/print/start?filename=a.gcode")
        await step("complete")
    return seen


async def test_targets_that_hang_drip_or_refuse_delay_nobody_else_nor_the_end(
    klipper: SimulatedKlipper, tmp_path: Path, target: Callable[..., Any], process: Process
) -> None:
    good, hanging, dripping, refusing = [await target(mood) for mood in ("good", "hang", "drip", "refuse")]
    configure(
        tmp_path,
        section("hanging", f"json://{hanging.address}", "timeout: 30")
        + section("dripping", f"json://{dripping.address}", "timeout: 30")
        + section("refusing", f"json://{refusing.address}")
        + section("nobody", "json://127.0.0.1:9")
        + section("good", f"json://{good.address}", "body: {event_name}"),
    )
    client = await process.start()
    await client.klippy_ready()
    seen = await print_six_events(client)
    await good.wait_for(6)
    assert good.bodies == ["started", "paused", "resumed", "cancelled", "started", "complete"]
    delays = [post.at - at for post, at in zip(good.posts, seen, strict=True)]
    assert max(delays) < 5  # measured: 0.4 s for the first, which loads Apprise, and 0.02 s for the others
    assert (await status(client, "hanging"))["queued"] == 6
    assert await process.end() < 5  # measured: 0.5 s


@pytest.mark.slow
async def test_templates_and_pictures_that_fail_cost_only_themselves(
    klipper: SimulatedKlipper, tmp_path: Path, target: Callable[..., Any], process: Process
) -> None:
    phone, camera = await target(), await target("hang")
    url = f"json://{phone.address}"
    configure(
        tmp_path,
        section("raising", url, "title: raising", "body: {event_args[7].filename}")
        + section("endless", url, "title: endless", f"body: {ENDLESS}")
        + section("missing", url, "title: missing", "body: {event_name}", "attach: ~/no/such.jpg")
        + section("folder", url, "title: folder", "body: {event_name}", f"attach: {tmp_path}")
        + section("unreachable", url, "title: unreachable", "attach: http://127.0.0.1:9/x.jpg")
        + section("hanging", url, "title: hanging", f"attach: http://{camera.address}/x.jpg")
        + section("good", url, "title: good", "body: {event_args[1].filename}"),
    )
    client = await process.start()
    await client.klippy_ready()
    waits: list[float] = []

    async def probe() -> None:
        while True:
            began = trio.current_time()
            await client.get("/server/info")
            waits.append(trio.current_time() - began)
            await trio.sleep(0.05)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(probe)
        await client.post("/printer/print/start?filename=a.gcode")
        await phone.wait_for(14, seconds=60)
        nursery.cancel_scope.cancel()
    told: dict[str, list[str]] = {}
    for post in phone.posts:
        told.setdefault(post.message["title"], []).append(post.message["message"])
    assert told["good"] == ["a.gcode", "a.gcode"]
    assert told["raising"][0].startswith("started\n(body: template failed: ")
    assert told["endless"] == [
        "started\n(body: template failed: it was not done within 2 s)",
        "complete\n(body: template failed: it was not done within 2 s)",
    ]
    assert told["missing"][1] == "complete\n(no picture: ~/no/such.jpg: No such file or directory)"
    assert told["folder"][1] == f"complete\n(no picture: {tmp_path}: a folder)"
    assert told["unreachable"][0] == "started\n(no picture: all attempts to connect to 127.0.0.1:9 failed)"
    assert told["hanging"] == [
        "started\n(no picture: nothing within 5 s)",
        "complete\n(no picture: nothing within 5 s)",
    ]
    assert max(waits) < 2, waits  # measured: 0.05 s
    warnings = (await client.result("/server/info"))["warnings"]
    assert any("[notifier endless] complete: body: template failed" in line for line in warnings)


@pytest.mark.slow
@pytest.mark.parametrize("crash", [False, True], ids=["network only", "and kill -9"])
async def test_what_could_not_be_sent_arrives_once_when_the_network_is_back(
    klipper: SimulatedKlipper, tmp_path: Path, process: Process, nursery: trio.Nursery, crash: bool
) -> None:
    phone = Target()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as network:
            await network.start(phone.run)
            scope.cancel()
    configure(tmp_path, section("phone", f"json://{phone.address}", events="complete"))
    client = await process.start()
    await client.klippy_ready()
    await client.post("/printer/print/start?filename=a.gcode")
    with trio.fail_after(30):
        while (await status(client, "phone"))["attempts"] < 2:
            await trio.sleep(0.1)
    if crash:
        await process.kill()
        client = await process.start()
    await nursery.start(phone.run)
    await phone.wait_for(1, seconds=60)
    with trio.fail_after(20):
        while (await status(client, "phone"))["queued"]:
            await trio.sleep(0.05)
    await process.end()
    await process.start()
    await trio.sleep(1)
    assert phone.bodies == ["complete"]


async def test_macros_may_notify_and_are_told_of_unknown_names(
    klipper: SimulatedKlipper, tmp_path: Path, target: Callable[..., Any]
) -> None:
    phone = await target()
    lines = ("body: {event_name}, {event_args|length}: {event_message}",)
    paths = configure(tmp_path, section("phone", f"json://{phone.address}", *lines, events="gcode"))
    async with running(paths) as (app, client), client.websocket() as socket:
        await ready(app)
        await klipper.call_remote("notify", name="phone", message="Change {filament}!")
        await klipper.call_remote("notify", name="fax")
        await phone.wait_for(1)
        assert phone.bodies == ["remote_action, 0: Change {filament}!"]
        told = (await socket.hear("notify_gcode_response"))["params"]
        assert told == ["!! notify: there is no notifier 'fax', only phone"]


async def test_a_test_says_what_apprise_answered(
    klipper: SimulatedKlipper, tmp_path: Path, target: Callable[..., Any]
) -> None:
    good, refusing = await target(), await target("refuse")
    paths = configure(
        tmp_path,
        section("good", f"json://{good.address}", "title: {event_name}", "body: {event_args[1].filename}")
        + section("refusing", f"json://{refusing.address}")
        + section("odd", "nonsense://nowhere"),
    )
    async with running(paths, debug=True) as (_, client), client.websocket() as socket:
        result = (await client.post("/server/notifiers/test", json={"name": "good"})).json()["result"]
        assert (result["status"], result["answer"]) == ("success", "delivered")
        assert (result["title"], result["body"]) == ("started", "notifier_test.gcode")
        assert good.bodies == ["notifier_test.gcode"]
        again = await client.post("/server/notifiers/test", json={"name": "good"})
        assert again.status_code == 429
        result = await socket.call("server.notifiers.test", name="refusing")
        assert result["status"] == "error"
        assert "error=500" in result["answer"]
        result = await socket.call("server.notifiers.test", name="odd")
        assert result["answer"].startswith("Apprise can't use the url")
        assert (await socket.ask("server.notifiers.test", name="fax"))["error"]["code"] == -32601
        debug = (await client.post("/debug/notifiers/test", json={"name": "refusing"})).status_code
        assert debug == 200


async def test_the_list_shows_what_was_configured_word_by_word(tmp_path: Path) -> None:
    paths = configure(
        tmp_path,
        section(
            "a", "tgram://{secrets.bot}/{secrets.chat}", "attach: webcam:x", "body: {event_name}", events="started, *"
        )
        + section("b", "json://127.0.0.1", "body_format: markdown", "title: T")
        + section("broken", "json://127.0.0.1", "body: {% if %}"),
    )
    async with running(paths) as (_, client):
        assert await client.result("/server/notifiers/list") == {
            "notifiers": [
                {
                    "name": "a",
                    "url": "tgram://{secrets.bot}/{secrets.chat}",
                    "events": ["started", "*"],
                    "body": "{event_name}",
                    "body_format": None,
                    "title": None,
                    "attach": "webcam:x",
                },
                {
                    "name": "b",
                    "url": "json://127.0.0.1",
                    "events": ["*"],
                    "body": None,
                    "body_format": "markdown",
                    "title": "T",
                    "attach": None,
                },
            ]
        }
        assert "notifier" in (await client.result("/server/info"))["components"]
        warnings = (await client.result("/server/info"))["warnings"]
        assert any("[notifier broken], option 'body'" in line for line in warnings)
        assert (await client.post("/debug/notifiers/test", json={"name": "a"})).status_code == 404


async def test_without_a_notifier_there_is_no_such_chapter(tmp_path: Path) -> None:
    async with running(configure(tmp_path)) as (_, client):
        assert (await client.get("/server/notifiers/list")).status_code == 404
        assert "notifier" not in (await client.result("/server/info"))["components"]


async def test_extra_events_are_told_to_those_who_name_them(
    klipper: SimulatedKlipper, tmp_path: Path, target: Callable[..., Any]
) -> None:
    phone = await target()
    klippy = "klippy_ready, klippy_shutdown, klippy_disconnected"
    events = f"{klippy}, spoolman_back, filament_low, progress:50, layer:2, first_layer, complete"
    (tmp_path / "gcodes" / "layers.gcode").write_text(
        "G28\nM83\nSET_PRINT_STATS_INFO TOTAL_LAYER=3\n"
        + "".join(f"SET_PRINT_STATS_INFO CURRENT_LAYER={n}\nG1 X100 E2 F600\nG1 X0 E2 F600\n" for n in (1, 2, 3))
    )
    paths = configure(
        tmp_path,
        section(
            "phone", f"json://{phone.address}", "body: {event_name}: {event_message}", events="first_layer, " + events
        )
        + section("other", f"json://{phone.address}", "body: other {event_name}")
        + "[spoolman]\nserver: http://127.0.0.1:9\n",
    )
    async with running(paths) as (app, client):
        await ready(app)
        await phone.wait_for(1)
        await client.post("/printer/print/start?filename=layers.gcode")
        await phone.wait_for(7)
        (spoolman,) = (
            service for room in app.rooms for service in room.services.values() if isinstance(service, Spoolman)
        )
        spoolman.alerts.publish(SpoolmanAlert("spoolman_back", "Spoolman is connected."))  # its first connection
        spoolman.alerts.publish(SpoolmanAlert("filament_low", "20 g are left on spool 3."))
        await phone.wait_for(8)
        klipper.shut_down("Lost communication with MCU 'mcu'")
        await phone.wait_for(9)
        await klipper.restart()
        await phone.wait_for(11)
    assert phone.bodies[0] == "klippy_ready: Klipper is ready"
    assert sorted(phone.bodies[1:7]) == [
        "complete:",
        "first_layer: the first layer is done",
        "layer:2: layer 2 of 3",
        "other complete",
        "other started",
        "progress:50: 50 % printed",
    ]
    assert phone.bodies[7] == "filament_low: 20 g are left on spool 3."
    assert phone.bodies[8] == "klippy_shutdown: Klipper has shut down: Lost communication with MCU 'mcu'"
    assert phone.bodies[9].startswith("klippy_disconnected: Klipper is disconnected")
    assert phone.bodies[10] == "klippy_ready: Klipper is ready"
