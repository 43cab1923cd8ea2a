"""The methods of `server.*` that concern the server itself."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from trio_moon.features.server.console import ConsoleStore
from trio_moon.features.server.service import Server
from trio_moon.features.server.temperatures import TemperatureStore
from trio_moon.model.errors import BadParams
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller, ClientInfo, Transport
from trio_moon.rpc.endpoint import Endpoint

Word = Annotated[str, Meta(max_length=1000)]
"""Kept for as long as the client is connected."""


class Identity(msgspec.Struct, frozen=True):
    client_name: Word
    version: Word
    type: Word
    url: Word
    access_token: str | None = None
    api_key: str | None = None


class TemperatureWish(msgspec.Struct, frozen=True):
    include_monitors: bool = False


class LineCount(msgspec.Struct, frozen=True):
    count: Annotated[int, Meta(ge=0)] | None = None


class WhichLog(msgspec.Struct, frozen=True):
    application: str | None = None


def endpoints(server: Server, temperatures: TemperatureStore, console: ConsoleStore) -> tuple[Endpoint, ...]:
    """The table of the room."""
    calls = ServerCalls(server, temperatures, console)
    return (
        Endpoint("/server/info", NoParams, GET=calls.info),
        Endpoint("/server/config", NoParams, GET=calls.config),
        Endpoint("/server/supervisor", NoParams, GET=calls.supervisor),
        Endpoint("/server/restart", NoParams, POST=calls.restart),
        Endpoint("/server/logs/rollover", WhichLog, POST=calls.roll_logs_over),
        Endpoint("/server/temperature_store", TemperatureWish, GET=calls.temperature_store),
        Endpoint("/server/gcode_store", LineCount, GET=calls.gcode_store),
        Endpoint(
            "",
            Identity,
            CALL=calls.identify,
            rpc_names={"CALL": "server.connection.identify"},
            transports=Transport.SESSION,
            open_to_all=True,
        ),
        Endpoint(
            "",
            NoParams,
            CALL=calls.connection_id,
            rpc_names={"CALL": "server.websocket.id"},
            transports=Transport.SESSION,
        ),
    )


class ServerCalls:
    """The handlers."""

    def __init__(self, server: Server, temperatures: TemperatureStore, console: ConsoleStore) -> None:
        self._server = server
        self._temperatures = temperatures
        self._console = console

    def info(self, params: NoParams, caller: Caller) -> object:
        return self._server.info()

    def config(self, params: NoParams, caller: Caller) -> object:
        return self._server.configuration()

    def supervisor(self, params: NoParams, caller: Caller) -> object:
        return self._server.tree()

    def restart(self, params: NoParams, caller: Caller) -> object:
        self._server.restart()
        return "ok"

    async def roll_logs_over(self, params: WhichLog, caller: Caller) -> object:
        return await self._server.roll_logs_over(params.application)

    def temperature_store(self, params: TemperatureWish, caller: Caller) -> object:
        return self._temperatures.as_wire(include_monitors=params.include_monitors)

    def gcode_store(self, params: LineCount, caller: Caller) -> object:
        return {"gcode_store": self._console.newest(params.count)}

    def identify(self, params: Identity, caller: Caller) -> object:
        client = ClientInfo(params.client_name, params.version, params.type.lower(), params.url)
        return self._server.identify(caller, client, access_token=params.access_token, api_key=params.api_key)

    def connection_id(self, params: NoParams, caller: Caller) -> object:
        if caller.session is None:
            raise BadParams("only lasting connections have an id")
        return {"websocket_id": caller.session.connection_id}
