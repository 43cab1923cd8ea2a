"""`server.*`: what frontends ask first."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.features.asking import ask, session_caller
from tests.features.letterbox import Letterbox
from tests.features.server.test_temperatures import FakePrinter
from trio_moon.config import Document
from trio_moon.features.server import (
    ConsoleStore,
    DataStoreSettings,
    Server,
    Surroundings,
    TemperatureStore,
    endpoints,
)
from trio_moon.kit.supervise import Supervisor
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import BadParams, Unauthorized, UnknownMethod
from trio_moon.model.events import ConsoleLine
from trio_moon.rpc.caller import Caller, Session
from trio_moon.rpc.endpoint import Endpoint


@dataclass
class House:
    """What surrounds the server in these tests."""

    state: str = "ready"
    connected: bool = True
    restarts: list[str] = field(default_factory=list)
    log_file: Path | None = Path("moonraker.log")
    supervisor: Supervisor = field(default_factory=Supervisor)

    def identify(self, caller: Caller, *, access_token: str | None, api_key: str | None) -> None:
        if api_key == "right":
            caller.user = "_API_KEY_USER_"
        elif api_key or access_token:
            raise Unauthorized("Invalid API key")

    def rollover(self) -> Path | None:
        return self.log_file

    def endpoints(self) -> tuple[Endpoint, ...]:
        server = Server(
            Surroundings(
                klippy=self,
                supervisor=self.supervisor,
                identities=self,
                components=lambda: ["history", "database"],
                directories=lambda: ["config", "gcodes"],
                warnings=lambda: ["mind the gap"],
                connections=lambda: 2,
                configuration=Document.parse("[server]\nport: 7125\n").as_wire,
                restart=lambda: self.restarts.append("restart"),
                log=self,
            )
        )
        console: Topic[ConsoleLine] = Topic()
        return endpoints(server, TemperatureStore(FakePrinter(), 10), ConsoleStore(console, 10))


async def test_info_has_every_field_that_frontends_insist_on() -> None:
    info = await ask(House().endpoints(), "server.info")
    assert info["klippy_connected"] is True
    assert info["klippy_state"] == "ready"
    assert info["components"] == ["history", "database"]
    assert info["failed_components"] == []
    assert info["registered_directories"] == ["config", "gcodes"]
    assert info["warnings"] == ["mind the gap"]
    assert info["websocket_count"] == 2
    assert info["api_version"] == [1, 5, 0]
    assert info["api_version_string"] == "1.5.0"
    release, dash, build = str(info["moonraker_version"]).partition("-")
    assert tuple(map(int, release.removeprefix("v").split("."))) > (0, 8, 0)
    assert dash
    assert build


async def test_config_shows_the_configuration() -> None:
    config = await ask(House().endpoints(), "server.config")
    assert config["orig"]["server"] == {"port": "7125"}
    assert config["files"] == [{"filename": "moonraker.conf", "sections": ["server"]}]


async def test_restart_says_ok_and_asks_for_it() -> None:
    house = House()
    assert await ask(house.endpoints(), "server.restart") == "ok"
    assert house.restarts == ["restart"]


async def identify(house: House, caller: Caller, **more: object) -> Any:
    who = {"client_name": "moontest", "version": "0.0.1", "type": "web", "url": "http://x"}
    return await ask(house.endpoints(), "server.connection.identify", caller, **{**who, **more})


async def test_a_client_identifies_itself_once() -> None:
    house, session = House(), Session(Letterbox())
    caller = session_caller(session)
    assert await identify(house, caller) == {"connection_id": session.connection_id}
    assert session.client is not None
    assert session.client.client_name == "moontest"
    assert await ask(house.endpoints(), "server.websocket.id", caller) == {"websocket_id": session.connection_id}
    with pytest.raises(BadParams, match="already identified"):
        await identify(house, caller)


async def test_what_a_client_says_of_itself_may_be_a_number_or_left_open() -> None:
    house, session = House(), Session(Letterbox())
    await identify(house, session_caller(session), version=2, url=None)
    assert session.client is not None
    assert (session.client.version, session.client.url) == ("2", "")


async def test_a_stranger_identifies_itself_with_credentials_only() -> None:
    house = House()
    stranger = session_caller(Session(Letterbox()), user=None)
    for wrong in ({}, {"api_key": "wrong"}, {"access_token": "a.b.c"}):
        with pytest.raises(Unauthorized):
            await identify(house, stranger, **wrong)
    assert "connection_id" in await identify(house, stranger, api_key="right")
    assert stranger.user == "_API_KEY_USER_"


@pytest.mark.parametrize("wrong", [{"type": "toaster"}, {"client_name": None}, {"version": [1]}, {"url": "x" * 1001}])
async def test_an_identity_that_says_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadParams):
        await identify(House(), session_caller(Session(Letterbox())), **wrong)


async def test_identify_needs_a_lasting_connection() -> None:
    with pytest.raises(UnknownMethod):
        await ask(House().endpoints(), "server.websocket.id")


async def test_logs_roll_over_as_far_as_they_are_ours() -> None:
    house = House()
    rolled = await ask(house.endpoints(), "server.logs.rollover")
    assert rolled["rolled_over"] == ["moonraker"]
    assert list(rolled["failed"]) == ["klipper"]
    house.log_file = None
    rolled = await ask(house.endpoints(), "server.logs.rollover", application="moonraker")
    assert rolled == {"rolled_over": [], "failed": {"moonraker": "File Logging Disabled"}}
    with pytest.raises(BadParams):
        await ask(house.endpoints(), "server.logs.rollover", application="crowsnest")


async def test_the_tree_shows_services_inside_their_branches(nursery: Any) -> None:
    house = House()

    class Quiet:
        async def run(self, *, task_status: Any) -> None:
            import trio

            task_status.started()
            await trio.sleep_forever()

        def vitals(self) -> dict[str, object]:
            return {"queue": 3}

    await nursery.start(house.supervisor.supervise, "ground", "store", Quiet())
    await nursery.start(house.supervisor.supervise, "rooms", "spoolman", Quiet())
    tree = await ask(house.endpoints(), "server.supervisor")
    assert [(one["name"], one["branch"], one["state"]) for one in tree["services"]] == [
        ("store", "ground", "running"),
        ("spoolman", "rooms", "running"),
    ]
    assert tree["services"][0]["vitals"] == {"queue": 3}
    ground = tree["tree"]["contains"][0]
    assert (ground["name"], ground["services"]) == ("ground", ["store"])
    assert ground["contains"] == [{"name": "rooms", "services": ["spoolman"], "contains": []}]


async def test_the_stores_answer_before_anything_has_happened() -> None:
    house = House()
    assert await ask(house.endpoints(), "server.gcode_store", count="5") == {"gcode_store": []}
    assert await ask(house.endpoints(), "server.temperature_store", include_monitors="true") == {}
    with pytest.raises(BadParams, match="count"):
        await ask(house.endpoints(), "server.gcode_store", count=-1)


def test_data_store_settings_have_limits() -> None:
    section = Document.parse("[data_store]\ntemperature_store_size: 60\n").section_or_empty("data_store")
    assert DataStoreSettings.from_section(section) == DataStoreSettings(60, 1000)
