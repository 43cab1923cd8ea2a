from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from tests.printer.conftest import Ear, House
from tests.until import until
from trio_moon.kit.json_codec import Raw
from trio_moon.model.errors import BadParams, KlippyAway, KlippyRefused, PeerTimeout
from trio_moon.model.events import ConsoleLine, KlippyConnected, KlippyLost, KlippyReady, KlippyShutdown
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Session


async def test_klipper_is_greeted_and_ready_is_said_when_subscriptions_exist(
    house: House, nursery: trio.Nursery
) -> None:
    house.printer.offer("notify", lambda params: None)
    with house.printer.events.subscribe() as events:
        await nursery.start(house.printer.run)
        with trio.fail_after(10):
            assert isinstance(await events.receive(), KlippyConnected)
            assert isinstance(await events.receive(), KlippyReady)
    assert house.printer.state == "ready"
    assert house.printer.mirror.get("webhooks")["state"] == "ready"
    assert b'{"jsonrpc":"2.0","method":"notify_klippy_ready"}' in house.ear.events
    order = [request.method for request in house.klipper.received]
    assert order.index("register_remote_method") < order.index("objects/subscribe")
    assert "notify" in house.klipper.remote_methods


async def test_calls_fail_clearly_while_klipper_is_away(tmp_path: Path, nursery: trio.Nursery) -> None:
    printer = Printer(tmp_path / "nothing.sock", Audience())
    await nursery.start(printer.run)
    await until(lambda: "no socket" in printer.away_because)
    with pytest.raises(KlippyAway, match="is Klipper running"):
        await printer.request("info")
    assert printer.state == "disconnected"


async def test_answers_come_to_their_callers_in_any_order(ready: House, nursery: trio.Nursery) -> None:
    done: list[str] = []

    async def call(method: str) -> None:
        await ready.printer.request(method)
        done.append(method)

    async def wait() -> None:
        await ready.printer.run_gcode("G4 P100000")  # at a hundredfold speed
        done.append("script")

    nursery.start_soon(wait)
    await trio.sleep(0.05)
    async with trio.open_nursery() as calls:
        calls.start_soon(call, "info")
        calls.start_soon(call, "objects/list")
    await until(lambda: len(done) == 3)
    assert done[-1] == "script"


async def test_klippers_refusal_keeps_its_words(ready: House) -> None:
    with pytest.raises(KlippyRefused, match="Must home axis first"):
        await ready.printer.run_gcode("G1 X10")


async def test_a_request_that_is_never_answered_ends_at_its_deadline(ready: House) -> None:
    ready.klipper.faults.never_answer.add("objects/list")
    with pytest.raises(PeerTimeout, match="objects/list"):
        await ready.printer.request("objects/list", deadline=0.1)
    assert ready.printer.vitals()["waiting_calls"] == 0


async def test_a_caller_who_leaves_a_script_leaves_nothing_behind(ready: House) -> None:
    with trio.move_on_after(0.05):
        await ready.printer.run_gcode("G4 P100000")
    assert ready.printer.vitals()["waiting_calls"] == 0


async def test_frames_may_be_split_anywhere(house: House, nursery: trio.Nursery) -> None:
    house.klipper.faults.split_frames = True
    await nursery.start(house.printer.run)
    await until(lambda: house.printer.state == "ready")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x03",
        b"no json\x03",
        b"\xff\xfe\x03",
        b"[]\x03",
        b'{"method": 5}\x03',
        b'{"params": {}, "method": "unknown"}\x03',
    ],
)
async def test_garbage_from_klipper_is_skipped(ready: House, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        ready.klipper.send_raw(garbage)
    assert await ready.printer.request("info")
    assert sum("skipped a frame" in record.message for record in caplog.records) <= 1


async def test_a_status_that_is_none_is_told_once_and_hurts_nobody(
    ready: House, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        ready.klipper.send_raw(b'{"method": "process_status_update", "params": {"status": {"fan": 7}}}\x03')
    assert await ready.printer.request("info")
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "skipped: Klipper sent a status that can't be read: Expected `object`, got `int` - at `$.status[...]`"
    ]
    assert not [record for record in caplog.records if record.exc_info]


async def test_an_answer_without_a_result_is_null(ready: House) -> None:
    ready.klipper.faults.never_answer.add("gcode/help")
    answer = ready.printer.question("gcode/help")
    for call_id in range(200):
        ready.klipper.send_raw(b'{"id": %d}\x03' % call_id)
    assert await answer == Raw(b"null")


async def test_a_huge_frame_passes(ready: House) -> None:
    ready.klipper.set_object("gcode_macro BIG", text="x" * 5_000_000)
    status, _ = await ready.printer.query({"gcode_macro BIG": None})
    assert len(str(status["gcode_macro BIG"]["text"])) == 5_000_000


async def test_subscribers_hear_of_what_they_want_and_of_nothing_else(ready: House) -> None:
    update = await ready.printer.subscribe(ready.session, {"fan": frozenset({"speed"})})
    assert update.status == {"fan": {"speed": 0.0}}
    await ready.klipper.run_gcode("M106 S255")
    await until(lambda: {"fan": {"speed": 1.0}} in ready.ear.updates)
    assert {name for news in ready.ear.updates for name in news} == {"fan"}
    await ready.printer.subscribe(ready.session, {})
    seen = len(ready.ear.updates)
    await ready.klipper.run_gcode("M106 S0")
    await trio.sleep(0.2)
    assert len(ready.ear.updates) == seen


async def test_an_update_that_overtakes_the_first_answer_is_not_undone(house: House, nursery: trio.Nursery) -> None:
    house.klipper.faults.update_overtakes_subscribe = True
    house.printer.need({"fan": None, "toolhead": None})
    await nursery.start(house.printer.run)
    await until(lambda: house.printer.state == "ready")
    await house.klipper.run_gcode("M106 S255")
    await until(lambda: house.printer.mirror.get("fan").get("speed") == 1.0)
    assert {"position", "print_time"} <= set(house.printer.mirror.get("toolhead"))


async def test_observers_see_every_update_and_their_bugs_hurt_nobody(ready: House) -> None:
    seen: list[float] = []
    ready.printer.need({"fan": None})
    ready.printer.mirror.observe(lambda changes, eventtime: 1 / 0)  # type: ignore[arg-type]
    ready.printer.mirror.observe(lambda changes, eventtime: seen.append(eventtime))
    await until(lambda: "fan" in ready.printer.mirror)
    await ready.klipper.run_gcode("M106 S255")
    await until(lambda: ready.printer.mirror.get("fan").get("speed") == 1.0)
    assert seen
    assert ready.printer.state == "ready"


async def test_macros_reach_remote_methods(house: House, nursery: trio.Nursery) -> None:
    calls: list[dict[str, object]] = []
    house.printer.offer("notify", calls.append)
    await nursery.start(house.printer.run)
    await until(lambda: house.printer.state == "ready")
    await house.klipper.call_remote("notify", name="phone", message="hello")
    await until(lambda: calls == [{"name": "phone", "message": "hello"}])


async def test_the_console_has_commands_and_responses_and_everybody_hears(ready: House) -> None:
    with ready.printer.console.subscribe() as console:
        await ready.printer.run_gcode("M115")
        ready.printer.say("// hello")
        lines: list[ConsoleLine] = []
        with trio.fail_after(5):
            while not lines or lines[-1].message != "// hello":
                lines.append(await console.receive())
    assert (lines[0].type, lines[0].message) == ("command", "M115")
    assert any(b"notify_gcode_response" in event and b"// hello" in event for event in ready.ear.events)


async def test_restart_is_noticed_and_everything_begins_anew(ready: House) -> None:
    await ready.printer.subscribe(ready.session, {"toolhead": None})
    with ready.printer.events.subscribe() as events:
        await ready.klipper.restart()
        with trio.fail_after(10):
            assert isinstance(await events.receive(), KlippyLost)
            assert isinstance(await events.receive(), KlippyConnected)
            assert isinstance(await events.receive(), KlippyReady)
    assert len(ready.printer.subscriptions) == 0
    told = [json.loads(event)["method"] for event in ready.ear.events]
    assert told.index("notify_klippy_disconnected") > told.index("notify_klippy_ready")


async def test_callers_who_wait_are_told_when_klipper_dies(ready: House) -> None:
    async def die() -> None:
        await trio.sleep(0.1)
        ready.klipper.crash()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(die)
        with pytest.raises(KlippyAway, match="went away"):
            await ready.printer.run_gcode("G4 P1000000")
    await until(lambda: ready.printer.state == "ready")


async def test_a_shutdown_is_told_with_its_reason_and_a_restart_ends_it(ready: House) -> None:
    with ready.printer.events.subscribe() as events:
        ready.klipper.shut_down("Lost communication with MCU 'mcu'")
        with trio.fail_after(10):
            event = await events.receive()
    assert isinstance(event, KlippyShutdown)
    assert "Lost communication" in event.message
    assert ready.printer.state == "shutdown"
    assert any(b"notify_klippy_shutdown" in event for event in ready.ear.events)
    await ready.printer.request("gcode/restart", deadline=5)
    await until(lambda: ready.printer.state == "ready")


async def test_a_stop_and_a_restart_between_two_status_updates_are_told_as_both(
    house: House, nursery: trio.Nursery
) -> None:
    await nursery.start(house.printer.run)
    await until(lambda: house.printer.state == "ready")
    with house.printer.events.subscribe() as events:
        await house.klipper.run_gcode("M112")
        await house.klipper.restart(firmware=True)
        with trio.fail_after(10):
            assert isinstance(await events.receive(), KlippyShutdown)
            assert isinstance(await events.receive(), KlippyLost)


async def test_a_frame_that_is_too_long_is_skipped_and_told_once(
    nursery: trio.Nursery, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trio_moon.printer.link.MAX_FRAME_BYTES", 2**20)
    await nursery.start(house.printer.run)
    await until(lambda: house.printer.state == "ready")
    for _ in range(3):
        house.klipper.send_raw(b'{"method": "' + b"x" * 2**20 + b'"}\x03')
    await house.printer.run_gcode("M117 still there")
    told = [record.message for record in caplog.records if "skipped a frame" in record.message]
    assert told == ["skipped a frame from Klipper: it is longer than 1 MiB"]


async def test_an_error_at_the_start_is_shown_until_it_is_mended(nursery: trio.Nursery, house: House) -> None:
    house.klipper.fail("Option 'pin' is not valid")
    await nursery.start(house.printer.run)
    await until(lambda: house.printer.state == "error")
    assert "not valid" in house.printer.state_message
    await house.klipper.restart()
    await until(lambda: house.printer.state == "ready")


async def test_a_silent_klipper_is_tried_again(
    house: House, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_moon.printer.printer.GREETING_TIMEOUT", 0.2)
    house.klipper.faults.never_answer.add("info")
    await nursery.start(house.printer.run)
    await until(lambda: "does not answer" in house.printer.away_because)
    house.klipper.faults.clear()
    await until(lambda: house.printer.state == "ready")


async def test_a_hundred_cuts_leave_one_healthy_link(ready: House) -> None:
    for _ in range(100):
        await ready.klipper.cut_connections()
        await trio.sleep(0.005)
    await until(lambda: ready.printer.state == "ready" and ready.klipper.connections == 1)
    assert await ready.printer.request("info")


async def test_a_shutdown_between_ready_and_the_subscription_is_no_ready(house: House, nursery: trio.Nursery) -> None:
    house.klipper.set_object("webhooks", state="shutdown", state_message="ADC out of range")  # `info` said ready before
    with house.printer.events.subscribe() as events:
        await nursery.start(house.printer.run)
        with trio.fail_after(10):
            assert isinstance(await events.receive(), KlippyConnected)
            assert await events.receive() == KlippyShutdown("ADC out of range")
    assert house.printer.state == "shutdown"


async def test_a_name_that_needs_escapes_is_printed(ready: House, tmp_path: Path) -> None:
    for name in ('12" pipe.gcode', r"back\slash.gcode", r"two\\ \".gcode", r"größe #1 🖨.gcode"):
        (tmp_path / name).write_text("G28\n")
        await ready.printer.start_print(name)
        assert await ready.klipper.wait_print() == "complete"


async def test_prints_are_started_by_name_and_guards_may_refuse(ready: House, tmp_path: Path) -> None:
    (tmp_path / "a b.gcode").write_text("G28\nG4 P1000\n")
    asked: list[str] = []

    async def guard(name: str) -> None:
        asked.append(name)

    ready.printer.before_print.append(guard)
    await ready.printer.start_print("/a b.gcode")
    assert asked == ["a b.gcode"]
    assert await ready.klipper.wait_print() == "complete"
    for name in ("", "/", "a\nM112", "a\x00b"):
        with pytest.raises(BadParams):
            await ready.printer.start_print(name)
    with pytest.raises(KlippyRefused):
        await ready.printer.start_print("missing.gcode")


async def test_a_newcomer_does_not_make_everybody_hear_everything_again(ready: House) -> None:
    await ready.printer.subscribe(ready.session, {"heater_bed": None})
    seen = len(ready.ear.updates)
    newcomer = Ear()
    update = await ready.printer.subscribe(Session(newcomer), {"heater_bed": None, "configfile": None})
    assert "configfile" in update.status
    assert not newcomer.updates
    assert len(ready.ear.updates) == seen
