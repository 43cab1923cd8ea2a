"""Our words in OctoPrint's: states, heaters, commands, histories."""

from __future__ import annotations

import pytest

from trio_moon.features.octoprint.controls import history
from trio_moon.features.octoprint.heaters import by_octoprint_name, target_gcode
from trio_moon.features.octoprint.parameters import Commands
from trio_moon.features.octoprint.states import PrinterState
from trio_moon.model.errors import BadParams, Conflict


@pytest.mark.parametrize(
    ("klippy", "printing", "text", "raised"),
    [
        ("ready", "standby", "Operational", {"operational", "ready"}),
        ("ready", "printing", "Printing", {"operational", "printing"}),
        ("ready", "paused", "Paused", {"operational", "paused"}),
        ("ready", "complete", "Operational", {"operational", "ready"}),
        ("ready", "cancelled", "Operational", {"operational", "ready"}),
        ("ready", "error", "Operational", {"operational", "ready"}),
        ("ready", None, "Operational", {"operational", "ready"}),
        ("ready", "a vendor's word", "Operational", {"operational", "ready"}),
        ("disconnected", None, "Offline", {"closedOrError"}),
        ("startup", None, "Connecting", {"closedOrError"}),
        ("shutdown", "printing", "Error", {"error", "closedOrError"}),
        ("error", None, "Error", {"error", "closedOrError"}),
    ],
)
def test_every_state_has_a_text_and_its_flags(klippy: str, printing: object, text: str, raised: set[str]) -> None:
    state = PrinterState.of(klippy, printing)
    assert state.text == text
    assert {flag for flag, value in state.flags().items() if value} == raised


def test_what_was_asked_for_shows_until_it_is_done() -> None:
    assert PrinterState.of("ready", "printing", "Cancelling").flags()["cancelling"]
    assert PrinterState.of("ready", "cancelled", "Cancelling").text == "Operational"
    assert PrinterState.of("shutdown", "printing", "Cancelling").text == "Error"


def test_heaters_have_octoprints_names_and_order() -> None:
    names = ["heater_generic Chamber_heater", "heater_bed", "extruder1", "extruder", "heater_generic drybox"]
    assert by_octoprint_name([*names, "temperature_sensor chamber"]) == {
        "tool0": "extruder",
        "tool1": "extruder1",
        "bed": "heater_bed",
        "chamber": "heater_generic Chamber_heater",
        "drybox": "heater_generic drybox",
    }
    assert list(by_octoprint_name(["heater_bed", "heater_generic box", "extruder"])) == ["tool0", "bed", "box"]


def test_targets_become_gcode_and_nonsense_does_not() -> None:
    assert target_gcode("extruder1", 215.5) == "SET_HEATER_TEMPERATURE HEATER=extruder1 TARGET=215.5"
    assert target_gcode("heater_generic box", 0) == "SET_HEATER_TEMPERATURE HEATER=box TARGET=0"
    for target in (-1.0, float("nan"), float("inf"), 5000.0):
        with pytest.raises(BadParams):
            target_gcode("extruder", target)
    with pytest.raises(Conflict):
        target_gcode("temperature_sensor chamber", 50)


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ({"command": "G28"}, ("G28",)),
        ({"commands": "G28"}, ("G28",)),
        ({"commands": ["G28", "M84"]}, ("G28", "M84")),
        ({"command": "G28", "commands": ["M84"]}, ("G28", "M84")),
    ],
)
def test_a_string_is_one_command(arguments: dict[str, object], lines: tuple[str, ...]) -> None:
    assert Commands.from_arguments(arguments).lines == lines


@pytest.mark.parametrize("value", [None, [], [1], ["G28", None], "", "  ", {"a": 1}, 28, [["G28"]]])
def test_what_is_no_command_is_refused(value: object) -> None:
    with pytest.raises(BadParams):
        Commands.from_arguments({"commands": value})


def test_history_puts_the_latest_last() -> None:
    stored = {
        "extruder": {"temperatures": [20.0, 21.0, 22.0], "targets": [0.0, 0.0, 200.0]},
        "heater_bed": {"temperatures": [30.0], "targets": [60.0]},
    }
    told = history(stored, {"tool0": "extruder", "bed": "heater_bed", "chamber": "none"}, None, 100)
    assert told == [
        {"time": 98, "tool0": {"actual": 20.0, "target": 0.0}},
        {"time": 99, "tool0": {"actual": 21.0, "target": 0.0}},
        {"time": 100, "tool0": {"actual": 22.0, "target": 200.0}, "bed": {"actual": 30.0, "target": 60.0}},
    ]
    assert [point["time"] for point in history(stored, {"tool0": "extruder"}, 1, 100)] == [100]
    assert history(stored, {"tool0": "extruder"}, 0, 100) == []
