"""A Klipper that prints for ever: real protocol, any rate of updates, hardly any CPU of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import trio

OBJECTS: dict[str, dict[str, object]] = {
    "webhooks": {"state": "ready", "state_message": "Printer is ready"},
    "configfile": {"config": {}, "settings": {}, "warnings": [], "save_config_pending": False},
    "heaters": {"available_heaters": ["extruder", "heater_bed"], "available_sensors": ["extruder", "heater_bed"]},
    "toolhead": {"position": [0.0] * 4, "print_time": 1.0, "estimated_print_time": 1.0, "extruder": "extruder"},
    "extruder": {"temperature": 210.0, "target": 210.0, "power": 0.4, "can_extrude": True},
    "heater_bed": {"temperature": 60.0, "target": 60.0, "power": 0.3},
    "gcode_move": {"position": [0.0] * 4, "gcode_position": [0.0] * 4, "speed": 3000.0, "absolute_extrude": True},
    "print_stats": {"filename": "x.gcode", "state": "printing", "print_duration": 9.0, "filament_used": 1.0},
    "virtual_sdcard": {"progress": 0.1, "file_position": 1000, "is_active": True},
    "idle_timeout": {"state": "Printing", "printing_time": 9.0},
    "motion_report": {"live_position": [0.0] * 4, "live_velocity": 50.0, "live_extruder_velocity": 1.5},
    "fan": {"speed": 0.5, "rpm": None},
}
ENDPOINTS = [
    "info",
    "list_endpoints",
    "objects/list",
    "objects/query",
    "objects/subscribe",
    "gcode/help",
    "gcode/script",
]
ENDPOINTS += ["gcode/subscribe_output", "register_remote_method", "emergency_stop", "query_endstops/status"]
VARIANTS = 64


def _changes(number: int) -> dict[str, dict[str, object]]:
    """What one update of a running print holds."""
    x, e = round(10 + number * 1.137, 4), round(5 + number * 0.0417, 4)
    return {
        "toolhead": {"position": [x, 90.0, 0.2, e], "print_time": 100 + number * 0.25},
        "extruder": {"temperature": round(209.5 + number % 10 * 0.09, 2), "power": 0.35 + number % 7 * 0.01},
        "heater_bed": {"temperature": round(59.9 + number % 5 * 0.05, 2)},
        "gcode_move": {"position": [x, 90.0, 0.2, e], "gcode_position": [x, 90.0, 0.2, e], "speed": 3000.0 + number},
        "print_stats": {"print_duration": 9.5 + number * 0.25, "filament_used": 100 + number * 0.417},
        "virtual_sdcard": {"progress": 0.1 + number * 0.0001, "file_position": 1000 + number * 137},
        "motion_report": {"live_position": [x, 90.0, 0.2, e], "live_velocity": 50.0 + number * 0.1},
    }


def _wanted(state: Mapping[str, Mapping[str, object]], wanted: Mapping[str, list[str] | None]) -> dict[str, object]:
    return {
        name: {key: value for key, value in state[name].items() if fields is None or key in fields}
        for name, fields in wanted.items()
        if name in state
    }


class BusyPrinter:
    """Serves one socket; `rate` says how many updates a second its subscribers get."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rate = 0.0
        self.sent = 0
        self._subscribers: dict[trio.SocketStream, tuple[bytes, list[bytes]]] = {}
        self._writing = trio.Lock()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        sock = trio.socket.socket(trio.socket.AF_UNIX)
        await sock.bind(str(self._path))
        sock.listen(16)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._push)
            task_status.started()
            await trio.serve_listeners(self._serve, [trio.SocketListener(sock)])

    async def _push(self) -> None:
        due = trio.current_time()
        while True:
            if not self.rate:
                await trio.sleep(0.01)
                due = trio.current_time()
                continue
            due += 1 / self.rate
            await trio.sleep_until(due)
            self.sent += bool(self._subscribers)
            for stream, (head, ring) in tuple(self._subscribers.items()):
                stamp = b'"params":{"eventtime":%.6f,"status":' % time.monotonic()
                # it may have just been ended
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    async with self._writing:
                        await stream.send_all(head + stamp + ring[self.sent % VARIANTS] + b"}}\x03")

    async def _serve(self, stream: trio.SocketStream) -> None:
        buffer = b""
        try:
            while data := await stream.receive_some(65536):
                *frames, buffer = (buffer + data).split(b"\x03")
                answers = [self._answer(json.loads(frame), stream) for frame in frames]
                async with self._writing:
                    await stream.send_all(b"".join(json.dumps(answer).encode() + b"\x03" for answer in answers))
        except trio.BrokenResourceError:
            pass
        finally:
            self._subscribers.pop(stream, None)

    def _answer(self, request: dict[str, object], stream: trio.SocketStream) -> object:
        params = request.get("params")
        assert isinstance(params, dict)
        result: object = {}
        match request["method"]:
            case "info":
                result = {"state": "ready", "state_message": "Printer is ready", "hostname": "x", "process_id": 1}
                result |= {
                    "software_version": "v0.12.0",
                    "klipper_path": "/opt/klipper",
                    "python_path": "/opt/klipper/python",
                    "cpu_info": "x",
                }
                result |= {
                    "log_file": "/tmp/klippy.log",
                    "config_file": "/tmp/printer.cfg",
                    "user_id": 0,
                    "group_id": 0,
                }
            case "list_endpoints":
                result = {"endpoints": ENDPOINTS}
            case "objects/list":
                result = {"objects": list(OBJECTS)}
            case "objects/query":
                result = {"eventtime": time.monotonic(), "status": _wanted(OBJECTS, params["objects"])}
            case "objects/subscribe":
                wanted = params["objects"]
                ring = [json.dumps(_wanted(_changes(n), wanted)).encode() for n in range(VARIANTS)]
                head = json.dumps(params.get("response_template", {})).encode()[:-1] + b","
                self._subscribers[stream] = (head, ring)
                result = {"eventtime": time.monotonic(), "status": _wanted(OBJECTS, wanted)}
        return {"id": request.get("id"), "result": result}
