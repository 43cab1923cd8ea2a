"""Files and folders of `gcodes` as OctoPrint's `local` storage."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from trio_moon.features.octoprint.about import NOTHING
from trio_moon.features.octoprint.entries import file_entry, folder_entry, resource
from trio_moon.features.octoprint.parameters import FileCommand, FileRequest, NewFolder
from trio_moon.features.octoprint.service import OctoPrint
from trio_moon.features.octoprint.uploads import OctoPrintUpload
from trio_moon.model.errors import BadParams, Conflict, Forbidden, KlippyRefused, NotFound
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.replies import Incoming, Reply

PRINTABLE = (".gcode", ".g", ".gco", ".nc")
DEEPEST = 32
MOST_ENTRIES = 20_000
"""In one answer, or it enters no more folders: links that lead to each other's would go on for ever."""


class LocalFiles:
    """The handlers."""

    def __init__(self, octoprint: OctoPrint) -> None:
        self._octoprint = octoprint
        self._own = octoprint.own

    # --- looking

    async def list_all(self, params: FileRequest, caller: Caller) -> object:
        listed = await self._directory("", caller)
        usage = listed.get("disk_usage")
        free, total = (usage.get("free"), usage.get("total")) if isinstance(usage, Mapping) else (None, None)
        return {"files": await self._children("", params.recursive, caller), "free": free, "total": total}

    async def show(self, params: FileRequest, caller: Caller) -> object:
        path = params.path.strip("/")
        entry = await self._find(path, caller)
        if entry["type"] == "folder":
            entry["children"] = await self._children(path, params.recursive, caller)
        return entry

    async def _children(self, path: str, recursive: bool, caller: Caller) -> list[dict[str, object]]:
        return await self._below(path, caller, DEEPEST if recursive else 0, [])

    async def _below(self, path: str, caller: Caller, levels: int, told: list[object]) -> list[dict[str, object]]:
        listed = await self._directory(path, caller)
        folders, files = _items(listed, "dirs"), _items(listed, "files")
        told += [*folders, *files]
        found: list[dict[str, object]] = []
        for folder in folders:
            name = str(folder["dirname"])
            if name.startswith("."):
                continue
            entry = folder_entry(_join(path, name))
            if levels and len(told) < MOST_ENTRIES:
                entry["children"] = await self._below(_join(path, name), caller, levels - 1, told)
            found.append(entry)
        for file in files:
            name = str(file["filename"])
            if name.lower().endswith(PRINTABLE):
                found.append(file_entry(_join(path, name), file))
        return found

    async def _find(self, path: str, caller: Caller) -> dict[str, object]:
        parent, _, name = path.rpartition("/")
        listed = await self._directory(parent, caller)
        for file in _items(listed, "files"):
            if file["filename"] == name:
                return file_entry(path, file)
        if any(folder["dirname"] == name for folder in _items(listed, "dirs")):
            return folder_entry(path)
        raise NotFound(f"there is no file '{path:.200}'")

    async def _directory(self, path: str, caller: Caller) -> Mapping[str, object]:
        return await self._own.ask("server.files.get_directory", caller, path=_join("gcodes", path), extended=True)

    # --- changing

    async def command(self, params: FileCommand, caller: Caller) -> Reply:
        path = params.path.strip("/")
        match params.command:
            case "select":
                entry = await self._find(path, caller)
                if entry["type"] == "folder":
                    raise BadParams("a folder can't be printed")
                return await self._select(path, caller, start=params.print)
            case "unselect":
                self._octoprint.selected = None
                return NOTHING
            case "copy" | "move":
                return await self._transfer(params.command, path, params.destination, caller)
            case _:
                raise BadParams(f"{params.command!r:.60} is no command: use select, unselect, copy or move")

    async def _select(self, path: str, caller: Caller, *, start: bool) -> Reply:
        try:
            self._octoprint.check_idle()
            self._octoprint.selected = path
            if start:
                await self._octoprint.printer.start_print(path, caller.user)
                self._octoprint.selected = None
        except (Conflict, KlippyRefused):
            if not start or not await self._octoprint.print_later(path, caller.user):
                raise
            self._octoprint.selected = None
        return NOTHING

    async def _transfer(self, verb: str, path: str, destination: str, caller: Caller) -> Reply:
        if not destination.strip("/"):
            raise BadParams("'destination' is missing")
        goal = _join("gcodes", destination.strip("/"))
        try:
            await self._find(destination.strip("/"), caller)
            goal = _join(goal, path.rpartition("/")[2])
            await self._find(goal.removeprefix("gcodes/"), caller)
        except NotFound:
            pass
        else:
            raise Conflict(f"'{goal}' exists already")
        told = await self._blocked_is_conflict(f"server.files.{verb}", caller, source=_join("gcodes", path), dest=goal)
        item = told.get("item")
        ended = str(item.get("path")) if isinstance(item, Mapping) else ""
        return Reply(folder_entry(ended), 201, {"Location": resource(ended)})

    async def delete(self, params: FileRequest, caller: Caller) -> Reply:
        path = params.path.strip("/")
        entry = await self._find(path, caller)
        if entry["type"] == "folder":
            await self._blocked_is_conflict(
                "server.files.delete_directory", caller, path=_join("gcodes", path), force=True
            )
        else:
            await self._blocked_is_conflict("server.files.delete_file", caller, path=_join("gcodes", path))
        return NOTHING

    async def _blocked_is_conflict(self, name: str, caller: Caller, **arguments: object) -> Mapping[str, object]:
        """OctoPrint says 409, not 403, of a file that is being printed."""
        try:
            return await self._own.ask(name, caller, **arguments)
        except Forbidden as error:
            raise Conflict(error.message) from error

    # --- arriving

    def receive(self, caller: Caller, announced: int | None) -> Incoming:
        """One upload to OctoPrint's address; the files room does the work."""
        inner = self._own.upload()(caller, announced)
        return OctoPrintUpload(inner, self._octoprint, partial(self.make_folder, caller=caller))

    async def make_folder(self, params: NewFolder, caller: Caller) -> Reply:
        path = _join(params.path.strip("/"), params.foldername.strip("/"))
        await self._own.call("server.files.post_directory", caller, path=_join("gcodes", path))
        return Reply({"folder": folder_entry(path), "done": True}, 201, {"Location": resource(path)})

    async def moonraker_command(self, params: FileCommand, caller: Caller) -> Reply:
        """Where Moonraker's uploads point to: `<root>/<path>`, with select and print."""
        root, _, path = params.path.strip("/").partition("/")
        if params.command != "select" or root != "gcodes" or not path:
            raise BadParams("the command must be select, of a file in gcodes")
        if not params.print:
            self._octoprint.selected = path
            return NOTHING
        return await self._select(path, caller, start=True)


def _items(listed: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    items = listed.get(key)
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder and name else folder or name
