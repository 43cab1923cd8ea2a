"""Tells a macro of Klipper's which spool is in use, by setting its variables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

import trio

from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.json_codec import Raw
from trio_moon.kit.status_box import Status
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import KlippyAway, MoonError
from trio_moon.model.events import KlippyEvent, KlippyReady

logger = logging.getLogger(__name__)

SETTLE = 0.2
"""Several changes at once are told once."""


class Klipper(Protocol):
    """The printer, as far as setting variables needs it."""

    @property
    def events(self) -> Topic[KlippyEvent]: ...

    async def query(self, objects: Mapping[str, list[str] | None]) -> tuple[Status, float]: ...

    async def request(self, method: str, params: object = None, *, deadline: float | None = ...) -> Raw: ...


class SpoolMacro:
    """Keeps the variables of `[gcode_macro NAME]` what the active spool is; only those that the macro declares."""

    def __init__(self, name: str, printer: Klipper, spool: Callable[[], tuple[int, int | None, Spool | None]]) -> None:
        """`spool` gives the active tool, its spool's number and the spool as far as it is known."""
        self._name = name
        self._printer = printer
        self._spool = spool
        self._changed = trio.Event()
        self._told: dict[str, object] = {}
        self._declared: frozenset[str] | None = None
        """The variables that the macro has; None until Klipper was asked."""
        self._complained = ""

    def update(self) -> None:
        """Something may have changed."""
        self._changed.set()

    async def run(self) -> None:
        """Tell Klipper until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_afresh)
            nursery.start_soon(self._tell_changes)

    async def _tell_afresh(self) -> None:
        """A Klipper that has just become ready knows nothing."""
        while True:
            with self._printer.events.subscribe() as events:
                self._forget()
                async for event in events:
                    if isinstance(event, KlippyReady):
                        self._forget()

    def _forget(self) -> None:
        self._told, self._declared = {}, None
        self._changed.set()

    async def _tell_changes(self) -> None:
        while True:
            await self._changed.wait()
            await trio.sleep(SETTLE)
            self._changed = trio.Event()
            values = variables(*self._spool())
            try:
                await self._tell(values)
            except KlippyAway:
                continue  # it is told when it is back
            except MoonError as error:
                self._complain(error.message)

    async def _tell(self, values: dict[str, object]) -> None:
        """Say what is new. During a print the remaining length is, at each report: most macros don't ask for it."""
        if self._declared is None:
            status, _ = await self._printer.query({f"gcode_macro {self._name}": None})
            self._declared = frozenset(status.get(f"gcode_macro {self._name}", {})) & values.keys()
            if not self._declared:
                self._complain(f"Klipper has no such macro, or it declares none of {', '.join(values)}")
        news = {name: values[name] for name in values if name in self._declared}
        news = {name: value for name, value in news.items() if name not in self._told or self._told[name] != value}
        if not news:
            return
        told = self._told
        lines = [
            f"SET_GCODE_VARIABLE MACRO={self._name} VARIABLE={name} VALUE={literal(value)}"
            for name, value in news.items()
        ]
        await self._printer.request("gcode/script", {"script": "\n".join(lines)}, deadline=None)
        told.update(news)

    def _complain(self, reason: str) -> None:
        if reason != self._complained:
            logger.warning("the variables of macro %s can't be set: %s", self._name, reason)
        self._complained = reason


def variables(tool: int, spool_id: int | None, spool: Spool | None) -> dict[str, object]:
    """What the macro is told."""
    known = spool if spool is not None and spool.id == spool_id else None
    return {
        "spool_id": spool_id,
        "tool": tool,
        "material": known.material if known else "",
        "name": known.name if known else "",
        "vendor": known.vendor if known else "",
        "color": known.color if known else "",
        "extruder_temp": known.extruder_temp if known else None,
        "bed_temp": known.bed_temp if known else None,
        "remaining_length": known.remaining_mm if known else None,
        "remaining_weight": known.remaining_g if known else None,
    }


def literal(value: object) -> str:
    """A value as SET_GCODE_VARIABLE takes it; G-code can't carry every character."""
    if isinstance(value, str):
        return "'\"" + "".join(char for char in value if char.isalnum() or char in " +-_.,()/%&:") + "\"'"
    return repr(value)
