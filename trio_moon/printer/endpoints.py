"""The printer chapter of the API: what Klipper offers, by Moonraker's names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

import msgspec

from trio_moon.kit.json_codec import Raw
from trio_moon.kit.pending import Pending
from trio_moon.model.errors import BadParams, KlippyAway, PeerTimeout
from trio_moon.printer.printer import Printer
from trio_moon.printer.subscriptions import Wanted, as_wire, parse_wanted
from trio_moon.rpc.binding import AnyParams, Arguments, NoParams, binder, convert
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.rpc.endpoint import Endpoint, Handler, Method, session_call

_Plain = Callable[[NoParams, Caller], Awaitable[Raw]]

STOP_TIMEOUT = 4.0
"""Seconds after which whoever wants to stop the printer must know that it may not have stopped."""
NOT_STOPPED = "The emergency stop was sent, but Klipper doesn't answer: switch the printer off if it goes on"

OK = Raw(b'"ok"')
RESERVED = frozenset({"register_remote_method", "objects/subscribe", "gcode/subscribe_output", "list_endpoints"})
"""Requests of Klipper's that are ours alone: a client that used them would take our news away."""

READING = ("dump_", "get_", "list", "query", "status")
"""How requests of Klipper's begin that change nothing."""


class Script(msgspec.Struct, frozen=True):
    """`script`: lines of G-code."""

    script: str


class PrintStart(msgspec.Struct, frozen=True):
    """`filename`: relative to the `gcodes` root."""

    filename: str


class ObjectsSent(msgspec.Struct, frozen=True):
    """`objects`: `{name: null | [fields]}`; in a query string also `toolhead&extruder=target,temperature`."""

    objects: dict[str, list[str] | None] = {}


class Objects(msgspec.Struct, frozen=True):
    """The printer objects that are asked for, each with its fields or None for all."""

    wanted: Wanted
    sent: ClassVar = ObjectsSent

    @classmethod
    def from_arguments(cls, arguments: Arguments) -> Objects:
        if isinstance(arguments.get("objects"), Mapping):
            return cls(parse_wanted(arguments["objects"]))
        if "objects" in arguments and len(arguments) == 1 and arguments["objects"] != "":
            raise BadParams("argument 'objects' must be an object such as {\"toolhead\": null}")
        return cls(parse_wanted(arguments))


class SubscriptionSent(ObjectsSent, frozen=True, kw_only=True):
    """`connection_id`: the websocket that is to hear of them."""

    connection_id: int


class SubscriptionOf(msgspec.Struct, frozen=True):
    """The printer objects that another connection shall hear of."""

    connection_id: int
    objects: Objects
    sent: ClassVar = SubscriptionSent

    @classmethod
    def from_arguments(cls, arguments: Arguments) -> SubscriptionOf:
        others = {name: value for name, value in arguments.items() if name != "connection_id"}
        return cls(convert(arguments, Connection).connection_id, Objects.from_arguments(others))


class Connection(msgspec.Struct, frozen=True):
    connection_id: int


def endpoints(printer: Printer) -> tuple[Endpoint, ...]:
    """The table of `printer.*`."""
    calls = PrinterCalls(printer)
    return (
        Endpoint("/printer/info", NoParams, GET=calls.prompt("info")),
        _also_by_get("/printer/emergency_stop", NoParams, calls.emergency_stop),
        Endpoint("/printer/restart", NoParams, POST=calls.plain("gcode/restart")),
        Endpoint("/printer/firmware_restart", NoParams, POST=calls.plain("gcode/firmware_restart")),
        Endpoint("/printer/objects/list", NoParams, GET=calls.prompt("objects/list")),
        Endpoint(
            "/printer/objects/query",
            Objects,
            GET=calls.query,
            POST=calls.query,
            rpc_names={"GET": "printer.objects.query", "POST": ""},
        ),
        session_call("printer.objects.subscribe", Objects, calls.subscribe),
        Endpoint(
            "/printer/objects/subscribe",
            SubscriptionOf,
            POST=calls.subscribe_another,
            rpc_names={"POST": ""},
            transports=Transport.HTTP,
        ),
        Endpoint("/printer/query_endstops/status", NoParams, GET=calls.plain("query_endstops/status")),
        _also_by_get("/printer/gcode/script", Script, calls.script),
        Endpoint("/printer/gcode/help", NoParams, GET=calls.prompt("gcode/help")),
        Endpoint("/printer/print/start", PrintStart, POST=calls.start_print),
        Endpoint("/printer/print/pause", NoParams, POST=calls.plain("pause_resume/pause")),
        Endpoint("/printer/print/resume", NoParams, POST=calls.plain("pause_resume/resume")),
        Endpoint("/printer/print/cancel", NoParams, POST=calls.plain("pause_resume/cancel")),
    )


def _also_by_get(path: str, params: type[Any], handler: Handler) -> Endpoint:
    """What CYD-Klipper and the Telegram bot ask for by GET, as Moonraker lets everybody do."""
    names = {"POST": path.strip("/").replace("/", "."), "GET": ""}
    return Endpoint(path, params, GET=handler, POST=handler, rpc_names=names, acts_by_get=True)


class PrinterCalls:
    """The handlers. An empty answer of Klipper's is told as "ok"."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer

    def plain(self, request: str) -> _Plain:
        """A handler that passes a call without parameters on. No deadline for what moves the printer."""

        async def handler(params: NoParams, caller: Caller) -> Raw:
            return _or_ok(await self._printer.request(request, deadline=None))

        return handler

    async def emergency_stop(self, params: NoParams, caller: Caller) -> Raw:
        try:
            return _or_ok(await self._printer.request("emergency_stop", deadline=STOP_TIMEOUT))
        except PeerTimeout:
            raise PeerTimeout(NOT_STOPPED) from None

    def prompt(self, request: str) -> Callable[[NoParams, Caller], Pending[Raw]]:
        """The same for what Klipper answers from memory."""
        return lambda params, caller: self._printer.question(request)

    def query(self, params: Objects, caller: Caller) -> Pending[Raw]:
        return self._printer.question("objects/query", {"objects": as_wire(params.wanted)})

    async def subscribe(self, params: Objects, caller: Caller) -> object:
        if caller.session is None:
            raise BadParams("subscriptions need a lasting connection")
        update = await self._printer.subscribe(caller.session, params.wanted)
        return {"eventtime": update.eventtime, "status": update.status}

    async def subscribe_another(self, params: SubscriptionOf, caller: Caller) -> object:
        """What a websocket hears from now on, asked for beside it."""
        session = self._printer.session(params.connection_id)
        if session is None:
            raise BadParams(f"argument 'connection_id': no connection has the id {params.connection_id}")
        update = await self._printer.subscribe(session, params.objects.wanted)
        return {"eventtime": update.eventtime, "status": update.status}

    async def script(self, params: Script, caller: Caller) -> Raw:
        return _or_ok(await self._printer.run_gcode(params.script))

    async def start_print(self, params: PrintStart, caller: Caller) -> Raw:
        return _or_ok(await self._printer.start_print(params.filename, caller.user))

    def forward(self, name: str) -> Method | None:
        """A method that only Klipper knows: `printer.bed_mesh.dump_mesh` is its `bed_mesh/dump_mesh`."""
        if not name.startswith("printer."):
            return None
        request = name.removeprefix("printer.").replace(".", "/")
        if request in RESERVED or request not in self._printer.endpoints:
            if not self._printer.connected and request not in RESERVED:
                raise KlippyAway(f"Klipper is not connected: {self._printer.away_because}")
            return None

        async def handler(params: AnyParams, caller: Caller) -> Raw:
            return _or_ok(await self._printer.request(request, dict(params.arguments), deadline=None))

        only_reads = request.rpartition("/")[2].startswith(READING)  # by GET a foreign page could do the others
        endpoint = Endpoint(f"/printer/{request}", AnyParams, GET=handler if only_reads else None, POST=handler)
        return Method(endpoint, "POST", name, handler, True, binder(AnyParams), tuple(Transport.ALL))


def _or_ok(result: Raw) -> Raw:
    return OK if bytes(result) in (b"{}", b"null", b"") else result
