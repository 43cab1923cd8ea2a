from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from tests.printer.conftest import House
from tests.until import until
from trio_moon.model.errors import BadParams, KlippyAway, PeerTimeout, UnknownMethod, WrongVerb
from trio_moon.printer.calls import CALL_TIMEOUT
from trio_moon.printer.endpoints import Objects, PrinterCalls, endpoints
from trio_moon.printer.printer import Printer
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.rpc.registry import Registry


def table(printer: Printer) -> Registry:
    registry = Registry()
    registry.add(endpoints(printer))
    registry.fall_back(PrinterCalls(printer).forward)
    return registry


def decoded(value: Any) -> Any:
    return json.loads(bytes(value))


async def test_klippers_answers_pass_through_and_empty_ones_are_ok(ready: House) -> None:
    registry = table(ready.printer)
    caller = Caller(Transport.HTTP, user="x")
    for name, params, check in (
        ("printer.info", {}, lambda answer: answer["state"] == "ready"),
        ("printer.objects.list", {}, lambda answer: "toolhead" in answer["objects"]),
        ("printer.gcode.help", {}, lambda answer: "RESTART" in answer),
        ("printer.gcode.script", {"script": "G28"}, lambda answer: answer == "ok"),
        ("printer.query_endstops.status", {}, lambda answer: set(answer.values()) <= {"open", "TRIGGERED"}),
        ("printer.objects.query", {"objects": {"fan": ["speed"]}}, lambda a: a["status"] == {"fan": {"speed": 0.0}}),
        ("printer.emergency_stop", {}, lambda answer: answer == "ok"),
    ):
        answer = decoded(await registry.call(registry.named(name), params, caller))
        assert check(answer), (name, answer)


async def test_who_stops_a_printer_that_doesnt_answer_knows_it_soon(
    ready: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_moon.printer.endpoints.STOP_TIMEOUT", 0.1)
    ready.klipper.faults.never_answer.add("emergency_stop")
    registry = table(ready.printer)
    with trio.fail_after(CALL_TIMEOUT / 2), pytest.raises(PeerTimeout, match="switch the printer off"):
        await registry.call(registry.named("printer.emergency_stop"), {}, Caller(Transport.HTTP, user="x"))


def test_objects_are_written_in_many_ways() -> None:
    assert Objects.from_arguments({"objects": {"a": None, "b": ["x", "y"]}}).wanted == {
        "a": None,
        "b": frozenset({"x", "y"}),
    }
    assert Objects.from_arguments({"toolhead": "", "extruder": "target,temperature"}).wanted == {
        "toolhead": None,
        "extruder": frozenset({"target", "temperature"}),
    }


@pytest.mark.parametrize(
    "arguments", [{"objects": [1]}, {"objects": {"a": 1}}, {"objects": {"a": [1]}}, {"objects": 5}]
)
def test_objects_that_are_none_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(BadParams, match="objects"):
        Objects.from_arguments(arguments)


async def test_what_only_klipper_knows_is_forwarded_and_what_is_ours_is_not(ready: House) -> None:
    registry = table(ready.printer)
    assert registry.named("printer.pause_resume.cancel").name == "printer.pause_resume.cancel"
    for name in ("printer.register_remote_method", "printer.gcode.subscribe_output", "printer.nothing.at_all"):
        with pytest.raises(UnknownMethod):
            registry.named(name)


async def test_by_get_only_what_changes_nothing_is_forwarded(ready: House) -> None:
    registry = table(ready.printer)
    assert registry.route("GET", "/printer/motion_report/dump_trapq")[0].name == "printer.motion_report.dump_trapq"
    for path in ("/printer/pause_resume/cancel", "/printer/gcode/restart", "/printer/gcode/firmware_restart"):
        assert registry.route("POST", path)[0].name
        with pytest.raises(WrongVerb):  # a picture on a foreign page must not do this
            registry.route("GET", path)


async def test_what_a_websocket_hears_can_be_asked_for_beside_it(ready: House) -> None:
    registry = table(ready.printer)
    caller, number = Caller(Transport.HTTP, user="x"), ready.session.connection_id
    method, _ = registry.route("POST", "/printer/objects/subscribe")
    told: Any = await registry.call(method, {"connection_id": str(number), "fan": "speed"}, caller)
    assert told["status"] == {"fan": {"speed": 0.0}}
    await registry.call(registry.named("printer.gcode.script"), {"script": "M106 S255"}, caller)
    await until(lambda: any("fan" in update for update in ready.ear.updates))
    for wrong in ({"fan": ""}, {"connection_id": number + 1, "fan": ""}):
        with pytest.raises(BadParams, match="connection_id"):
            await registry.call(method, wrong, caller)
    ready.session.caller = Caller(Transport.WEBSOCKET)  # who hasn't logged in hears nothing
    with pytest.raises(BadParams, match="connection_id"):
        await registry.call(method, {"connection_id": number, "fan": ""}, caller)


async def test_without_klipper_every_call_says_so(house: House) -> None:
    registry = table(house.printer)
    for name, params in (
        ("printer.info", {}),
        ("printer.gcode.script", {"script": "G28"}),
        ("printer.objects.subscribe", {"objects": {"fan": None}}),
    ):
        caller = Caller(Transport.WEBSOCKET, user="x", session=house.session)
        with pytest.raises(KlippyAway):
            await registry.call(registry.named(name), params, caller)
