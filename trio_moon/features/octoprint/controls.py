"""The printer at this moment, and its controls: G-code, tools, bed, chamber, print head."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import partial

from trio_moon.features.octoprint.about import NOTHING
from trio_moon.features.octoprint.heaters import target_gcode
from trio_moon.features.octoprint.parameters import Commands, HeadCommand, HeaterCommand, Report
from trio_moon.features.octoprint.service import OctoPrint
from trio_moon.kit.json_codec import Raw, encode
from trio_moon.model.errors import BadParams, Conflict
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.replies import Reply

WHOLE = Report()
LONGEST_HISTORY = 1200
EXTRUDE_SPEED, JOG_SPEED = 300.0, 6000.0
"""Millimetres a minute, as our printer profile says."""


class Controls:
    """The handlers."""

    def __init__(self, octoprint: OctoPrint) -> None:
        self._octoprint = octoprint
        self._shown = (octoprint.facts, Raw(b""))
        """The last whole answer, and what it was made of: apps ask again and again."""

    def printer(self, params: Report, caller: Caller) -> object:
        if params == WHOLE and self._shown[0] == self._octoprint.facts and self._shown[1]:
            return self._shown[1]
        return partial(self._printer, params, caller)

    async def _printer(self, params: Report, caller: Caller) -> object:
        facts = self._octoprint.facts
        shown = await self._parts(params, caller)
        if params == WHOLE and facts == self._octoprint.facts and self._octoprint.heaters_told:
            self._shown = (facts, Raw(encode(shown)))
        return shown

    async def _parts(self, params: Report, caller: Caller) -> dict[str, object]:
        excluded = params.exclude.split(",")
        shown: dict[str, object] = {}
        if "temperature" not in excluded:
            shown["temperature"] = await self._with_history(await self._octoprint.temperatures(), params, caller)
        if "sd" not in excluded:
            shown["sd"] = {"ready": False}
        if "state" not in excluded:
            shown["state"] = self._octoprint.state.as_wire()
        return shown

    async def tools(self, params: Report, caller: Caller) -> object:
        return await self._some(params, caller, "tool")

    async def bed(self, params: Report, caller: Caller) -> object:
        return await self._some(params, caller, "bed")

    async def chamber(self, params: Report, caller: Caller) -> object:
        return await self._some(params, caller, "chamber")

    async def _some(self, params: Report, caller: Caller, which: str) -> object:
        self._octoprint.check_operational()
        readings = await self._octoprint.temperatures()
        found = {name: value for name, value in readings.items() if name.startswith(which)}
        if not found:
            raise Conflict(f"the printer has no {which}")
        return await self._with_history(found, params, caller)

    async def _with_history(self, now: dict[str, object], params: Report, caller: Caller) -> dict[str, object]:
        if not params.history:
            return now
        stored = await self._octoprint.own.ask("server.temperature_store", caller)
        names = {name: klipper for name, klipper in self._octoprint.heaters().items() if name in now}
        return {**now, "history": history(stored, names, params.limit, int(time.time()))}

    # --- orders

    async def gcode(self, params: Commands, caller: Caller) -> object:
        await self._octoprint.run_gcode("\n".join(params.lines))
        return {}

    async def order_tool(self, params: HeaterCommand, caller: Caller) -> Reply:
        match params.command:
            case "target" if params.targets:
                lines = [self._target(tool, target) for tool, target in params.targets.items()]
            case "select":
                lines = [f"ACTIVATE_EXTRUDER EXTRUDER={self._heater(params.tool)}"]
            case "extrude" if params.amount is not None:
                self._octoprint.check_idle()
                speed = _limited(params.speed or EXTRUDE_SPEED, 1, 100_000)
                move = f"G1 E{_limited(params.amount, -10_000, 10_000):g} F{speed:g}"
                select = [f"ACTIVATE_EXTRUDER EXTRUDER={self._heater(params.tool)}"] if params.tool else []
                lines = [*select, *_relative("M83", move)]
            case "flowrate" if params.factor is not None:
                lines = [f"M221 S{_percent(params.factor):g}"]
            case _:
                raise _unknown(params.command, "target with 'targets', select, extrude or flowrate")
        await self._octoprint.run_gcode("\n".join(lines))
        return NOTHING

    async def order_bed(self, params: HeaterCommand, caller: Caller) -> Reply:
        return await self._order_heater("bed", params)

    async def order_chamber(self, params: HeaterCommand, caller: Caller) -> Reply:
        return await self._order_heater("chamber", params)

    async def _order_heater(self, name: str, params: HeaterCommand) -> Reply:
        if params.command != "target" or params.target is None:
            raise _unknown(params.command, "target with 'target'")
        await self._octoprint.run_gcode(self._target(name, params.target))
        return NOTHING

    async def order_head(self, params: HeadCommand, caller: Caller) -> Reply:
        match params.command:
            case "jog":
                self._octoprint.check_idle()
                lines = _jog(params)
            case "home":
                self._octoprint.check_idle()
                axes = [axis.upper() for axis in params.axes]
                if not all(axis in ("X", "Y", "Z") for axis in axes):
                    raise BadParams("'axes' must be a list of x, y and z")
                lines = [" ".join(["G28", *axes])]
            case "feedrate" if params.factor is not None:
                lines = [f"M220 S{_percent(params.factor):g}"]
            case _:
                raise _unknown(params.command, "jog, home or feedrate")
        await self._octoprint.run_gcode("\n".join(lines))
        return NOTHING

    def _target(self, name: str, target: float) -> str:
        return target_gcode(self._heater(name), target)

    def _heater(self, name: str) -> str:
        self._octoprint.check_operational()
        found = self._octoprint.heaters().get(name)
        if found is None:
            raise Conflict(f"the printer has no {name!r:.60}")
        return found

    # --- what there isn't

    def card(self, params: NoParams, caller: Caller) -> object:
        return {"ready": False}

    def custom_controls(self, params: NoParams, caller: Caller) -> object:
        return {"controls": []}


def history(
    stored: Mapping[str, object], names: Mapping[str, str], limit: int | None, now: int
) -> list[dict[str, object]]:
    """The stored readings of some heaters, one for each second, the latest last."""
    columns: dict[str, tuple[list[object], list[object]]] = {}
    for name, klipper in names.items():
        sensor = stored.get(klipper)
        if isinstance(sensor, Mapping):
            columns[name] = (list(sensor.get("temperatures", [])), list(sensor.get("targets", [])))
    longest = max((len(actual) for actual, _ in columns.values()), default=0)
    wanted = min(longest, LONGEST_HISTORY if limit is None else max(0, limit))
    return [
        {
            "time": now - back + 1,
            **{
                name: {"actual": actual[-back], "target": targets[-back] if len(targets) >= back else None}
                for name, (actual, targets) in columns.items()
                if len(actual) >= back
            },
        }
        for back in range(wanted, 0, -1)
    ]


def _jog(params: HeadCommand) -> list[str]:
    moves = {"X": params.x, "Y": params.y, "Z": params.z}
    words = [f"{axis}{_limited(way, -100_000, 100_000):g}" for axis, way in moves.items() if way is not None]
    if not words:
        raise BadParams("a jog needs x, y or z")
    speed = _limited(params.speed or JOG_SPEED, 1, 1_000_000)
    return _relative("G90" if params.absolute else "G91", " ".join(["G1", *words, f"F{speed:g}"]))


def _relative(mode: str, move: str) -> list[str]:
    """A move in a mode of its own; the printer's mode stays what it was."""
    return ["SAVE_GCODE_STATE NAME=_octoprint", mode, move, "RESTORE_GCODE_STATE NAME=_octoprint"]


def _limited(value: float, lowest: float, highest: float) -> float:
    if not (math.isfinite(value) and lowest <= value <= highest):
        raise BadParams(f"{value} is not between {lowest:g} and {highest:g}")
    return value


def _percent(factor: float) -> float:
    """Apps send 0.95 or 95."""
    return _limited(factor * 100 if factor <= 2 else factor, 1, 500)


def _unknown(command: str, known: str) -> BadParams:
    return BadParams(f"{command!r:.60} is no complete command: use {known}")
