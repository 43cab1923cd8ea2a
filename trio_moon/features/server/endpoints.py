"""The methods of `server.*` that concern the server itself."""

from __future__ import annotations

from trio_moon.features.server.console import ConsoleStore
from trio_moon.features.server.parameters import Identity, LineCount, TemperatureWish, WhichLog
from trio_moon.features.server.service import Server
from trio_moon.features.server.temperatures import TemperatureStore
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.endpoint import Endpoint, session_call


def endpoints(server: Server, temperatures: TemperatureStore, console: ConsoleStore) -> tuple[Endpoint, ...]:
    """The table of the room."""

    def temperature_store(params: TemperatureWish, caller: Caller) -> object:
        return temperatures.as_wire(include_monitors=params.include_monitors)

    def gcode_store(params: LineCount, caller: Caller) -> object:
        return {"gcode_store": console.newest(params.count)}

    return (
        Endpoint("/server/info", NoParams, GET=server.info),
        Endpoint("/server/config", NoParams, GET=server.config),
        Endpoint("/server/supervisor", NoParams, GET=server.tree),
        Endpoint("/server/restart", NoParams, POST=server.restart),
        Endpoint("/server/logs/rollover", WhichLog, POST=server.roll_logs_over),
        Endpoint("/server/temperature_store", TemperatureWish, GET=temperature_store),
        Endpoint("/server/gcode_store", LineCount, GET=gcode_store),
        session_call("server.connection.identify", Identity, server.identify, open_to_all=True),
        session_call("server.websocket.id", NoParams, server.connection_id),
    )
