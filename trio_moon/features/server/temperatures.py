"""The last minutes of every sensor, one sample a second, so that a graph needn't begin empty."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NoReturn, Protocol

import trio

from trio_moon.kit.periodic import periodic

PERIOD = 1.0

_SERIES = {"temperature": "temperatures", "target": "targets", "power": "powers", "speed": "speeds"}
"""Fields of a sensor, and what the API calls their history."""
_OF_HEATERS = ("temperatures", "targets", "powers")


class Mirror(Protocol):
    """The state of Klipper's objects, as far as this room needs it."""

    def get(self, name: str) -> Mapping[str, object]:
        """The fields of one object; {} when it is unknown."""


class Printer(Protocol):
    """The printer, as far as this room needs it."""

    @property
    def mirror(self) -> Mirror: ...

    def need(self, objects: dict[str, frozenset[str] | None]) -> None:
        """Keep these objects in the mirror."""


class TemperatureStore:
    """A service that samples the mirror. Sensors appear and go with Klipper's configuration."""

    def __init__(self, printer: Printer, size: int) -> None:
        self._printer = printer
        self._size = size
        self._sensors: dict[str, dict[str, deque[object]]] = {}
        self._monitors: frozenset[str] = frozenset()
        self._listed: tuple[object, object] = (None, None)
        printer.need({"heaters": None})

    async def run(self, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Take a sample every second while Klipper is there."""
        task_status.started()
        await periodic(PERIOD, self.sample)

    def vitals(self) -> Mapping[str, object]:
        return {"sensors": len(self._sensors)}

    def sample(self) -> None:
        """Append the present values of every sensor; nothing while Klipper's sensors are unknown."""
        if not self._find_sensors():
            return
        for name, histories in self._sensors.items():
            fields = self._printer.mirror.get(name)
            if not fields:
                continue  # just discovered: its state will be here in a moment
            samples = max(map(len, histories.values()), default=0)
            for field in _SERIES:
                if field in fields and field not in histories:  # a client may have wanted only the others
                    histories[field] = deque([_rounded(fields[field])] * samples, maxlen=self._size)
            for field, history in histories.items():
                history.append(_rounded(fields.get(field)))

    def _find_sensors(self) -> bool:
        """Keep to the sensors that Klipper has; False while they are unknown."""
        heaters = self._printer.mirror.get("heaters")
        if not heaters:
            return False
        listed = (heaters.get("available_sensors"), heaters.get("available_monitors"))
        if listed != self._listed:
            self._take_sensors(listed)
        return True

    def _take_sensors(self, listed: tuple[object, object]) -> None:
        self._listed = listed
        sensors, monitors = (_names(names) for names in listed)
        self._monitors = frozenset(monitors) - frozenset(sensors)
        self._sensors = {name: self._sensors.get(name, {}) for name in (*sensors, *sorted(self._monitors))}
        self._printer.need(dict.fromkeys(self._sensors))

    def as_wire(self, *, include_monitors: bool) -> dict[str, object]:
        """`server.temperature_store`: oldest values first; a sensor without any yet is there, and empty."""
        self._find_sensors()
        heaters = _names(self._printer.mirror.get("heaters").get("available_heaters"))
        return {
            name: {_SERIES[field]: list(history) for field, history in histories.items()}
            or {series: [] for series in (_OF_HEATERS if name in heaters else _OF_HEATERS[:1])}
            for name, histories in self._sensors.items()
            if include_monitors or name not in self._monitors
        }


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []


def _rounded(value: object) -> object:
    return round(value, 2) if isinstance(value, int | float) else None
