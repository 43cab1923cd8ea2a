"""The job: what is printed, how far it is, and what may be done with it."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from trio_moon.features.octoprint.about import NOTHING
from trio_moon.features.octoprint.entries import filament_of
from trio_moon.features.octoprint.parameters import JobCommand
from trio_moon.features.octoprint.service import OctoPrint
from trio_moon.model.errors import BadParams, Conflict, MoonError
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.replies import Reply

PATIENCE = 10.0
"""Seconds that a client waits for a macro to end. Klipper goes on after that; the state tells how far it is."""

NEWS_AFTER = 1.0
"""Seconds in which Klipper tells of a change that it has made: it does so every 250 ms."""


class Job:
    """The handlers."""

    def __init__(self, octoprint: OctoPrint) -> None:
        self._octoprint = octoprint
        self._printer = octoprint.printer

    async def show(self, params: NoParams, caller: Caller) -> object:
        stats = self._octoprint.print_stats
        card = self._printer.mirror.get("virtual_sdcard")
        state = self._octoprint.state
        name = self._file()
        metadata = await self._metadata(name, caller)
        estimate = _number(metadata.get("estimated_time"))
        shown: dict[str, object] = {
            "job": {
                "file": _file(name, metadata),
                "estimatedPrintTime": estimate,
                "averagePrintTime": None,
                "lastPrintTime": None,
                "filament": filament_of(metadata),
                "user": None,
            },
            "progress": _progress(stats, card, estimate) if name and name == stats.get("filename") else _NO_PROGRESS,
            "state": state.text,
        }
        if state.text == "Error":
            shown["error"] = self._printer.state_message
        return shown

    def _file(self) -> str | None:
        """What is printed, else what a client has selected, else what was printed last."""
        last = self._octoprint.print_stats.get("filename")
        last = last if isinstance(last, str) and last else None
        return last if self._octoprint.state.at_work else self._octoprint.selected or last

    async def _metadata(self, name: str | None, caller: Caller) -> Mapping[str, object]:
        if name is None:
            return {}
        try:
            return await self._octoprint.own.ask("server.files.metadata", caller, filename=name)
        except MoonError:
            return {}  # printed from elsewhere, or deleted since

    async def command(self, params: JobCommand, caller: Caller) -> Reply:
        match params.command:
            case "start":
                await self._start(caller)
            case "cancel":
                await self._change("pause_resume/cancel", "Cancelling")
            case "restart":
                await self._restart(caller)
            case "pause":
                await self._pause(params.action)
            case _:
                raise BadParams(f"{params.command!r:.60} is no command: use start, cancel, restart or pause")
        return NOTHING

    async def _start(self, caller: Caller) -> None:
        self._octoprint.check_idle()
        name = self._file()
        if name is None:
            raise Conflict("no file is selected")
        await self._printer.start_print(name, caller.user)
        self._octoprint.selected = None

    async def _restart(self, caller: Caller) -> None:
        name = self._file()
        if self._octoprint.state.text != "Paused" or name is None:
            raise Conflict("only a paused print can be started anew")
        await self._change("pause_resume/cancel", "Cancelling")
        await self._printer.start_print(name, caller.user)

    async def _pause(self, action: str) -> None:
        if action not in ("pause", "resume", "toggle"):
            raise BadParams(f"{action!r:.60} is no action: use pause, resume or toggle")
        paused = self._octoprint.state.text == "Paused"
        if action == "toggle":
            action = "resume" if paused else "pause"
        if action == "resume":
            if paused or not self._octoprint.state.at_work:
                await self._change("pause_resume/resume", "Resuming")
        elif not paused:
            await self._change("pause_resume/pause", "Pausing")

    async def _change(self, request: str, on_the_way: str) -> None:
        self._octoprint.check_operational()
        if not self._octoprint.state.at_work:
            raise Conflict("nothing is being printed")
        before = self._octoprint.print_stats.get("state")
        with trio.move_on_after(PATIENCE):
            with self._octoprint.on_the_way(on_the_way):
                await self._printer.request(request, deadline=None)
            with trio.move_on_after(NEWS_AFTER):  # so that who asks next hears what is true
                await self._octoprint.job_leaves(before)


_NO_PROGRESS: dict[str, object] = {
    "completion": None,
    "filepos": None,
    "printTime": None,
    "printTimeLeft": None,
    "printTimeOrigin": None,
}


def _file(name: str | None, metadata: Mapping[str, object]) -> dict[str, object]:
    if name is None:
        return {"name": None, "path": None, "display": None, "origin": None, "size": None, "date": None}
    short = name.rpartition("/")[2]
    modified = _number(metadata.get("modified"))
    return {
        "name": short,
        "path": name,
        "display": short,
        "origin": "local",
        "size": metadata.get("size"),
        "date": None if modified is None else int(modified),
    }


def _progress(stats: Mapping[str, object], card: Mapping[str, object], estimate: float | None) -> dict[str, object]:
    """How far the print is. The time left is the slicer's estimate less what has passed; else as the file goes on."""
    if stats.get("state") == "standby":
        return _NO_PROGRESS
    done = 1.0 if stats.get("state") == "complete" else _number(card.get("progress")) or 0.0
    passed = _number(stats.get("print_duration")) or 0.0
    left, origin = None, None
    if done >= 1:
        left = 0
    elif estimate is not None and estimate > passed:
        left, origin = int(estimate - passed), "analysis"
    elif done > 0:
        left, origin = int(passed / done - passed), "linear"
    return {
        "completion": done * 100,
        "filepos": card.get("file_position"),
        "printTime": int(passed),
        "printTimeLeft": left,
        "printTimeOrigin": origin,
    }


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
