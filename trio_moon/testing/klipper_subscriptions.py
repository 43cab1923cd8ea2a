"""What Klipper sends by itself: status every 250 ms, motion every 500 ms, both only what is new."""

import math
from collections.abc import Callable, Mapping

import trio

from trio_moon.testing.klipper_faults import Faults
from trio_moon.testing.klipper_gcode import KlipperError
from trio_moon.testing.klipper_host import Host
from trio_moon.testing.klipper_request import MISSING, JsonObject, Request
from trio_moon.testing.klipper_wire import Connection

BATCH_INTERVAL = 0.5  # motion batches

_NAN_FIELDS = {
    "toolhead": ("position",),
    "gcode_move": ("position", "gcode_position"),
    "motion_report": ("live_position",),
}
TRAPQ_HEADER = ["time", "duration", "start_velocity", "acceleration", "start_position", "direction"]


class StatusSubscriptions:
    """objects/query and objects/subscribe: one round every 250 ms as long as somebody is subscribed."""

    def __init__(self, host: Host, faults: Faults, start_task: Callable[..., None], interval: float) -> None:
        self._host = host
        self._faults = faults
        self._start_task = start_task
        self._interval = interval
        self._running = False
        self._pending: list[tuple[Request, JsonObject, JsonObject | None]] = []
        self._clients: dict[Connection, tuple[JsonObject, JsonObject]] = {}
        self._last: dict[str, JsonObject] = {}

    def query(self, request: Request) -> None:
        """Answer with the asked fields in the next round."""
        self._ask(request, None)

    def subscribe(self, request: Request) -> None:
        """Answer like a query, then send what changes."""
        self._clients.pop(request.connection, None)
        self._ask(request, request.get("response_template", dict, {}))

    def _ask(self, request: Request, template: JsonObject | None) -> None:
        objects: JsonObject = request.get("objects", dict)
        for fields in objects.values():
            if fields is not None and not (isinstance(fields, list) and all(isinstance(name, str) for name in fields)):
                raise KlipperError("Invalid argument")
        self._pending.append((request, dict(objects), template))
        if not self._running:
            self._running = True
            self._start_task(self._rounds)

    async def _rounds(self) -> None:
        while self._pending or self._clients:
            self._round()
            await trio.sleep(self._interval)
            await self._faults.pass_while("silent")
        self._last = {}
        self._running = False

    def _round(self) -> None:
        now = trio.current_time()
        last, self._last = self._last, {}
        subscribed = list(self._clients.items())
        pending, self._pending = self._pending, []
        for request, objects, template in pending:
            status = self._collect(objects, None)
            if template is not None:
                self._clients[request.connection] = (objects, template)
                if self._faults.update_overtakes_subscribe:
                    request.connection.send({**template, "params": {"eventtime": now, "status": status}})
            request.answer({"eventtime": now, "status": status})
        for connection, (objects, template) in subscribed:
            if connection.closed:
                del self._clients[connection]
                continue
            status = self._collect(objects, last)
            if status:
                connection.send({**template, "params": {"eventtime": now, "status": status}})

    def _collect(self, objects: JsonObject, last: Mapping[str, JsonObject] | None) -> JsonObject:
        """The asked fields; with `last` only the changed ones and only objects that changed."""
        collected: JsonObject = {}
        for name, fields in objects.items():
            status = self._last.get(name)
            if status is None:
                status = self._last[name] = self._look_at(name)
            if fields is None and status:
                fields = objects[name] = list(status)
            before = {} if last is None else last.get(name, {})
            wanted = {
                field: status.get(field)
                for field in fields or ()
                if last is None or status.get(field) != before.get(field)
            }
            if wanted or last is None:
                collected[name] = wanted
        return collected

    def _look_at(self, name: str) -> JsonObject:
        status = self._host.status(name) or {}
        if self._faults.nan_positions and name in _NAN_FIELDS:
            status = {**status, **{field: [math.nan] * 4 for field in _NAN_FIELDS[name]}}
        return status


class MotionSubscriptions:
    """motion_report/dump_trapq: batches of moves for everybody who asked, once each.

    As in Klipper the batches of one queue are shared: who subscribes second gets no history that was told
    before, and a batch that was made for a client which has just gone is lost to the next one.
    """

    def __init__(self, host: Host, faults: Faults, start_task: Callable[..., None]) -> None:
        self._host = host
        self._faults = faults
        self._start_task = start_task
        self._clients: dict[str, list[tuple[Connection, JsonObject]]] = {}

    def subscribe(self, request: Request) -> None:
        """Answer with the header; the first batch follows within half a second."""
        name = request.params.get("name", MISSING)
        if name is MISSING:
            raise KlipperError("Missing Argument [name]")
        if name not in self._host.toolhead.queues:
            raise KlipperError(f"The value '{name}' is not valid for name")
        clients = self._clients.setdefault(name, [])
        if not clients:
            self._start_task(self._batches, name)
        clients.append((request.connection, request.get("response_template", dict, {})))
        request.answer({"header": TRAPQ_HEADER})

    async def _batches(self, name: str) -> None:
        clients = self._clients[name]
        toolhead = self._host.toolhead
        while clients:
            await trio.sleep(BATCH_INTERVAL)
            await self._faults.pass_while("silent")
            toolhead.settle()
            news = toolhead.queues[name].take_news()
            if not news:
                continue
            clients[:] = [client for client in clients if not client[0].closed]
            for connection, template in clients:
                connection.send({**template, "params": {"data": news}})
