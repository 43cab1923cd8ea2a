"""The same conversation with SimulatedKlipper and with the real host gives the same words, shapes and positions."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.peers.kalico import RealKlipper
from tests.testing.klipper_client import KlipperClient
from trio_moon.testing.klipper import SimulatedKlipper

pytestmark = pytest.mark.peer

Connect = Callable[[], Awaitable[KlipperClient]]

ONLY_IN_KALICO = {"pid_profile", "app", "mcu_kconfig", "mcu_build_versions", "value", "power"}
ONLY_ON_HARDWARE = {"last_stats", "mcu_constants"}

PRINT = """\
G28
G90
M83
G92 E0
G1 X20 Y20 Z0.3 F6000
G1 X60 E3.2 F1500
G1 E-0.8 F2100
G1 X20 F9000
G1 E0.8 F2100
M221 S90
G1 Y60 E2 F1500
M221 S100
T1
G1 E4 F300
G1 X70 E2.5 F1200
G1 E-6 F2100
T0
M82
G92 E0
G1 X20 E1.5 F1200
G1 E0.5
T1
G1 X100 Y100 F6000
"""


SCRIPTS = [
    "M104 S300",
    "M104 T7 S20",
    "M104 Sx",
    "G1 F0",
    "G1 X1.2.3",
    "G1 X500",
    "G1 E600",
    "G1 X11 E5",
    "G20",
    "M114",
    "M105 ; nothing",
    "M221 S0",
    "ACTIVATE_EXTRUDER",
    "ACTIVATE_EXTRUDER EXTRUDER=foo",
    "ACTIVATE_EXTRUDER EXTRUDER=extruder\nT1\nT0",
    "SET_HEATER_TEMPERATURE HEATER=extruder TARGET=999",
    "SET_HEATER_TEMPERATURE HEATER=nope TARGET=9",
    "RESTORE_GCODE_STATE NAME=zz",
    "SDCARD_PRINT_FILE FILENAME=missing.gcode",
    "SDCARD_PRINT_FILE",
    "M23 missing.gcode\nM24",
    "M27",
    "PAUSE\nPAUSE\nRESUME\nRESUME\nCANCEL_PRINT",
    'RESPOND MSG="hi there"',
    "RESPOND TYPE=error MSG='a b'",
    "RESPOND TYPE=x MSG=a",
    "RESPOND PREFIX=foo MSG=bar",
    "M118 Hello; World",
    "UNKNOWN A=1\nT7\nN12 G21*33",
    "SET_ACTIVE_SPOOL ID=3",
    "STATUS",
    "HEATER=3",
    "SET_DISPLAY_TEXT MSG='unclosed",
    "SET_GCODE_OFFSET Z=foo",
    "G92 Xfoo\nG92.1",
]


class Both:
    """The simulated and the real host, side by side."""

    def __init__(self, simulated: SimulatedKlipper, real: RealKlipper) -> None:
        self.simulated = simulated
        self.real = real
        self._clients: list[KlipperClient] = []

    async def connect_simulated(self) -> KlipperClient:
        assert self.simulated.socket_path is not None
        self._clients.append(KlipperClient(await trio.open_unix_socket(self.simulated.socket_path)))
        return self._clients[-1]

    async def ask(self, conversation: Callable[[Connect], Awaitable[Any]]) -> tuple[Any, Any]:
        """What both say in a conversation."""
        return await conversation(self.connect_simulated), await conversation(self.real.connect)

    def write(self, name: str, text: str) -> None:
        for folder in (self.simulated.setup.gcodes, self.real.gcodes):
            assert folder is not None
            (folder / name).write_text(text)

    async def close_clients(self) -> None:
        for client in self._clients:
            await client.aclose()


@pytest.fixture
async def both(real_klipper: RealKlipper, nursery: trio.Nursery, tmp_path: Path) -> AsyncIterator[Both]:
    gcodes = tmp_path / "simulated"
    gcodes.mkdir()
    simulated = SimulatedKlipper(tmp_path / "sim.sock", gcodes=gcodes, extruders=2, speed=math.inf, restart_pause=1.0)
    await nursery.start(simulated.run)
    hosts = Both(simulated, real_klipper)
    yield hosts
    await hosts.close_clients()


def shape(value: object) -> object:
    """What a client's parser depends on: keys and types."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:4]]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value).__name__
    return "number"


async def console_of(client: KlipperClient, script: str) -> list[str]:
    """What the console says while a script runs, and the answer's error at the end."""
    client.news.clear()
    answer = await client.script(script)
    said = [frame["params"]["response"] for frame in client.news if frame.get("m") == "out"]
    return [*said, str(answer.get("error", answer.get("result")))]


async def with_console(connect: Connect) -> KlipperClient:
    client = await connect()
    await client.result("gcode/subscribe_output", {"response_template": {"m": "out"}})
    return client


async def print_until(client: KlipperClient, name: str, *states: str) -> str:
    await client.result("gcode/script", {"script": f"SDCARD_PRINT_FILE FILENAME={name}"})
    asked = {"objects": {"print_stats": ["state"]}}
    with trio.fail_after(60):
        while True:
            state = str((await client.result("objects/query", asked))["status"]["print_stats"]["state"])
            if state in states:
                return state
            await trio.sleep(0.05)


async def test_every_endpoint_answers_in_the_same_shape(both: Both) -> None:
    async def conversation(connect: Connect) -> list[object]:
        client = await connect()
        asked: list[tuple[str, dict[str, Any]]] = [
            ("info", {}),
            ("info", {"client_info": 3}),
            ("nope", {}),
            ("objects/query", {}),
            ("objects/query", {"objects": []}),
            ("objects/query", {"objects": {"webhooks": 1}}),
            ("objects/query", {"objects": {"webhooks": None, "unknown": None, "print_stats": ["state", "no_field"]}}),
            ("objects/subscribe", {"objects": {"webhooks": None}, "response_template": 3}),
            ("gcode/script", {}),
            ("gcode/script", {"script": 3}),
            ("gcode/script", {"script": "G1 X10"}),
            ("gcode/subscribe_output", {}),
            ("register_remote_method", {}),
            ("register_remote_method", {"response_template": {}}),
            ("register_remote_method", {"response_template": {}, "remote_method": "x"}),
            ("motion_report/dump_trapq", {}),
            ("motion_report/dump_trapq", {"name": "x"}),
            ("motion_report/dump_trapq", {"name": "extruder"}),
            ("query_endstops/status", {}),
            ("pause_resume/cancel", {}),
        ]
        answers: list[object] = []
        for method, params in asked:
            answer = await client.request(method, params)
            answers.append((method, answer["error"] if "error" in answer else shape(answer["result"])))
        return answers

    simulated, real = await both.ask(conversation)
    assert simulated == real


async def test_what_the_simulation_offers_the_real_host_offers_too(both: Both) -> None:
    async def conversation(connect: Connect) -> tuple[set[str], set[str], set[str]]:
        client = await connect()
        return (
            set((await client.result("list_endpoints"))["endpoints"]),
            set((await client.result("objects/list"))["objects"]),
            set(await client.result("gcode/help")),
        )

    (endpoints, objects, commands), (real_endpoints, real_objects, real_commands) = await both.ask(conversation)
    assert real_endpoints - endpoints == {"motion_report/dump_stepper"}
    assert endpoints <= real_endpoints
    assert objects <= real_objects
    assert real_objects - objects <= {"telemetry", "stepper_enable", "manual_probe"}
    assert commands <= real_commands


async def test_objects_have_the_same_fields_and_types(both: Both) -> None:
    async def conversation(connect: Connect) -> dict[str, dict[str, object]]:
        client = await connect()
        names = (await client.result("objects/list"))["objects"]
        asked = {name: None for name in names if name not in ("gcode", "telemetry", "stepper_enable", "manual_probe")}
        await client.script("G28")
        status = (await client.result("objects/query", {"objects": asked}))["status"]
        status["configfile"].update(config={}, settings={})
        return {
            name: {key: shape(value) for key, value in fields.items() if key not in ONLY_IN_KALICO | ONLY_ON_HARDWARE}
            for name, fields in status.items()
        }

    simulated, real = await both.ask(conversation)
    for name in real:
        assert simulated[name] == real[name], name


async def test_commands_say_the_same(both: Both) -> None:
    async def conversation(connect: Connect) -> dict[str, list[str]]:
        client = await with_console(connect)
        said: dict[str, list[str]] = {}
        for script in SCRIPTS:
            await client.script("M82\nG90\nG92 E0\nG28\nG1 X10 Y10 Z10 F6000")
            said[script] = [line for line in await console_of(client, script) if not line.startswith("B:")]
        return said

    simulated, real = await both.ask(conversation)
    assert {script: (simulated[script], real[script]) for script in SCRIPTS if simulated[script] != real[script]} == {}


async def test_a_print_with_retractions_and_tool_changes_ends_at_the_same_place(both: Both) -> None:
    both.write("p.gcode", PRINT)

    async def conversation(connect: Connect) -> tuple[Any, Any, list[str]]:
        client = await with_console(connect)
        assert await print_until(client, "p.gcode", "complete", "error") == "complete"
        asked = {"toolhead": ["position", "extruder", "homed_axes"], "gcode_move": None, "print_stats": ["filename"]}
        status = (await client.result("objects/query", {"objects": asked}))["status"]
        numbers = [*status["toolhead"].pop("position")]
        for field in ("position", "gcode_position", "homing_origin"):
            numbers += status["gcode_move"].pop(field)
        return numbers, status, [frame["params"]["response"] for frame in client.news if frame.get("m") == "out"]

    (numbers, status, console), (real_numbers, real_status, real_console) = await both.ask(conversation)
    assert numbers == pytest.approx(real_numbers)
    assert status == real_status
    assert console == real_console


def turning_points(moves: list[Any]) -> list[float]:
    """Where the filament begins, turns and ends."""
    points: list[float] = []
    for _, duration, velocity, acceleration, start, direction in moves:
        end = start[0] + direction[0] * (velocity * duration + acceleration * duration**2 / 2)
        if not points:
            points.append(start[0])
        if len(points) > 1 and (end - points[-1]) * (points[-1] - points[-2]) >= 0:
            points[-1] = end
        else:
            points.append(end)
    return points


async def test_dump_trapq_tells_the_same_filament(both: Both) -> None:
    both.write("p.gcode", PRINT)

    async def conversation(connect: Connect) -> dict[str, Any]:
        client = await connect()
        told: dict[str, Any] = {}
        for name in ("extruder", "extruder1"):
            params = {"name": name, "response_template": {"queue": name}}
            told["header"] = (await client.result("motion_report/dump_trapq", params))["header"]
            told[name] = []
        await print_until(client, "p.gcode", "complete")
        await client.script("M400\nG4 P3000\nM400")
        for frame in [*client.news, *await client.collect(3)]:
            if "queue" in frame:
                told[frame["queue"]] += frame["params"]["data"]
        return told

    simulated, real = await both.ask(conversation)
    assert simulated["header"] == real["header"]
    for name in ("extruder", "extruder1"):
        assert shape(simulated[name][0]) == shape(real[name][0])
        assert all(move[5][0] == 1.0 for move in simulated[name])
        assert turning_points(simulated[name]) == pytest.approx(turning_points(real[name]), abs=1e-6)
    used = {name: max(turning_points(real[name])) for name in ("extruder", "extruder1")}
    assert both.simulated.extruded_mm == pytest.approx(used)


async def test_restart_says_goodbye_in_the_same_order(both: Both) -> None:
    async def conversation(connect: Connect) -> list[Any]:
        client = await with_console(connect)
        before = await client.result("info")
        await client.script("G28\nG1 E5")
        await client.send("gcode/restart")
        farewell = [frame.get("params", frame.get("result")) for frame in await client.until_end()]
        await trio.sleep(0.05)
        refused = False
        with trio.fail_after(60):
            while True:
                try:
                    again = await connect()
                    break
                except ConnectionRefusedError:
                    refused = True
                    await trio.sleep(0.05)
        after = await again.result("info")
        asked = {"objects": {"toolhead": ["position", "print_time", "homed_axes"]}}
        status = (await again.result("objects/query", asked))["status"]
        return [farewell, refused, after["process_id"] == before["process_id"], status]

    simulated, real = await both.ask(conversation)
    assert simulated == real


async def test_an_emergency_stop_reads_the_same(both: Both) -> None:
    async def conversation(connect: Connect) -> list[Any]:
        client = await with_console(connect)
        await client.script("G28")
        await client.result("emergency_stop")
        announced = list(client.news)
        info = await client.result("info")
        webhooks = (await client.result("objects/query", {"objects": {"webhooks": None}}))["status"]
        lines = [await console_of(client, script) for script in ("G28", "STATUS", "M118 x", "UNKNOWN", "M112")]
        return [info["state"], info["state_message"], webhooks, lines, announced]

    simulated, real = await both.ask(conversation)
    assert simulated == real


async def test_macros_reach_clients_in_the_same_frames(both: Both) -> None:
    async def conversation(connect: Connect) -> list[Any]:
        client = await with_console(connect)
        template = {"method": "remote", "extra": 1}
        params = {"remote_method": "spoolman_set_active_spool", "response_template": template}
        await client.result("register_remote_method", params)
        await client.script("SET_ACTIVE_SPOOL ID=3\nSET_ACTIVE_SPOOL\nSET_ACTIVE_SPOOL ID=abc\nCLEAR_ACTIVE_SPOOL")
        await client.aclose()
        await trio.sleep(0.3)
        other = await with_console(connect)
        gone = await console_of(other, "CLEAR_ACTIVE_SPOOL")
        return [client.news, gone, await console_of(other, "CLEAR_ACTIVE_SPOOL")]

    simulated, real = await both.ask(conversation)
    assert simulated == real


async def test_subscriptions_tell_the_same_story_of_a_paused_and_cancelled_print(both: Both) -> None:
    both.write("pause.gcode", "G28\nM83\nG1 E5 F600\nPAUSE\nG1 E5\n")

    async def conversation(connect: Connect) -> list[Any]:
        client = await connect()
        objects = {"print_stats": ["state", "filename", "message"], "pause_resume": None, "unknown": None}
        first = await client.result("objects/subscribe", {"objects": objects, "response_template": {"m": "status"}})
        watcher = await connect()
        assert await print_until(watcher, "pause.gcode", "paused") == "paused"
        await trio.sleep(0.6)
        await watcher.result("pause_resume/cancel")
        news = [frame["params"]["status"] for frame in await client.collect(1.5)]
        return [first["status"], news]

    simulated, real = await both.ask(conversation)
    assert simulated == real


async def test_the_real_host_can_be_killed_and_started_again(real_klipper: RealKlipper) -> None:
    client = await real_klipper.connect()
    before = (await client.result("info"))["process_id"]
    await real_klipper.restart()
    client = await real_klipper.connect()
    assert (await client.result("info"))["process_id"] == before
    await real_klipper.kill()
    assert await client.until_end() == []
    await real_klipper.start()
    assert (await (await real_klipper.connect()).result("info"))["process_id"] != before
