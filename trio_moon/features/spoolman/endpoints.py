"""The Spoolman chapter of the API."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from trio_moon.features.spoolman import proxy
from trio_moon.features.spoolman.arguments import LARGEST_ID, MAX_TOOL, parse_number
from trio_moon.features.spoolman.ledger import LEAST_REPORT_MM, Intent
from trio_moon.features.spoolman.service import Spoolman
from trio_moon.model.errors import BadParams
from trio_moon.rpc.binding import Arguments, NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.endpoint import Endpoint


class Tool(msgspec.Struct, frozen=True):
    """`tool`: its number; 0 unless told."""

    tool: Annotated[int, Meta(ge=0, le=MAX_TOOL)] = 0


class SpoolChoice(msgspec.Struct, frozen=True):
    """`spool_id`: null or no arguments at all unset the spool."""

    spool_id: int | None
    tool: int = 0

    @classmethod
    def from_arguments(cls, arguments: Arguments) -> SpoolChoice:
        if not arguments:
            return cls(None)
        if "spool_id" not in arguments:
            raise BadParams("argument 'spool_id' is missing: send null, or nothing at all, to unset the spool")
        tool = parse_number(arguments.get("tool", 0), "tool", 0, MAX_TOOL)
        return cls(_spool_id(arguments["spool_id"]), tool)


class ToolTable(msgspec.Struct, frozen=True):
    """`tools`: `{"0": 1, "1": null}`, the spool of each tool. With tool 0 alone it counts for every extruder."""

    tools: dict[int, int | None]

    @classmethod
    def from_arguments(cls, arguments: Arguments) -> ToolTable:
        table = arguments.get("tools")
        if not isinstance(table, dict):
            raise BadParams('argument \'tools\' must be an object such as {"0": 1, "1": null}')
        return cls({parse_number(tool, "tools", 0, MAX_TOOL): _spool_id(spool) for tool, spool in table.items()})


class OrphanChoice(msgspec.Struct, frozen=True):
    """Usage of `spool_id`, which is gone, goes to spool `to` (null: to nobody)."""

    spool_id: int
    to: int | None

    @classmethod
    def from_arguments(cls, arguments: Arguments) -> OrphanChoice:
        for name in ("spool_id", "to"):
            if name not in arguments:
                raise BadParams(f"argument '{name}' is missing")
        return cls(parse_number(arguments["spool_id"], "spool_id", 1, LARGEST_ID), _spool_id(arguments["to"], "to"))


class Limit(msgspec.Struct, frozen=True):
    """`limit`: how many, the newest first."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 50


class File(msgspec.Struct, frozen=True):
    """`filename`: relative to the `gcodes` root."""

    filename: str


def _spool_id(value: object, name: str = "spool_id") -> int | None:
    return None if value is None else parse_number(value, name, 1, LARGEST_ID)


def endpoints(spoolman: Spoolman) -> tuple[Endpoint, ...]:
    """The room's table of contents."""
    calls = SpoolmanCalls(spoolman)
    tools = {"GET": "server.spoolman.tools", "POST": "server.spoolman.post_tools"}
    orphaned = {"POST": "server.spoolman.assign_orphaned"}
    return (
        Endpoint("/server/spoolman/status", NoParams, GET=calls.status),
        Endpoint("/server/spoolman/spool_id", Tool, GET=calls.spool_of_tool, rpc_names={"GET": GET_SPOOL}),
        Endpoint("/server/spoolman/spool_id", SpoolChoice, POST=calls.choose, rpc_names={"POST": POST_SPOOL}),
        Endpoint("/server/spoolman/proxy", proxy.ProxyCall, POST=calls.proxy),
        Endpoint("/server/spoolman/tools", NoParams, GET=calls.tools, rpc_names=tools),
        Endpoint("/server/spoolman/tools", ToolTable, POST=calls.choose_all, rpc_names=tools),
        Endpoint("/server/spoolman/orphaned", OrphanChoice, POST=calls.assign_orphaned, rpc_names=orphaned),
        Endpoint("/server/spoolman/journal", Limit, GET=calls.journal),
        Endpoint("/server/spoolman/jobs", Limit, GET=calls.jobs),
        Endpoint("/server/spoolman/check", File, GET=calls.check),
    )


GET_SPOOL, POST_SPOOL = "server.spoolman.get_spool_id", "server.spoolman.post_spool_id"


class SpoolmanCalls:
    """The handlers."""

    def __init__(self, spoolman: Spoolman) -> None:
        self._spoolman = spoolman

    def status(self, params: NoParams, caller: Caller) -> object:
        spoolman, state = self._spoolman, self._spoolman.ledger.state
        last = spoolman.ledger.last_settled
        return {
            "spoolman_connected": spoolman.connected,
            "pending_reports": _amounts(state.pending),
            "spool_id": spoolman.active_spool,
            "tool": spoolman.active_tool,
            "accounting": spoolman.meter.source,
            "open_intents": [_intent(i) for i in state.intents.values() if i.outcome == "open"],
            "watched_reports": [_intent(i) for i in state.intents.values() if i.outcome != "open"],
            "orphaned": _amounts(state.orphaned),
            "unassigned": state.unassigned,
            "parked": [
                {"spool_id": spool_id, "reason": parked.reason, "refusals": parked.refusals}
                for spool_id, parked in spoolman.reporter.parked.items()
            ],
            "last_report": None if last is None else _intent(last),
            "waiting_because": spoolman.reporter.away_because or None,
        }

    def spool_of_tool(self, params: Tool, caller: Caller) -> object:
        spool_id = self._spoolman.tools.get(params.tool)
        return {"spool_id": spool_id} if params.tool == 0 else {"spool_id": spool_id, "tool": params.tool}

    async def choose(self, params: SpoolChoice, caller: Caller) -> object:
        await self._spoolman.choose(params.tool, params.spool_id)
        answer: dict[str, object] = {"spool_id": params.spool_id}
        return answer if params.tool == 0 else {**answer, "tool": params.tool}

    def tools(self, params: NoParams, caller: Caller) -> object:
        spoolman = self._spoolman
        active = spoolman.active_tool
        return {
            "tools": [
                {"tool": tool, "spool_id": spool_id, "active": tool == active}
                for tool, spool_id in sorted(spoolman.tools.items())
            ],
            "active_tool": active,
            "extruder": spoolman.meter.extruder,
            "shared": not set(spoolman.tools) - {0},
        }

    async def choose_all(self, params: ToolTable, caller: Caller) -> object:
        await self._spoolman.choose_all(params.tools)
        return self.tools(NoParams(), caller)

    async def assign_orphaned(self, params: OrphanChoice, caller: Caller) -> object:
        await self._spoolman.assign_orphaned(params.spool_id, params.to)
        return {"orphaned": _amounts(self._spoolman.ledger.state.orphaned)}

    async def journal(self, params: Limit, caller: Caller) -> object:
        return {"reports": [_intent(intent) for intent in await self._spoolman.journal.reports(params.limit)]}

    async def jobs(self, params: Limit, caller: Caller) -> object:
        spoolman = self._spoolman
        records = [record.as_wire() for record in await spoolman.journal.jobs(params.limit)]
        return {"count": len(records), "jobs": records, "spool_ids": spoolman.jobs.spool_ids()}

    async def check(self, params: File, caller: Caller) -> object:
        return (await self._spoolman.check.check(params.filename)).as_wire()

    async def proxy(self, params: proxy.ProxyCall, caller: Caller) -> object:
        return await proxy.forward(self._spoolman.client, params)


def _amounts(mm: dict[int, float]) -> list[dict[str, object]]:
    return [
        {"spool_id": spool_id, "filament_used": used_mm}
        for spool_id, used_mm in mm.items()
        if abs(used_mm) >= LEAST_REPORT_MM
    ]


def _intent(intent: Intent) -> dict[str, object]:
    return {
        "report_id": intent.id,
        "spool_id": intent.spool_id,
        "filament_used": intent.used_mm,
        "used_before": intent.before_mm,
        "time": intent.at,
        "outcome": intent.outcome,
        "settled_time": intent.settled_at,
        "reason": intent.reason or None,
    }
