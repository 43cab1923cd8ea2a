"""Agents, as Obico and OctoEverywhere are: macros call them, and others hear of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.integration.service import Client, RpcSocket, configure, running
from tests.until import until
from trio_moon.testing import SimulatedKlipper

OBICO = {"client_name": "obico", "version": "2", "type": "agent", "url": "http://obico"}


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[tuple[SimulatedKlipper, Client]]:
    paths = configure(folder, "")
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, startup_time=0.1)
    async with trio.open_nursery() as nursery:
        await nursery.start(klipper.run)
        async with running(paths) as (app, client):
            await until(lambda: app.printer.state == "ready")
            yield klipper, client
        nursery.cancel_scope.cancel()


async def an_agent(socket: RpcSocket) -> RpcSocket:
    await socket.call("server.connection.identify", **OBICO)
    await socket.call("connection.register_remote_method", method_name="obico_remote_event")
    return socket


async def test_macros_call_an_agent_and_its_successor(tmp_path: Path) -> None:
    async with bench(tmp_path) as (klipper, client):
        async with client.websocket() as socket:
            agent = await an_agent(socket)
            for taken in ("obico_remote_event", "shutdown_machine", "process_gcode_response"):
                refused = await agent.ask("connection.register_remote_method", method_name=taken)
                assert refused["error"]["message"] == f"Remote method ({taken}) already registered"
            await klipper.call_remote("obico_remote_event", message="hello")
            assert (await agent.hear("obico_remote_event"))["params"] == {"message": "hello"}
        await until_alone(client)
        async with client.websocket() as socket:
            agent = await an_agent(socket)
            await klipper.call_remote("obico_remote_event", message="again")
            assert (await agent.hear("obico_remote_event"))["params"] == {"message": "again"}


async def until_alone(client: Client) -> None:
    with trio.fail_after(30):
        while (await client.result("/server/extensions/list"))["agents"]:
            await trio.sleep(0.02)


async def test_others_hear_what_an_agent_tells(tmp_path: Path) -> None:
    async with bench(tmp_path) as (_, client), client.websocket() as first, client.websocket() as other:
        agent = await an_agent(first)
        [listed] = (await client.result("/server/extensions/list"))["agents"]
        assert listed == {"name": "obico", "version": "2", "type": "agent", "url": "http://obico"}
        told: list[dict[str, Any]] = []
        for more in ({"data": {"a": 1}}, {}):
            assert await agent.call("connection.send_event", event="popup", **more) == "ok"
            told += (await other.hear("notify_agent_event"))["params"]
        assert told == [
            {"agent": "obico", "event": "popup", "data": {"a": 1}},
            {"agent": "obico", "event": "popup"},
        ]
        assert "reserved" in (await agent.ask("connection.send_event", event="connected"))["error"]["message"]
        for method, params in (
            ("connection.send_event", {"event": "x"}),
            ("connection.register_remote_method", {"method_name": "x"}),
        ):
            assert "agent" in (await other.ask(method, **params))["error"]["message"]
