"""The temperature store: a graph's past."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from trio_moon.features.server import TemperatureStore


class FakePrinter:
    """A mirror whose state the test writes."""

    def __init__(self) -> None:
        self.state: dict[str, dict[str, object]] = {}
        self.needed: dict[str, object] = {}
        self.mirror = self

    def get(self, name: str) -> Mapping[str, object]:
        return self.state.get(name, {})

    def need(self, objects: dict[str, frozenset[str] | None]) -> None:
        self.needed.update(objects)


def a_hot_printer() -> FakePrinter:
    printer = FakePrinter()
    printer.state = {
        "heaters": {
            "available_sensors": ["extruder", "temperature_fan f"],
            "available_monitors": ["tmc2240 x", "extruder"],
        },
        "extruder": {"temperature": 200.123, "target": 210.0, "power": 0.456, "pressure_advance": 0.1},
        "temperature_fan f": {"temperature": 31.0, "target": 30.0, "speed": 1.0},
        "tmc2240 x": {"temperature": None},
    }
    return printer


def test_it_keeps_what_each_sensor_has_and_oldest_first() -> None:
    printer = a_hot_printer()
    store = TemperatureStore(printer, 2)
    assert "heaters" in printer.needed
    for temperature in (1.0, 2.0, 3.004):
        printer.state["extruder"]["temperature"] = temperature
        store.sample()
    assert set(printer.needed) == {"heaters", "extruder", "temperature_fan f", "tmc2240 x"}
    assert store.as_wire(include_monitors=False) == {
        "extruder": {"temperatures": [2.0, 3.0], "targets": [210.0] * 2, "powers": [0.46] * 2},
        "temperature_fan f": {"temperatures": [31.0] * 2, "targets": [30.0] * 2, "speeds": [1.0] * 2},
    }
    assert store.as_wire(include_monitors=True)["tmc2240 x"] == {"temperatures": [None, None]}


def test_nothing_is_added_while_klipper_is_away_and_vanished_sensors_go() -> None:
    printer = a_hot_printer()
    store = TemperatureStore(printer, 10)
    store.sample()
    state, printer.state = printer.state, {}
    store.sample()
    before = store.as_wire(include_monitors=True)
    assert before["extruder"] == {"temperatures": [200.12], "targets": [210.0], "powers": [0.46]}
    printer.state = {**state, "heaters": {"available_sensors": ["extruder"]}}
    store.sample()
    assert list(store.as_wire(include_monitors=True)) == ["extruder"]


async def test_it_samples_once_a_second(nursery: trio.Nursery, autojump_clock: trio.abc.Clock) -> None:
    store = TemperatureStore(a_hot_printer(), 100)
    await nursery.start(store.run)
    await trio.sleep(10.5)
    extruder = store.as_wire(include_monitors=False)["extruder"]
    assert isinstance(extruder, dict)
    assert len(extruder["temperatures"]) == 10


def test_a_field_that_is_told_later_has_a_history_as_long_as_the_others() -> None:
    printer = a_hot_printer()
    power = printer.state["extruder"].pop("power")  # so far only a client has asked, and not for this
    store = TemperatureStore(printer, 3)
    store.sample()
    printer.state["extruder"]["power"] = power
    store.sample()
    extruder = store.as_wire(include_monitors=False)["extruder"]
    assert extruder == {"temperatures": [200.12] * 2, "targets": [210.0] * 2, "powers": [0.46, 0.46]}
