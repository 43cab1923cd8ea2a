"""Klipper's API server: the endpoints of one life of the host."""

import math
from collections.abc import Callable

import trio

from trio_moon.testing.klipper_faults import Faults
from trio_moon.testing.klipper_gcode import KlipperError
from trio_moon.testing.klipper_host import Host
from trio_moon.testing.klipper_request import JsonObject, RemoteMethods, Request
from trio_moon.testing.klipper_subscriptions import MotionSubscriptions, StatusSubscriptions
from trio_moon.testing.klipper_wire import Connection


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
        self._motion = MotionSubscriptions(host, faults, start_task)
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
