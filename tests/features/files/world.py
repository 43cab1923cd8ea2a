"""Whole files rooms for tests: calls by their names, uploads piece by piece, and what clients were told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from msgspec.structs import replace

from trio_moon.features.files import SCHEMA, Files, FilesSettings
from trio_moon.features.files.places import Place
from trio_moon.kit.json_codec import Raw
from trio_moon.kit.status_box import Status, StatusView
from trio_moon.model.paths import DataPaths
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Caller, Session, Transport
from trio_moon.rpc.packet import Packet
from trio_moon.rpc.registry import Registry
from trio_moon.rpc.replies import Reply
from trio_moon.store.database import Database

QUIET = FilesSettings(watch=False)


class Ear:
    """A connected client that remembers every notification."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def event(self, packet: Packet) -> None:
        self.heard.append(json.loads(packet.payload))

    def status(self, news: StatusView, eventtime: float, packet: Packet) -> None:
        raise AssertionError("no status updates here")

    def close(self, reason: str) -> None:
        raise AssertionError(reason)


class StartedPrinter(Printer):
    """A printer without Klipper: it notes what would be printed."""

    def __init__(self, audience: Audience) -> None:
        super().__init__(Path("/nowhere"), audience)
        self.started: list[str] = []

    async def run_gcode(self, script: str) -> Raw:
        await trio.lowlevel.checkpoint()
        self.started.append(script)
        return Raw(b"{}")


class World:
    """One room with its printer, database and one client."""

    def __init__(self, folder: Path, settings: FilesSettings, database: Database) -> None:
        self.paths = DataPaths(folder / "printer_data")
        self.paths.make()
        self.audience = Audience()
        self.ear = Ear()
        self.audience.join(Session(self.ear))
        self.printer = StartedPrinter(self.audience)
        self.files = Files(settings, self.paths, self.printer, database, self.audience)
        self.registry = Registry()
        self.registry.add(self.files.endpoints())
        self.caller = Caller(Transport.HTTP, "127.0.0.1", "_TRUSTED_USER_")

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: Path, settings: FilesSettings = QUIET, *, database: Database | None = None, **changes: Any
    ) -> AsyncIterator[World]:
        """The room with its services running; `changes` are settings."""
        database = database or Database(None, (SCHEMA,))
        async with trio.open_nursery() as nursery:
            await nursery.start(database.run)
            world = cls(folder, replace(settings, **changes), database)
            async with trio.open_nursery() as services:
                for service in world.files.services().values():
                    await services.start(service.run)
                async with world.files.library.alone_in_roots_of(Place("gcodes"), Place("config")):
                    pass  # the first look at everything is over
                yield world
                services.cancel_scope.cancel()
            nursery.cancel_scope.cancel()

    @property
    def gcodes(self) -> Path:
        return self.paths.gcodes

    def write(self, path: str, content: str | bytes = "G28\n") -> Path:
        """A file below the data path, made by somebody else than us."""
        file = self.paths.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def prints(self, filename: str, state: str = "printing") -> None:
        """Klipper is there and at work on a file of `gcodes`."""
        self.printer.state = "ready"
        path = str(self.gcodes / filename) if state == "printing" else None
        objects: Status = {
            "print_stats": {"state": state, "filename": filename},
            "virtual_sdcard": {"file_path": path},
        }
        self.printer.mirror.merge(objects, 1.0)

    async def call(self, name: str, **params: object) -> Any:
        """The result of a method by its JSON-RPC name."""
        try:
            return await self.registry.named(f"server.files.{name}")(params, self.caller)
        finally:
            await self._news_arrive()

    async def _news_arrive(self) -> None:
        """News follow the answer."""
        arrived = trio.Event()
        trio.lowlevel.current_trio_token().run_sync_soon(arrived.set)
        await arrived.wait()

    async def http(self, verb: str, path: str, **params: object) -> Any:
        """The result of a method by its path."""
        method, held = self.registry.route(verb, path)
        return await method({**params, **held}, self.caller)

    async def upload(
        self,
        filename: str,
        content: bytes | Iterable[bytes] = b"G28\n",
        *,
        fields_after: Mapping[str, str] | None = None,
        to: str = "/server/files/upload",
        **fields: str,
    ) -> Reply:
        """One upload, as the front would hand it over; abandoned when anything fails."""
        method, _ = self.registry.route("POST", to)
        assert method.endpoint.upload is not None
        incoming = method.endpoint.upload(self.caller, None)
        finished = False
        try:
            for name, value in fields.items():
                incoming.add_field(name, value)
            incoming.start_file("file", filename)
            for chunk in [content] if isinstance(content, bytes) else content:
                await trio.to_thread.run_sync(incoming.write, chunk)
            incoming.end_file()
            for name, value in (fields_after or {}).items():
                incoming.add_field(name, value)
            reply = await incoming.complete()
            finished = True
        finally:
            if not finished:
                incoming.abandon()
        assert isinstance(reply, Reply)
        return reply

    async def uploaded(self, filename: str, content: bytes = b"G28\n", **fields: str) -> dict[str, Any]:
        """What one upload is answered."""
        answer = (await self.upload(filename, content, fields_after=None, **fields)).value
        assert isinstance(answer, dict)
        return answer

    async def print_upload(self, filename: str, content: bytes = b"G28\n") -> tuple[bool, bool]:
        """Upload a file to print it; whether the print was started, and whether it was queued."""
        answer = await self.uploaded(filename, content, print="true")
        return answer["print_started"], answer["print_queued"]

    def told(self, method: str = "notify_filelist_changed") -> list[dict[str, Any]]:
        """The first parameter of every notification of this kind."""
        return [message["params"][0] for message in self.ear.heard if message["method"] == method]

    def actions(self) -> list[tuple[str, str]]:
        """What clients were told happened, and to what."""
        return [(news["action"], f"{news['item']['root']}/{news['item']['path']}") for news in self.told()]

    def all_files(self) -> set[str]:
        """Everything on disk outside the database, as paths below the data path."""
        found = (path for path in self.paths.root.rglob("*") if path.is_file() or path.is_symlink())
        names = {str(path.relative_to(self.paths.root)) for path in found}
        return {name for name in names if not name.startswith("database/")}
