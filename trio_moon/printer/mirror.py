"""What Klipper has told us of its objects, merged: always the whole present state of what is subscribed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from trio_moon.kit.status_box import Status, StatusView

logger = logging.getLogger(__name__)

Observer = Callable[[StatusView, float], None]
"""Called with each update's changes and its event time, after they were merged. Must neither wait nor keep state
that it was given: it runs inside the reader."""


class PrinterMirror:
    """The merged state of every subscribed object."""

    def __init__(self) -> None:
        self._state: Status = {}
        self._observers: list[Observer] = []
        self._eventtime = 0.0
        self._received = 0.0
        self.changes = 0
        """How often anything has changed: as long as it stays, so does what was made of the state."""

    @property
    def eventtime(self) -> float:
        """Klipper's clock now, as well as we know it (seconds)."""
        return self._eventtime + (time.monotonic() - self._received) if self._received else time.monotonic()

    def __contains__(self, name: str) -> bool:
        return name in self._state

    def get(self, name: str) -> dict[str, object]:
        """The fields of one object; {} when Klipper has told nothing of it. Not to be changed."""
        return self._state.get(name, {})

    def observe(self, observer: Observer) -> None:
        """Call `observer` for every update from now on, as long as the program runs."""
        self._observers.append(observer)

    def merge(self, changes: Status, eventtime: float) -> None:
        """Take over one update and tell the observers. An observer's bug is logged and costs nobody else."""
        self._eventtime, self._received = eventtime, time.monotonic()
        self.changes += 1
        for name, fields in changes.items():
            known = self._state.get(name)
            if known is None:
                self._state[name] = dict(fields)
            else:
                known.update(fields)
        for observer in self._observers:
            try:
                observer(changes, eventtime)
            except Exception:
                logger.exception("an observer of the printer's state failed")

    def news(self, status: StatusView) -> Status:
        """What of a whole state differs from what clients were told before: they needn't hear the rest again."""
        found: Status = {}
        for name, fields in status.items():
            known = self._state.get(name, {})
            changed = {field: value for field, value in fields.items() if field in known and known[field] != value}
            if changed:
                found[name] = changed
        return found

    def clear(self) -> None:
        """Klipper is gone: its objects are unknown until it tells them again."""
        self._state.clear()
        self.changes += 1

    def pick(self, wanted: dict[str, frozenset[str] | None]) -> Status:
        """The known state of the wanted objects and fields, as a copy."""
        return {name: dict(fields) for name, fields in pick(self._state, wanted).items()}


def pick(state: StatusView, wanted: dict[str, frozenset[str] | None]) -> StatusView:
    """The part of `state` that is wanted: whole objects (None) or some of their fields. For reading only."""
    found: dict[str, Mapping[str, object]] = {}
    for name, fields in state.items():
        if name not in wanted:
            continue
        only = wanted[name]
        part = fields if only is None else {k: v for k, v in fields.items() if k in only}
        if part:
            found[name] = part
    return found
