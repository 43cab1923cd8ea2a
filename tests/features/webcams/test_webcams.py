"""`server.webcams.*`: cameras of the configuration and of frontends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import trio
import trio.testing

from tests.features.asking import ask
from tests.features.letterbox import Letterbox
from trio_moon.config import Document
from trio_moon.features.webcams import Webcam, Webcams, endpoints
from trio_moon.model.errors import BadParams, NoSpace, NotFound
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Session
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.store.database import Database
from trio_moon.store.namespaces import SCHEMA, Namespaces

BED = """
[webcam bed]
location: bed
stream_url: /webcam/?action=stream
snapshot_url: /webcam/?action=snapshot
flip_vertical: yes
rotation: 90
"""


class Cameras:
    """The room, with a listener, on a database that outlives it."""

    def __init__(self, namespaces: Namespaces, nursery: trio.Nursery) -> None:
        self.namespaces = namespaces
        self._nursery = nursery
        self.letters = Letterbox()
        self.printer_id = "cdc3e7dcaf294b2f95d057b24822c055"

    async def open(self, text: str = "") -> Iterable[Endpoint]:
        return endpoints(await self.room(text))

    async def room(self, text: str = "") -> Webcams:
        audience = Audience()
        audience.join(Session(self.letters))
        document = Document.parse(text)
        configured = document.settings_of_kind("webcam", Webcam.from_section)
        webcams = Webcams(configured, self.namespaces, audience, lambda: self.printer_id)
        assert document.problems == []
        await self._nursery.start(webcams.run)
        return webcams


@pytest.fixture
async def cameras(nursery: trio.Nursery) -> Cameras:
    database = Database(None, (SCHEMA,))
    await nursery.start(database.run)
    return Cameras(Namespaces(database), nursery)


async def listed(table: Iterable[Endpoint]) -> list[dict[str, Any]]:
    webcams = (await ask(table, "server.webcams.list"))["webcams"]
    assert isinstance(webcams, list)
    return webcams


async def test_a_configured_camera_has_the_uid_that_moonraker_gives_it(cameras: Cameras) -> None:
    [webcam] = await listed(await cameras.open("[webcam nozzle]\nstream_url: /webcam/"))
    assert webcam["uid"] == "e3f47716-d7b6-5a9d-9219-a0d84181e4d4"
    cameras.printer_id = "not_a_uuid"
    [webcam], [again] = [await listed(await cameras.open("[webcam nozzle]\nstream_url: /x")) for _ in range(2)]
    assert webcam["uid"] == again["uid"] != "e3f47716-d7b6-5a9d-9219-a0d84181e4d4"


async def test_a_configured_camera_is_listed_with_every_field(cameras: Cameras) -> None:
    [webcam] = await listed(await cameras.open(BED))
    uid = webcam.pop("uid")
    assert webcam == {
        "name": "bed",
        "enabled": True,
        "icon": "mdiWebcam",
        "aspect_ratio": "4:3",
        "target_fps": 15,
        "target_fps_idle": 5,
        "location": "bed",
        "service": "mjpegstreamer",
        "stream_url": "/webcam/?action=stream",
        "snapshot_url": "/webcam/?action=snapshot",
        "flip_horizontal": False,
        "flip_vertical": True,
        "rotation": 90,
        "source": "config",
        "extra_data": {},
    }
    assert (await listed(await cameras.open(BED)))[0]["uid"] == uid


async def test_frontends_add_change_and_delete_cameras(cameras: Cameras) -> None:
    table = await cameras.open()
    added = (await ask(table, "server.webcams.post_item", name="door", stream_url="/a", extra_data={"x": 1}))["webcam"]
    assert added["source"] == "database"
    changed = await ask(table, "server.webcams.post_item", uid=added["uid"], name="gate", rotation="180")
    assert changed["webcam"] == {**added, "name": "gate", "rotation": 180}
    assert (await ask(table, "server.webcams.get_item", name="gate"))["webcam"] == changed["webcam"]
    assert await listed(await cameras.open()) == [changed["webcam"]]
    deleted = await ask(table, "server.webcams.delete_item", uid=added["uid"])
    assert deleted == changed
    assert await listed(table) == []
    await trio.testing.wait_all_tasks_blocked()
    assert [len(news["webcams"]) for news in cameras.letters.params_of("notify_webcams_changed")] == [1, 1, 0]
    with pytest.raises(NotFound):
        await ask(table, "server.webcams.get_item", uid=added["uid"])


async def test_posting_a_known_name_changes_that_camera(cameras: Cameras) -> None:
    table = await cameras.open()
    for url in ("/a", "/b"):
        await ask(table, "server.webcams.post_item", name="door", stream_url=url)
    [webcam] = await listed(table)
    assert webcam["stream_url"] == "/b"


async def test_configured_cameras_belong_to_the_configuration(cameras: Cameras) -> None:
    table = await cameras.open(BED)
    for change in ({"name": "bed", "stream_url": "/x"}, {"uid": (await listed(table))[0]["uid"], "icon": "x"}):
        with pytest.raises(BadParams, match="configuration"):
            await ask(table, "server.webcams.post_item", **change)
    with pytest.raises(BadParams, match="configuration"):
        await ask(table, "server.webcams.delete_item", name="bed")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x"},
        {"stream_url": "/x"},
        {"name": " ", "stream_url": "/x"},
        {"name": "x", "stream_url": "/x", "rotation": 45},
        {"name": "x", "stream_url": "/x", "aspect_ratio": "wide"},
        {"name": "x", "stream_url": "/" * 3000},
        {"name": "x", "stream_url": "/x", "target_fps": "many"},
    ],
)
async def test_cameras_that_make_no_sense_are_refused(cameras: Cameras, wrong: dict[str, object]) -> None:
    table = await cameras.open()
    with pytest.raises(BadParams):
        await ask(table, "server.webcams.post_item", **wrong)
    assert await listed(table) == []


async def test_a_name_stays_unique(cameras: Cameras) -> None:
    table = await cameras.open()
    await ask(table, "server.webcams.post_item", name="a", stream_url="/a")
    other = (await ask(table, "server.webcams.post_item", name="b", stream_url="/b"))["webcam"]
    with pytest.raises(BadParams, match="exists"):
        await ask(table, "server.webcams.post_item", uid=other["uid"], name="a")


def test_a_section_that_cannot_be_used_is_named() -> None:
    document = Document.parse("[webcam bed]\nstream_url: /x\nrotation: 45\n")
    assert document.settings_of_kind("webcam", Webcam.from_section) == []
    [problem] = document.problems
    assert "rotation" in problem.as_line()


async def test_a_camera_is_tested_by_fetching_its_snapshot(cameras: Cameras, nursery: trio.Nursery) -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    nursery.start_soon(trio.serve_listeners, answer, [listener])
    table = await cameras.open(f"[webcam live]\nstream_url: /s\nsnapshot_url: http://127.0.0.1:{port}/snap\n")
    assert await ask(table, "server.webcams.test", name="live") == {
        "name": "live",
        "snapshot_reachable": True,
        "snapshot_url": f"http://127.0.0.1:{port}/snap",
        "stream_url": "http://127.0.0.1:80/s",
    }
    await ask(table, "server.webcams.post_item", name="blind", stream_url="/s")
    assert (await ask(table, "server.webcams.test", name="blind"))["snapshot_reachable"] is False


async def test_an_address_that_is_none_is_not_reachable(cameras: Cameras) -> None:
    table = await cameras.open("[webcam bed]\nstream_url: http://[x\nsnapshot_url: http://[x/snap\n")
    assert await ask(table, "server.webcams.test", name="bed") == {
        "name": "bed",
        "snapshot_reachable": False,
        "snapshot_url": "http://[x/snap",
        "stream_url": "http://[x",
    }


async def test_a_camera_that_can_not_be_kept_is_not_there(
    cameras: Cameras, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*arguments: object) -> bool:
        await trio.lowlevel.checkpoint()
        raise NoSpace("the disk is full")

    table = await cameras.open()
    await ask(table, "server.webcams.post_item", name="old", stream_url="/old")
    monkeypatch.setattr(Namespaces, "put", full)
    monkeypatch.setattr(Namespaces, "delete", full)
    before = await listed(table)
    for camera in ({"name": "new", "stream_url": "/new"}, {"name": "old", "stream_url": "/new"}):
        with pytest.raises(NoSpace):
            await ask(table, "server.webcams.post_item", **camera)
    with pytest.raises(NoSpace):
        await ask(table, "server.webcams.delete_item", name="old")
    assert await listed(table) == before


async def test_cameras_of_one_name_that_come_at_once_are_one(cameras: Cameras) -> None:
    table = await cameras.open()

    async def post(url: str) -> None:
        await ask(table, "server.webcams.post_item", name="one", stream_url=url)

    async with trio.open_nursery() as nursery:
        for n in range(5):
            nursery.start_soon(post, f"/{n}")
    assert len(await listed(table)) == 1


async def test_a_frontend_may_restore_its_backup_of_moonrakers_cameras(cameras: Cameras, nursery: trio.Nursery) -> None:
    webcams = await cameras.room(BED)
    table = endpoints(webcams)
    of_moonraker = {
        "name": "nozzle",
        "service": "mjpegstreamer-adaptive",
        "targetFps": "12",
        "targetFpsIdle": 2,
        "urlStream": "/webcam2/?action=stream",
        "urlSnapshot": "/webcam2/?action=snapshot",
        "flipX": True,
        "flipY": False,
        "enabled": True,
        "icon": "mdiPrinter3dNozzle",
        "aspectRatio": "16:9",
        "location": "printer",
        "rotation": 180,
        "extra_data": {"a": 1},
    }
    await cameras.namespaces.put("webcams", "c0ffee", of_moonraker)
    await cameras.namespaces.put("webcams", "broken", {"name": "", "urlStream": 5})
    await webcams.reread()
    bed, nozzle = await listed(table)
    assert (bed["name"], nozzle["name"], nozzle["uid"], nozzle["source"]) == ("bed", "nozzle", "c0ffee", "database")
    assert (nozzle["target_fps"], nozzle["stream_url"], nozzle["flip_horizontal"], nozzle["aspect_ratio"]) == (
        12,
        "/webcam2/?action=stream",
        True,
        "16:9",
    )
    await trio.testing.wait_all_tasks_blocked()
    assert [len(news["webcams"]) for news in cameras.letters.params_of("notify_webcams_changed")] == [2]
    await ask(table, "server.webcams.post_item", uid="c0ffee", rotation=90)
    kept = await cameras.namespaces.get("webcams", "c0ffee")
    assert kept == {**of_moonraker, "targetFps": 12, "rotation": 90}, "Moonraker can read it, should one go back"
