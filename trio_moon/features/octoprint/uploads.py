"""An upload to OctoPrint's address: the files room's upload, with OctoPrint's answer, or a new folder."""

from __future__ import annotations

from typing import Protocol

from trio_moon.features.octoprint.parameters import NewFolder
from trio_moon.features.octoprint.service import OctoPrint
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.replies import Incoming, Reply

FOLDER_FIELDS = ("foldername", "path")


class MakesFolders(Protocol):
    """Knows how to make a folder, and how to speak of a file."""

    async def make_folder(self, params: NewFolder, caller: Caller) -> Reply: ...

    def arrived(self, path: str) -> dict[str, object]: ...

    def resource(self, path: str) -> str: ...


class OctoPrintUpload:
    """An Incoming around an Incoming."""

    def __init__(self, inner: Incoming, octoprint: OctoPrint, folders: MakesFolders, caller: Caller) -> None:
        self._inner = inner
        self._octoprint = octoprint
        self._folders = folders
        self._caller = caller
        self._fields: dict[str, str] = {}
        self._has_file = False

    def add_field(self, name: str, value: str) -> None:
        if name in (*FOLDER_FIELDS, "select", "print"):
            self._fields[name] = value
        self._inner.add_field(name, value)

    def start_file(self, name: str, filename: str) -> None:
        self._has_file = True
        self._inner.start_file(name, filename)

    def write(self, data: bytes | memoryview) -> None:
        self._inner.write(data)

    def end_file(self) -> None:
        self._inner.end_file()

    async def complete(self) -> object:
        if not self._has_file and "foldername" in self._fields:
            folder = NewFolder(self._fields["foldername"], self._fields.get("path", ""))
            return await self._folders.make_folder(folder, self._caller)
        reply = await self._inner.complete()
        assert isinstance(reply, Reply)
        assert isinstance(reply.value, dict)
        path = str(reply.value["item"]["path"])
        started = bool(reply.value.get("print_started"))
        selects = self._fields.get("select", "").lower() == "true" and not self._octoprint.state.at_work
        if selects and not started:
            self._octoprint.selected = path
        file = self._folders.arrived(path)
        more = {"files": {"local": file}, "done": True, "effectiveSelect": selects, "effectivePrint": started}
        return Reply({**reply.value, **more}, 201, {"Location": self._folders.resource(path)})

    def abandon(self) -> None:
        self._inner.abandon()
