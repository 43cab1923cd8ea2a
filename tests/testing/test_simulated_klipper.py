import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.testing.klipper_client import KlipperClient
from tests.until import until
from trio_moon.testing.klipper import KlipperError, Macro, SimulatedKlipper

Dial = Callable[[], Awaitable[KlipperClient]]

SQUARE = [
    "G28",
    "G90",
    "M83",
    "G1 X10 Y10 Z1 F6000",
    "G1 X60 E2 F3000",
    "G1 E-1 F1800",
    "G1 E1",
    "G1 Y60 E2 F3000",
]


async def connect(klipper: SimulatedKlipper) -> KlipperClient:
    return KlipperClient(await klipper.connect())


@pytest.fixture
async def klipper(nursery: trio.Nursery, tmp_path: Path) -> SimulatedKlipper:
    simulated = SimulatedKlipper(gcodes=tmp_path, extruders=2)
    await nursery.start(simulated.run)
    return simulated


@pytest.fixture
async def on_socket(nursery: trio.Nursery, tmp_path: Path) -> SimulatedKlipper:
    simulated = SimulatedKlipper(tmp_path / "klippy.sock", gcodes=tmp_path, speed=math.inf, restart_pause=0.05)
    await nursery.start(simulated.run)
    return simulated


@pytest.fixture
async def dial(on_socket: SimulatedKlipper) -> AsyncIterator[Dial]:
    clients: list[KlipperClient] = []

    async def connect_to_socket() -> KlipperClient:
        assert on_socket.socket_path is not None
        clients.append(KlipperClient(await trio.open_unix_socket(on_socket.socket_path)))
        return clients[-1]

    yield connect_to_socket
    for client in clients:
        await client.aclose()


async def test_a_ready_printer_introduces_itself(klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock) -> None:
    client = await connect(klipper)
    info = await client.result("info", {"client_info": {"program": "test"}})
    assert info["state"] == "ready"
    assert info["state_message"] == "Printer is ready"
    assert info["process_id"] > 0
    assert "objects/subscribe" in (await client.result("list_endpoints"))["endpoints"]
    assert {"toolhead", "print_stats", "extruder", "extruder1"} <= set((await client.result("objects/list"))["objects"])
    assert klipper.requests("info")[0].params == {"client_info": {"program": "test"}}


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("nope", {}, "webhooks: No registered callback for path 'nope'"),
        ("objects/query", {}, "Missing Argument [objects]"),
        ("objects/query", {"objects": []}, "Invalid Argument Type [objects]"),
        ("objects/query", {"objects": {"a": 1}}, "Invalid argument"),
        ("gcode/script", {}, "Missing Argument [script]"),
        ("gcode/script", {"script": "G1 X10"}, "Must home axis first: 10.000 0.000 0.000 [0.000]"),
        ("motion_report/dump_trapq", {}, "Missing Argument [name]"),
        ("motion_report/dump_trapq", {"name": "x"}, "The value 'x' is not valid for name"),
        ("register_remote_method", {}, "Missing Argument [response_template]"),
    ],
)
async def test_wrong_requests_get_klippers_words(
    klipper: SimulatedKlipper,
    autojump_clock: trio.abc.Clock,
    method: str,
    params: dict[str, Any],
    message: str,
) -> None:
    assert await (await connect(klipper)).error(method, params) == message


async def test_frames_that_are_no_requests_are_skipped(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    stream = await klipper.connect()
    await stream.send_all(b'nonsense\x03[]\x03{"method": 3}\x03{"method": "info", "params": []}\x03\xff\x03')
    assert (await KlipperClient(stream).result("info"))["state"] == "ready"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("M104 S300", "Requested temperature (300.0) out of range (0.0:250.0)"),
        ("M104 T7 S20", "Extruder not configured"),
        ("G1 F0", "Invalid speed in 'G1 F0'"),
        ("G1 X1.2.3", "Unable to parse move 'G1 X1.2.3'"),
        ("G20", "Machine does not support G20 (inches) command"),
        ("M221 S0", "Error on 'M221 S0': S must be above 0.0"),
        ("ACTIVATE_EXTRUDER", "Error on 'ACTIVATE_EXTRUDER': missing EXTRUDER"),
        ("ACTIVATE_EXTRUDER EXTRUDER=foo", "The value 'foo' is not valid for EXTRUDER"),
        ("RESTORE_GCODE_STATE NAME=zz", "Unknown g-code state: zz"),
        ("SDCARD_PRINT_FILE FILENAME=missing.gcode", "Unable to open file"),
        ("ECHO_NOT hi there", None),
        ("G1 E600", "Extrude only move too long (600.000mm vs 500.000mm)"),
    ],
)
async def test_failing_commands_tell_the_caller_and_the_console(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock, script: str, message: str | None
) -> None:
    if message is None:
        await klipper.run_gcode(script)
        assert klipper.console[-1] == '// Unknown command:"ECHO_NOT"'
        return
    with pytest.raises(KlipperError) as caught:
        await klipper.run_gcode(script)
    assert str(caught.value).split("\n")[0] == message
    assert klipper.console[-1] == f"!! {message}"


async def test_a_file_that_can_not_be_read_is_not_printed(tmp_path: Path, autojump_clock: trio.abc.Clock) -> None:
    (tmp_path / "x.gcode").symlink_to("/proc/self/mem")
    async with trio.open_nursery() as nursery:
        klipper = SimulatedKlipper(gcodes=tmp_path)
        await nursery.start(klipper.run)
        with pytest.raises(KlipperError, match="Unable to open file"):
            await klipper.run_gcode("SDCARD_PRINT_FILE FILENAME=x.gcode")
        nursery.cancel_scope.cancel()


async def test_a_subscription_answers_in_full_and_then_tells_changes(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    client = await connect(klipper)
    asked = {
        "objects": {"gcode_move": None, "print_stats": ["state"], "nope": None},
        "response_template": {"key": 1},
    }
    first = await client.result("objects/subscribe", asked)
    assert set(first["status"]["gcode_move"]) >= {"position", "speed_factor"}
    assert first["status"]["print_stats"] == {"state": "standby"}
    assert first["status"]["nope"] == {}
    assert await client.collect(2) == []
    await klipper.run_gcode("M220 S50")
    (update,) = await client.collect(2)
    assert update == {
        "key": 1,
        "params": {"eventtime": update["params"]["eventtime"], "status": update["params"]["status"]},
    }
    assert update["params"]["status"] == {"gcode_move": {"speed_factor": 0.5}}


async def test_dump_trapq_tells_every_millimetre_of_each_extruder(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    client = await connect(klipper)
    await klipper.run_gcode("G28\nM83\nG1 X50 Y50 Z5 F6000\nG1 X100 E3.3 F1200\nG1 E-2 F1800\nT1\nG1 E7\nT0\nG1 E2.5")
    for name, end, used in (("extruder", 3.8, 3.8), ("extruder1", 7.0, 7.0)):
        header = await client.result("motion_report/dump_trapq", {"name": name, "response_template": {"q": name}})
        assert header["header"][0] == "time"
        frame = await client.read()
        assert frame["q"] == name
        moves = frame["params"]["data"]
        ends = [
            start[0] + direction[0] * (velocity * duration + acceleration * duration**2 / 2)
            for _, duration, velocity, acceleration, start, direction in moves
        ]
        assert ends[-1] == pytest.approx(end)
        assert max(ends) == pytest.approx(used)
        assert [move[0] for move in moves] == sorted(move[0] for move in moves)
    assert klipper.extruded_mm == {"extruder": pytest.approx(3.8), "extruder1": pytest.approx(7.0)}
    assert await client.collect(5) == []


async def test_a_second_subscriber_of_motion_hears_only_what_is_new(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    first, second = await connect(klipper), await connect(klipper)
    await klipper.extrude(5)
    await first.result("motion_report/dump_trapq", {"name": "extruder"})
    assert len(await first.collect(1)) == 1
    await second.result("motion_report/dump_trapq", {"name": "extruder"})
    assert await second.collect(3) == []
    await klipper.extrude(5)
    assert sum(len(frame["params"]["data"]) for frame in await second.collect(3)) > 0


async def test_moves_take_their_time_and_commands_run_ahead(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    await klipper.run_gcode("G28\nG1 X0 Y0 Z1 F6000")
    begin = trio.current_time()
    await klipper.run_gcode("M83\nG1 X100 F600", wait_moves=False)
    assert trio.current_time() - begin == pytest.approx(8, abs=0.5)
    assert klipper.positions["x"] == 100
    live = klipper.status("motion_report")["live_position"]
    assert 70 < live[0] < 90
    await klipper.run_gcode("M400")
    assert trio.current_time() - begin == pytest.approx(10.3, abs=0.5)


async def test_speed_can_be_changed_in_the_middle_of_a_move(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    await klipper.run_gcode("G28")
    begin = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(klipper.run_gcode, "G1 X200 F60")
        await trio.sleep(10)
        klipper.speed = 19.0
    assert trio.current_time() - begin == pytest.approx(20, abs=0.5)


async def test_a_print_tells_its_story(klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock) -> None:
    client = await connect(klipper)
    await client.result("objects/subscribe", {"objects": {"print_stats": None, "virtual_sdcard": None}})
    await klipper.print_file("sub/Square.gcode", [*SQUARE, "G1 X10 F600"])
    await trio.sleep(3)
    assert klipper.status("print_stats")["state"] == "printing"
    assert klipper.status("virtual_sdcard")["is_active"] is True
    assert await klipper.wait_print() == "complete"
    states = [
        frame["params"]["status"]["print_stats"]["state"]
        for frame in await client.collect(1)
        if "state" in frame["params"]["status"].get("print_stats", {})
    ]
    assert states == ["printing", "complete"]
    stats = klipper.status("print_stats")
    assert stats["filename"] == "sub/Square.gcode"
    assert stats["filament_used"] == pytest.approx(4)
    assert klipper.extruded_mm["extruder"] == pytest.approx(4)
    assert klipper.console[-1] == "Done printing file"


async def test_pause_resume_and_cancel_from_outside(klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock) -> None:
    client = await connect(klipper)
    await klipper.print_file("long.gcode", ["G28", "M83", *["G1 X100 E1 F1200", "G1 X0 E1"] * 20])
    await trio.sleep(20)
    await client.result("pause_resume/pause")
    assert klipper.status("print_stats")["state"] == "paused"
    assert klipper.status("pause_resume") == {"is_paused": True}
    await client.result("pause_resume/resume")
    assert klipper.status("print_stats")["state"] == "printing"
    await trio.sleep(10)
    await client.result("pause_resume/cancel")
    assert klipper.status("print_stats")["state"] == "cancelled"
    assert klipper.status("virtual_sdcard")["file_path"] is None
    await klipper.run_gcode("M400")
    assert 0 < klipper.extruded_mm["extruder"] < 40


async def test_a_pause_in_the_file_waits_for_resume(klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock) -> None:
    await klipper.print_file("pause.gcode", ["G28", "PAUSE", "M83", "G1 E5 F600"])
    assert await klipper.wait_print("paused") == "paused"
    await klipper.run_gcode("RESUME")
    assert await klipper.wait_print() == "complete"
    assert klipper.extruded_mm["extruder"] == pytest.approx(5)


async def test_a_failing_line_ends_the_print_in_error(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    await klipper.print_file("bad.gcode", ["G28", "M104 S100", "M104 S999", "G1 E5"])
    assert await klipper.wait_print() == "error"
    assert klipper.status("print_stats")["message"] == "Requested temperature (999.0) out of range (0.0:250.0)"
    assert klipper.status("extruder")["target"] == 0


async def test_heating_takes_time_and_is_waited_for(klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock) -> None:
    begin = trio.current_time()
    await klipper.run_gcode("M140 S60\nM109 S210")
    assert 20 < trio.current_time() - begin < 120
    assert klipper.status("extruder")["temperature"] == pytest.approx(210, abs=1)
    await trio.sleep(60)
    assert klipper.status("heater_bed")["temperature"] == pytest.approx(60)
    assert klipper.console[1].startswith("B:")


async def test_cold_extrusion_is_refused_when_asked_for(nursery: trio.Nursery, autojump_clock: trio.abc.Clock) -> None:
    klipper = SimulatedKlipper(min_extrude_temp=170)
    await nursery.start(klipper.run)
    with pytest.raises(KlipperError, match="Extrude below minimum temp"):
        await klipper.extrude(1)
    await klipper.run_gcode("M109 S200")
    await klipper.extrude(1)
    assert klipper.extruded_mm == {"extruder": pytest.approx(1)}


async def test_an_emergency_stop_in_a_print_pauses_it_and_forgets_the_look_ahead(
    klipper: SimulatedKlipper,
    autojump_clock: trio.abc.Clock,
) -> None:
    client = await connect(klipper)
    await client.result("gcode/subscribe_output", {"response_template": {"out": 1}})
    await klipper.print_file("long.gcode", ["G28", "M83", *["G1 X100 E1 F600", "G1 X0 E1"] * 20])
    await trio.sleep(30)
    await client.result("emergency_stop")
    assert client.news[-1] == {"out": 1, "params": {"response": "// Klipper state: Shutdown"}}
    info = await client.result("info")
    assert info["state"] == "shutdown"
    assert info["state_message"].startswith("Shutdown due to webhooks request\nOnce the underlying issue")
    assert (await client.error("gcode/script", {"script": "G28"})) == info["state_message"]
    await trio.sleep(1)
    assert klipper.status("print_stats")["state"] == "paused"
    assert 0 < klipper.extruded_mm["extruder"] < klipper.positions["extruder"]


async def test_a_stopped_klipper_shows_and_tells_a_move_that_it_had_planned_to_its_end(
    klipper: SimulatedKlipper, nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    """As measured on Kalico: its estimate of the printer's clock goes on, and so does what is computed from it."""
    client = await connect(klipper)
    await client.result("motion_report/dump_trapq", {"name": "extruder", "response_template": {"q": 1}})
    nursery.start_soon(klipper.run_gcode, "M83\nG1 E40 F240")
    assert await client.collect(1) != []
    assert klipper.extruded_mm["extruder"] == pytest.approx(40)
    for seconds, live_mm in ((3, 15), (4, 31), (4, 40), (4, 40)):
        klipper.shut_down()
        await trio.sleep(seconds)
        assert klipper.status("motion_report")["live_position"][3] == pytest.approx(live_mm, abs=1)
    assert klipper.extruded_mm["extruder"] == pytest.approx(40)


async def test_restart_closes_connections_and_begins_at_zero(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    client = await connect(klipper)
    before = await client.result("info")
    await client.result("gcode/subscribe_output", {})
    await client.result("register_remote_method", {"response_template": {}, "remote_method": "notify"})
    assert klipper.remote_methods == {"notify": [{}]}
    await klipper.extrude(12)
    await client.send("gcode/restart")
    answer, farewell = await client.until_end()
    assert answer["result"] == {}
    assert farewell["params"] == {"response": "// Klipper state: Disconnect"}
    with pytest.raises(ConnectionRefusedError):
        await klipper.connect()
    await klipper.wait_state("ready")
    client = await connect(klipper)
    assert (await client.result("info"))["process_id"] == before["process_id"]
    assert klipper.status("toolhead")["print_time"] == 0.0
    assert klipper.positions["extruder"] == 0
    assert klipper.remote_methods == {}
    await klipper.extrude(3)
    assert klipper.extruded_mm["extruder"] == pytest.approx(15)


async def test_a_microcontroller_may_keep_its_clock_over_a_restart(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    klipper.setup.mcu_keeps_clock = True
    await klipper.extrude(50)
    await trio.sleep(100)
    before = klipper.status("toolhead")["print_time"]
    await klipper.restart()
    assert klipper.status("toolhead")["print_time"] == 0.0
    await klipper.extrude(1)
    assert klipper.status("toolhead")["print_time"] > before
    await klipper.restart(firmware=True)
    await klipper.extrude(1)
    assert klipper.status("toolhead")["print_time"] < before


async def test_a_crash_says_nothing_and_changes_the_process_id(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    client = await connect(klipper)
    before = (await client.result("info"))["process_id"]
    await client.result("gcode/subscribe_output", {})
    klipper.crash()
    assert await client.until_end() == []
    await klipper.wait_state("ready")
    assert (await (await connect(klipper)).result("info"))["process_id"] != before


async def test_startup_and_error_are_states_of_their_own(nursery: trio.Nursery, autojump_clock: trio.abc.Clock) -> None:
    klipper = SimulatedKlipper(startup_time=5, start_error="Option 'x' in section 'y' must be specified")
    await nursery.start(klipper.run)
    client = await connect(klipper)
    assert (await client.result("info"))["state"] == "startup"
    assert "motion_report/dump_trapq" not in (await client.result("list_endpoints"))["endpoints"]
    assert "attempting to connect" in await client.error("gcode/script", {"script": "G28"})
    await klipper.wait_state("error")
    assert (await client.result("info"))["state_message"].startswith("Option 'x' in section 'y' must be specified\n")
    klipper.setup.start_error = None
    await klipper.restart()
    assert klipper.state == "ready"


async def test_macros_call_remote_methods(klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock) -> None:
    client = await connect(klipper)
    await klipper.run_gcode("SET_ACTIVE_SPOOL ID=3")  # nobody listens, and nobody is told
    with pytest.raises(KlipperError, match="Remote method 'spoolman_set_active_spool' not registered"):
        await klipper.call_remote("spoolman_set_active_spool", spool_id=3)
    template = {"method": "remote_spool"}
    await client.result(
        "register_remote_method",
        {"response_template": template, "remote_method": "spoolman_set_active_spool"},
    )
    await client.result("gcode/script", {"script": "SET_ACTIVE_SPOOL ID=3\nCLEAR_ACTIVE_SPOOL"})
    assert client.news == [
        {"params": {"spool_id": 3}, "method": "remote_spool"},
        {"params": {"spool_id": None}, "method": "remote_spool"},
    ]
    await client.aclose()
    await trio.sleep(1)
    with pytest.raises(KlipperError, match="No active connections for method"):
        await klipper.call_remote("spoolman_set_active_spool", spool_id=1)


async def test_macros_may_be_jinja_or_python(nursery: trio.Nursery, autojump_clock: trio.abc.Clock) -> None:
    async def purge(params: Any) -> str:
        return f"M83\nG1 E{params['LENGTH']} F1800"

    klipper = SimulatedKlipper(
        macros={
            "PURGE": purge,
            "TWICE": "{% for i in range(2) %}PURGE LENGTH={params.LENGTH}\n{% endfor %}{action_respond_info('ok')}",
            "PAUSE": Macro("PAUSE_BASE\nM117 at {printer.toolhead.position[3]}", rename_existing="PAUSE_BASE"),
            "BROKEN": "{ 1 / 0 }",
        }
    )
    await nursery.start(klipper.run)
    await klipper.run_gcode("TWICE LENGTH=2")
    assert klipper.console[-1] == "// ok"
    assert klipper.extruded_mm["extruder"] == pytest.approx(4)
    await klipper.run_gcode("PAUSE")
    assert klipper.status("pause_resume")["is_paused"] is True
    assert klipper.status("display_status")["message"] == "at 4.0"
    with pytest.raises(KlipperError, match="ZeroDivisionError"):
        await klipper.run_gcode("BROKEN")
    assert "gcode_macro PAUSE" in klipper.status("configfile")["config"]


async def test_console_subscribers_hear_every_kind_of_line(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    client = await connect(klipper)
    await client.result("gcode/subscribe_output", {"response_template": {"m": "out"}})
    await client.script(
        'RESPOND MSG="hello you"\nRESPOND TYPE=command MSG=x\nRESPOND TYPE=error MSG=y\nM118 Raw Text\nM114'
    )
    assert [frame["params"]["response"] for frame in client.news] == [
        "echo: hello you",
        "// x",
        "!! y",
        "echo: Raw Text",
        "X:0.000 Y:0.000 Z:0.000 E:0.000",
    ]


async def test_scripts_of_one_client_run_in_order(klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock) -> None:
    stream = await klipper.connect()
    frames = [{"id": i, "method": "gcode/script", "params": {"script": f"G4 P100\nM118 {i}"}} for i in range(5)]
    await stream.send_all(b"".join(json.dumps(frame).encode() + b"\x03" for frame in frames))
    client = KlipperClient(stream)
    assert [(await client.read())["id"] for _ in frames] == list(range(5))
    assert list(klipper.console)[-5:] == [f"echo: {i}" for i in range(5)]


async def test_objects_can_be_overridden_and_invented(
    klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock
) -> None:
    klipper.set_object("print_stats", state="vendor_word")
    klipper.set_object("temperature_sensor chamber", temperature=40.0)
    client = await connect(klipper)
    status = (
        await client.result(
            "objects/query", {"objects": {"print_stats": ["state"], "temperature_sensor chamber": None}}
        )
    )["status"]
    assert status == {
        "print_stats": {"state": "vendor_word"},
        "temperature_sensor chamber": {"temperature": 40.0},
    }
    klipper.clear_object("print_stats")
    assert klipper.status("print_stats")["state"] == "standby"


async def test_longer_positions_of_newer_klipper(nursery: trio.Nursery, autojump_clock: trio.abc.Clock) -> None:
    klipper = SimulatedKlipper(extra_axes=True)
    await nursery.start(klipper.run)
    toolhead = klipper.status("toolhead")
    assert toolhead["extra_axes"]["extruder"] == 3
    assert len(toolhead["position"]) == 5


async def test_faults_of_answers(klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock) -> None:
    client = await connect(klipper)
    klipper.faults.refuse["gcode/help"] = "not today"
    assert await client.error("gcode/help") == "not today"
    klipper.faults.nan_positions = True
    status = (await client.result("objects/query", {"objects": {"toolhead": ["position"]}}))["status"]
    assert all(math.isnan(value) for value in status["toolhead"]["position"])
    klipper.faults.update_overtakes_subscribe = True
    await client.result("objects/subscribe", {"objects": {"webhooks": None}, "response_template": {"early": True}})
    assert client.news[0]["early"] is True
    klipper.faults.never_answer.add("info")
    await client.send("info")
    assert await client.collect(30) == []
    klipper.faults.clear()
    assert (await client.result("info"))["state"] == "ready"


async def test_faults_of_the_wire(klipper: SimulatedKlipper, autojump_clock: trio.abc.Clock) -> None:
    client = await connect(klipper)
    klipper.faults.split_frames = True
    assert (await client.result("info"))["state"] == "ready"
    klipper.faults.clear()
    klipper.faults.hold_frames = 0.5
    await client.send("info")
    await client.send("list_endpoints")
    assert len(await client.collect(1)) == 2
    klipper.faults.clear()
    klipper.send_raw(b"\xff\xfe\x03")
    with pytest.raises(ValueError, match="Expecting value"):
        await client.read()
    klipper.faults.silent = True
    other = await connect(klipper)
    await other.send("info")
    assert await other.collect(5) == []
    klipper.faults.clear()
    assert len(await other.collect(1)) == 1  # it was only late
    klipper.faults.stop_reading = True
    await other.send("info")
    assert await other.collect(5) == []


async def test_several_clients_on_a_real_socket_survive_restarts_and_absence(
    on_socket: SimulatedKlipper,
    dial: Dial,
) -> None:
    first, second = await dial(), await dial()
    assert (await first.result("info"))["state"] == (await second.result("info"))["state"] == "ready"
    await on_socket.extrude(600)
    await on_socket.restart()
    assert await first.until_end() == []
    third = await dial()
    assert (await third.result("objects/query", {"objects": {"toolhead": ["position"]}}))["status"]["toolhead"][
        "position"
    ][3] == 0
    async with on_socket.away():
        assert await third.until_end() == []
        with pytest.raises(OSError, match=r"."):
            await dial()
    await dial()
    await on_socket.extrude(1)
    assert on_socket.extruded_mm["extruder"] == pytest.approx(601)


async def test_a_client_that_stops_reading_is_closed(
    on_socket: SimulatedKlipper, dial: Dial, autojump_clock: trio.abc.Clock
) -> None:
    stuck = await dial()
    assert on_socket.connections == 1 or (await stuck.result("info"))
    on_socket.send_raw(b"x" * 10_000_000 + b"\x03")
    await until(lambda: not on_socket.connections, within=60)


async def test_a_long_file_prints_as_fast_as_the_machine_can(on_socket: SimulatedKlipper, dial: Dial) -> None:
    client = await dial()
    await client.result("motion_report/dump_trapq", {"name": "extruder"})
    lines = ["G28", "M83", "G1 X0 Y0 Z1 F6000", *[f"G1 X{i % 200} E0.01 F3000" for i in range(1, 3001)]]
    await on_socket.print_file("long.gcode", lines)
    with trio.fail_after(30):
        assert await on_socket.wait_print() == "complete"
    assert on_socket.extruded_mm["extruder"] == pytest.approx(30)
    told = 0.0
    with trio.fail_after(10):
        while told < 30 - 1e-6:
            _, duration, velocity, acceleration, start, _ = (await client.read())["params"]["data"][-1]
            told = start[0] + velocity * duration + acceleration * duration**2 / 2
    assert told == pytest.approx(30)
