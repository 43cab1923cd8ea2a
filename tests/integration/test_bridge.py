"""`/klippysocket`: Klipper's own socket, put through to a websocket, for those who may."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
import trio_websocket

from tests.integration.house import HOST, UPGRADE
from tests.integration.service import Client, Process, configure
from tests.until import until
from trio_moon.testing import SimulatedKlipper

pytestmark = pytest.mark.slow


@dataclass
class Bench:
    process: Process
    client: Client
    klipper: SimulatedKlipper

    @asynccontextmanager
    async def bridge(self, path: str = "/klippysocket", **headers: str) -> AsyncIterator[Any]:
        host, _, port = self.client.url.removeprefix("http://").partition(":")
        more = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        stream = await trio.open_tcp_stream(host, int(port))
        async with stream, trio.open_nursery() as nursery:
            with trio.fail_after(20):
                yield await trio_websocket.wrap_client_stream(
                    nursery, stream, f"{host}:{port}", path, extra_headers=more
                )
            nursery.cancel_scope.cancel()

    async def refused(self, path: str = "/klippysocket", **headers: str) -> int:
        """The status of an upgrade that must not succeed."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        request = UPGRADE.replace(b"/websocket", path.encode()).replace(HOST, HOST + lines.encode())
        async with await trio.open_tcp_stream("127.0.0.1", int(self.client.url.rpartition(":")[2])) as stream:
            await stream.send_all(request)
            with trio.fail_after(20):
                return int((await stream.receive_some()).split()[1])


@pytest.fixture
async def bench(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Bench]:
    paths = configure(tmp_path, "[machine]\nprovider: none\n")
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", restart_pause=0.5)
    await nursery.start(klipper.run)
    process = Process(paths)
    try:
        client = await process.start()
        await client.klippy_ready()
        yield Bench(process, client, klipper)
    finally:
        process.clean_up()


async def ask(socket: Any, method: str, call_id: int, **params: object) -> Any:
    await socket.send_message(json.dumps({"id": call_id, "method": method, "params": params}))
    return json.loads(await socket.get_message())


async def code_of_the_end(socket: Any) -> int | None:
    """The code that the service closes with."""
    try:
        while True:
            await socket.get_message()
    except trio_websocket.ConnectionClosed as closed:
        return None if closed.reason is None else int(closed.reason.code)


async def test_messages_pass_as_they_are_in_both_directions(bench: Bench) -> None:
    async with bench.bridge() as one, bench.bridge() as other:
        assert (await ask(one, "info", 7))["result"]["state"] == "ready"
        assert (await ask(other, "no/such", 8))["error"]
        template = {"x": "y"}
        answer = await ask(one, "objects/subscribe", 9, objects={"toolhead": None}, response_template=template)
        assert "toolhead" in answer["result"]["status"]
        bench.klipper.set_object("toolhead", speed=5)
        news = json.loads(await one.get_message())
        assert news["x"] == "y"
        await one.send_message(json.dumps({"id": 10, "method": "info"}).encode())  # a binary one
        while json.loads(await one.get_message()).get("id") != 10:
            pass
        big = await ask(other, "gcode/script", 11, script="; " + "x" * 300_000)
        assert big["id"] == 11


async def test_the_bridge_is_for_those_who_may(bench: Bench) -> None:
    assert await bench.refused(X_Forwarded_For="8.8.8.8") == 401
    assert await bench.refused(Origin="http://evil.example") == 403
    assert await bench.refused(Host="evil.example") in (400, 403)
    assert (await bench.client.get("/klippysocket")).status_code == 400
    token = await bench.client.result("/access/oneshot_token")
    async with bench.bridge(f"/klippysocket?token={token}") as socket:
        assert (await ask(socket, "info", 1))["id"] == 1


async def test_a_bridge_ends_when_its_user_has_logged_out_or_is_deleted(bench: Bench) -> None:
    stranger = {"X-Forwarded-For": "8.8.8.8"}
    for name, end in (("ann", "/access/logout"), ("bob", "/access/user?username=bob")):
        made = await bench.client.post("/access/user", json={"username": name, "password": "correct horse"})
        bearer = {"Authorization": f"Bearer {made.json()['result']['token']}", **stranger}
        async with bench.bridge(**bearer) as socket, bench.bridge() as trusted:
            assert (await ask(socket, "info", 1))["id"] == 1
            verb, headers = ("POST", bearer) if name == "ann" else ("DELETE", {})
            assert (await bench.client.request(verb, end, headers=headers)).status_code == 200
            assert await code_of_the_end(socket) == 1008
            assert (await ask(trusted, "info", 2))["id"] == 2


async def test_bridges_are_few_and_their_places_come_back(bench: Bench) -> None:
    connected = bench.klipper.connections
    async with trio.open_nursery() as nursery:
        opened: list[Any] = []

        async def hold(*, task_status: trio.TaskStatus[None]) -> None:
            async with bench.bridge() as socket:
                opened.append(socket)
                task_status.started()
                await trio.sleep_forever()

        for _ in range(8):
            await nursery.start(hold)
        assert await bench.refused() == 503
        nursery.cancel_scope.cancel()
    await until(lambda: bench.klipper.connections <= connected)
    async with bench.bridge() as socket:
        assert (await ask(socket, "info", 1))["id"] == 1


async def test_a_bridge_ends_with_klipper_and_with_the_service(bench: Bench) -> None:
    async with bench.bridge() as socket:
        assert (await ask(socket, "info", 1))["id"] == 1
        bench.klipper.crash()
        assert await code_of_the_end(socket) == 1001
    async with bench.klipper.away():
        assert await bench.refused() == 503
    await bench.klipper.wait_state("ready")
    async with bench.bridge() as socket:
        assert (await ask(socket, "info", 2))["id"] == 2
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.process.end)
            assert await code_of_the_end(socket) == 1001


async def test_a_client_that_reads_nothing_is_not_piled_up_for(bench: Bench) -> None:
    flood = b"".join(
        json.dumps({"params": {"number": number, "x": "y" * 500}}).encode() + b"\x03" for number in range(1000)
    )
    port = int(bench.client.url.rpartition(":")[2])
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(UPGRADE.replace(b"/websocket", b"/klippysocket"))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        for _ in range(40):  # 20 MB
            bench.klipper.send_raw(flood)
            await trio.sleep(0.01)
        await trio.sleep(0.5)
        status = Path(f"/proc/{bench.process.pid}/status").read_text()
        resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        assert resident < 90 * 1024  # 45 MiB without
        assert (await bench.client.get("/server/info")).status_code == 200
