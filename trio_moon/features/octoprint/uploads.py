"""An upload to OctoPrint's address: the files room's upload, with OctoPrint's answer, or a new folder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from trio_moon.features.octoprint.entries import file_entry, resource
from trio_moon.features.octoprint.parameters import NewFolder
from trio_moon.features.octoprint.service import OctoPrint
from trio_moon.rpc.replies import Incoming, Reply

FIELDS = ("foldername", "path", "select", "print")
NOT_KNOWN_YET = ("size", "date", "gcodeAnalysis")

MakeFolder = Callable[[NewFolder], Awaitable[Reply]]


class OctoPrintUpload:
    """An Incoming around an Incoming."""

    def __init__(self, inner: Incoming, octoprint: OctoPrint, make_folder: MakeFolder) -> None:
        self._inner = inner
        self._octoprint = octoprint
        self._make_folder = make_folder
        self._fields: dict[str, str] = {}
        self._has_file = False

    def add_field(self, name: str, value: str) -> None:
        if name in FIELDS:
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
            return await self._make_folder(NewFolder(self._fields["foldername"], self._fields.get("path", "")))
        reply = await self._inner.complete()
        assert isinstance(reply, Reply)
        assert isinstance(reply.value, dict)
        path = str(reply.value["item"]["path"])
        started = bool(reply.value.get("print_started"))
        selects = self._fields.get("select", "").lower() == "true" and not self._octoprint.state.at_work
        if selects and not started:
            self._octoprint.selected = path
        file = {key: value for key, value in file_entry(path, {}).items() if key not in NOT_KNOWN_YET}
        more = {"files": {"local": file}, "done": True, "effectiveSelect": selects, "effectivePrint": started}
        return Reply({**reply.value, **more}, 201, {"Location": resource(path)})

    def abandon(self) -> None:
        self._inner.abandon()
