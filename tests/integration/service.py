"""Whole services for integration tests: in our own nursery, or as a process of their own that may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trio
import trio_websocket

from tests.until import until
from trio_moon.app import App, Options, run_app
from trio_moon.config.document import Document
from trio_moon.kit.json_codec import decode, encode
from trio_moon.model.paths import DataPaths
from trio_moon.testing import SimulatedKlipper

START_TIMEOUT = 30.0
ANSWER_TIMEOUT = 20.0


def configure(root: Path, more: str = "", *, port: int = 0) -> DataPaths:
    """Write a configuration for loopback into a data path; `more` are further sections."""
    paths = DataPaths(root)
    paths.make()
    (paths.config / "moonraker.conf").write_text(f"[server]\nhost: 127.0.0.1\nport: {port}\n\n{more}\n")
    return paths


@dataclass(eq=False)
class Client:
    """What a frontend does: HTTP calls and one websocket's worth of JSON-RPC."""

    url: str

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("POST", path, **options)

    async def request(self, verb: str, path: str, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=ANSWER_TIMEOUT) as http:
            return await http.request(verb, path, **options)

    async def result(self, path: str, **options: Any) -> Any:
        """The `result` of a GET that must succeed."""
        answer = await self.get(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def klippy_ready(self) -> None:
        """Wait until the service has found Klipper."""

        async def is_ready() -> bool:
            return bool((await self.result("/server/info"))["klippy_state"] == "ready")

        await until(is_ready)

    @asynccontextmanager
    async def websocket(self, path: str = "/websocket") -> AsyncIterator[RpcSocket]:
        """A JSON-RPC websocket."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        stream = await trio.open_tcp_stream(host, int(port))
        async with stream, trio.open_nursery() as nursery:  # the library leaves the stream open when the peer ends it
            socket = await trio_websocket.wrap_client_stream(nursery, stream, f"{host}:{port}", path)
            yield RpcSocket(socket)
            with trio.move_on_after(2):
                await socket.aclose()
            nursery.cancel_scope.cancel()


class RpcSocket:
    """Calls and notifications over one websocket."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.news: list[dict[str, Any]] = []
        self._last_id = 0

    async def call(self, method: str, /, **params: object) -> Any:
        """The result of a call; AssertionError with the error if it fails."""
        answer = await self.ask(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    async def ask(self, method: str, /, **params: object) -> dict[str, Any]:
        """The whole answer to a call; notifications that come first are kept in `news`."""
        self._last_id += 1
        message = {"jsonrpc": "2.0", "method": method, "params": params, "id": self._last_id}
        await self.socket.send_message(encode(message).decode())
        with trio.fail_after(ANSWER_TIMEOUT):
            while True:
                answer = await self._receive()
                if answer.get("id") == self._last_id:
                    return answer
                self.news.append(answer)

    async def hear(self, method: str) -> dict[str, Any]:
        """The next notification of this method, the kept ones first."""
        with trio.fail_after(ANSWER_TIMEOUT):
            while True:
                for index, told in enumerate(self.news):
                    if told.get("method") == method:
                        return self.news.pop(index)
                self.news.append(await self._receive())

    async def exchange(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answer to a batch, in the order of the ids."""
        await self.socket.send_message(encode(batch).decode())
        with trio.fail_after(ANSWER_TIMEOUT):
            while True:
                answer = decode(await self.socket.get_message())
                if isinstance(answer, list):
                    return sorted(answer, key=lambda each: int(each["id"]))
                assert isinstance(answer, dict)
                self.news.append(answer)

    async def _receive(self) -> dict[str, Any]:
        answer = decode(await self.socket.get_message())
        assert isinstance(answer, dict)
        return answer


@asynccontextmanager
async def running(paths: DataPaths, *, debug: bool = False) -> AsyncIterator[tuple[App, Client]]:
    """The whole service in our own process, ended as SIGTERM would."""
    document = Document.load(paths.config / "moonraker.conf", paths.root)
    app = App(document, paths, Options(debug=debug))
    async with trio.open_nursery() as nursery:
        with trio.fail_after(START_TIMEOUT):
            addresses = await nursery.start(run_app, app)
        try:
            yield app, Client(addresses[0])
        finally:
            app.stop.stop()


@asynccontextmanager
async def with_printer(
    paths: DataPaths, *, debug: bool = False, **printer: Any
) -> AsyncIterator[tuple[SimulatedKlipper, App, Client]]:
    """A printer of this kind, and the whole service, which has found it ready."""
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, **printer)
    async with trio.open_nursery() as nursery:
        await nursery.start(klipper.run)
        async with running(paths, debug=debug) as (app, client):
            await until(lambda: app.printer.state == "ready")
            yield klipper, app, client
        nursery.cancel_scope.cancel()


class Process:
    """The service as its own process, for signals and `kill -9`."""

    def __init__(self, paths: DataPaths, *arguments: str) -> None:
        self.paths = paths
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.log = paths.logs / "moonraker.log"
        self.stderr = paths.root.with_name(f"{paths.root.name}.stderr")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> Client:
        """Start it and wait until it answers."""
        known = self.log.stat().st_size if self.log.exists() else 0
        command = [sys.executable, "-m", "trio_moon", "run", "-d", str(self.paths.root), *self._arguments]
        with self.stderr.open("wb") as stderr:
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
        with trio.fail_after(START_TIMEOUT):
            while True:
                if self._process.poll() is not None:
                    raise AssertionError(self.stderr.read_text())
                new = self.log.read_text()[known:] if self.log.exists() else ""
                for line in new.splitlines():
                    if "listening on http" in line:
                        return Client(line.split("listening on ")[1].split(",")[0])
                await trio.sleep(0.02)

    async def end(self, number: int = signal.SIGTERM) -> float:
        """Send a signal and wait for the end; returns the seconds that took."""
        began = trio.current_time()
        os.kill(self.pid, number)
        await until(lambda: self.status is not None, within=START_TIMEOUT)
        return trio.current_time() - began

    async def kill(self) -> None:
        """`kill -9`."""
        await self.end(signal.SIGKILL)

    @property
    def status(self) -> int | None:
        """The exit status, None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def clean_up(self) -> None:
        """End it if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
