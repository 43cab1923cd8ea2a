"""Klipper's API server: requests, their endpoints, and the subscriptions that send by themselves."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import trio

from trio_moon.testing.klipper_faults import Faults
from trio_moon.testing.klipper_gcode import KlipperError
from trio_moon.testing.klipper_host import Host
from trio_moon.testing.klipper_wire import Connection

BATCH_INTERVAL = 0.5  # motion batches
JsonObject = dict[str, Any]

_MISSING: Any = object()
_NAN_FIELDS = {
    "toolhead": ("position",),
    "gcode_move": ("position", "gcode_position"),
    "motion_report": ("live_position",),
}
TRAPQ_HEADER = ["time", "duration", "start_velocity", "acceleration", "start_position", "direction"]


class Request:
    """A client's request; it is answered once, and not at all without an id."""

    def __init__(self, connection: Connection, message: JsonObject) -> None:
        self.connection = connection
        self.method: str = message["method"]
        self.params: JsonObject = message.get("params", {})
        self.id: object = message.get("id")

    @classmethod
    def from_wire(cls, connection: Connection, frame: bytes) -> "Request | None":
        """None for what is not a request; Klipper logs and forgets such frames."""
        try:
            message = json.loads(frame)
        except ValueError:
            return None
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return None
        return cls(connection, message) if isinstance(message.get("params", {}), dict) else None

    def get(self, name: str, kind: type, default: Any = _MISSING) -> Any:
        """A parameter of that type."""
        value = self.params.get(name, default)
        if value is _MISSING:
            raise KlipperError(f"Missing Argument [{name}]")
        if name in self.params and type(value) is not kind:
            raise KlipperError(f"Invalid Argument Type [{name}]")
        return value

    def answer(self, result: object) -> None:
        """Send the result."""
        if self.id is not None:
            self.connection.send({"id": self.id, "result": result})

    def refuse(self, message: str) -> None:
        """Send an error."""
        if self.id is not None:
            self.connection.send({"id": self.id, "error": {"error": "WebRequestError", "message": message}})


class RemoteMethods:
    """What clients registered for macros to call."""

    def __init__(self) -> None:
        self._clients: dict[str, dict[Connection, JsonObject]] = {}

    def register(self, method: str, connection: Connection, template: JsonObject) -> None:
        """A client offers a method."""
        self._clients.setdefault(method, {})[connection] = template

    def registered(self) -> dict[str, list[JsonObject]]:
        """The templates of the live clients of each method."""
        live = {
            method: [template for connection, template in clients.items() if not connection.closed]
            for method, clients in self._clients.items()
        }
        return {method: templates for method, templates in live.items() if templates}

    def call(self, method: str, **params: object) -> None:
        """Tell every client that offers it; an error when there is none."""
        if method not in self._clients:
            raise KlipperError(f"Remote method '{method}' not registered")
        live = {connection: template for connection, template in self._clients[method].items() if not connection.closed}
        if not live:
            del self._clients[method]
            raise KlipperError(f"No active connections for method '{method}'")
        self._clients[method] = live
        for connection, template in live.items():
            connection.send({"params": params, **template})


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

    def __init__(self, host: Host, start_task: Callable[..., None]) -> None:
        self._host = host
        self._start_task = start_task
        self._clients: dict[str, list[tuple[Connection, JsonObject]]] = {}

    def subscribe(self, request: Request) -> None:
        """Answer with the header; the first batch follows within half a second."""
        name = request.params.get("name", _MISSING)
        if name is _MISSING:
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
            toolhead.settle()
            news = toolhead.queues[name].take_news()
            if not news:
                continue
            clients[:] = [client for client in clients if not client[0].closed]
            for connection, template in clients:
                connection.send({**template, "params": {"data": news}})


class Api:
    """The endpoints of one life of the host."""

    def __init__(
        self,
        host: Host,
        faults: Faults,
        remote_methods: RemoteMethods,
        start_task: Callable[..., None],
        status_interval: float,
    ) -> None:
        self._host = host
        self._faults = faults
        self._remote_methods = remote_methods
        self._status = StatusSubscriptions(host, faults, start_task, status_interval)
        self._motion = MotionSubscriptions(host, start_task)
        self._output: dict[Connection, JsonObject] = {}
        host.gcode.listeners.append(self._tell_console)
        # No limit: the clients' own requests are all that waits here, and each client waits for its answers.
        self._send_scripts, self._receive_scripts = trio.open_memory_channel[tuple[Request, str | None]](math.inf)
        self._endpoints: dict[str, Callable[[Request], None]] = {
            "list_endpoints": lambda request: request.answer({"endpoints": self._available()}),
            "info": self._info,
            "emergency_stop": self._emergency_stop,
            "register_remote_method": self._register_remote_method,
            "gcode/help": lambda request: request.answer(host.gcode.help_texts),
            "gcode/script": lambda request: self._run(request, request.get("script", str)),
            "gcode/restart": lambda request: self._run(request, "RESTART"),
            "gcode/firmware_restart": lambda request: self._run(request, "FIRMWARE_RESTART"),
            "gcode/subscribe_output": self._subscribe_output,
            "objects/list": lambda request: request.answer({"objects": host.object_names()}),
            "objects/query": self._status.query,
            "objects/subscribe": self._status.subscribe,
            "pause_resume/cancel": lambda request: self._run(request, "CANCEL_PRINT"),
            "pause_resume/pause": lambda request: self._run(request, "PAUSE"),
            "pause_resume/resume": lambda request: self._run(request, "RESUME"),
            "query_endstops/status": lambda request: self._run(request, None),
            "motion_report/dump_trapq": self._motion.subscribe,
        }

    def _available(self) -> list[str]:
        moved = self._host.state in ("ready", "shutdown")  # these endpoints come when everything is connected
        return [name for name in self._endpoints if moved or name != "motion_report/dump_trapq"]

    def handle(self, request: Request) -> None:
        """Do what the request asks; what takes time is queued in the order of arrival."""
        if request.method in self._faults.never_answer:
            return
        try:
            if request.method in self._faults.refuse:
                raise KlipperError(self._faults.refuse[request.method])
            if request.method not in self._available():
                raise KlipperError(f"webhooks: No registered callback for path '{request.method}'")
            self._endpoints[request.method](request)
        except KlipperError as error:
            request.refuse(str(error))

    async def work_through_scripts(self) -> None:
        """Run the clients' scripts one after another."""
        async for request, script in self._receive_scripts:
            try:
                if script is None:
                    async with self._host.gcode.lock:
                        request.answer(await self._host.query_endstops())
                    continue
                await self._host.gcode.run_script(script)
            except KlipperError as error:
                request.refuse(str(error))
            else:
                request.answer({})

    def _run(self, request: Request, script: str | None) -> None:
        self._send_scripts.send_nowait((request, script))

    def _info(self, request: Request) -> None:
        request.get("client_info", dict, None)
        request.answer(self._host.info())

    def _emergency_stop(self, request: Request) -> None:
        self._host.shut_down("Shutdown due to webhooks request")
        request.answer({})

    def _register_remote_method(self, request: Request) -> None:
        template = request.get("response_template", dict)
        self._remote_methods.register(request.get("remote_method", str), request.connection, template)
        request.answer({})

    def _subscribe_output(self, request: Request) -> None:
        self._output[request.connection] = request.get("response_template", dict, {})
        request.answer({})

    def _tell_console(self, text: str) -> None:
        for connection, template in tuple(self._output.items()):
            if connection.closed:
                del self._output[connection]
            else:
                connection.send({**template, "params": {"response": text}})
