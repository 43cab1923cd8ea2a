"""What frontends, slicers and apps take for granted, because Moonraker does so: each a small promise of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.integration.service import Client, configure, running
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.testing import SimulatedKlipper

ME = {"client_name": "test", "version": "1", "type": "web", "url": "http://test"}
STRANGERS = "[authorization]\ntrusted_clients: 10.255.255.0/24\n"


@pytest.fixture
async def client(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Client]:
    """The service with a ready Klipper."""
    paths = configure(tmp_path)
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, status_interval=0.05)
    await nursery.start(klipper.run)
    async with running(paths) as (app, client):
        with trio.fail_after(20):
            while app.printer.state != "ready":
                await trio.sleep(0.01)
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


async def test_requests_of_the_wrong_kind_are_told_what_is_missing(client: Client) -> None:
    plain = await client.get("/websocket")
    assert plain.status_code == 400
    assert "Upgrade" in plain.json()["error"]["message"]
    empty = await client.post("/server/files/upload")
    assert empty.status_code == 400
    assert "multipart" in empty.json()["error"]["message"]


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
