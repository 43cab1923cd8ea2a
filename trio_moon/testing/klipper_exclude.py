"""`exclude_object`: the objects of a print and which are left out (their moves are still made here)."""

import json

from trio_moon.testing.klipper_gcode import Command, GCode, KlipperError


class ExcludeObject:
    """Bookkeeping only: what frontends show and switch."""

    def __init__(self, gcode: GCode) -> None:
        self._gcode = gcode
        self._objects: list[dict[str, object]] = []
        self._excluded: list[str] = []
        self._current: str | None = None
        gcode.register("EXCLUDE_OBJECT_DEFINE", self._define, help_text="Provides a summary of an object")
        gcode.register(
            "EXCLUDE_OBJECT_START", self._start, help_text="Marks the beginning the current object as labeled"
        )
        gcode.register("EXCLUDE_OBJECT_END", self._end, help_text="Marks the end the current object")
        gcode.register("EXCLUDE_OBJECT", self._exclude, help_text="Cancel moves inside a specified objects")

    def status(self) -> dict[str, object]:
        """The `exclude_object` object."""
        return {
            "objects": list(self._objects),
            "excluded_objects": list(self._excluded),
            "current_object": self._current,
        }

    async def _define(self, command: Command) -> None:
        if "RESET" in command.params:
            self._objects, self._excluded = [], []
            return
        described: dict[str, object] = {"name": command.text("NAME").upper()}
        for key, template in (("CENTER", "[{}]"), ("POLYGON", "{}")):
            if key in command.params:
                try:
                    described[key.lower()] = json.loads(template.format(command.params[key]))
                except ValueError:
                    raise KlipperError(f"Error on '{command.line}': unable to parse {command.params[key]}") from None
        self._objects.append(described)

    async def _start(self, command: Command) -> None:
        self._current = command.text("NAME").upper()

    async def _end(self, command: Command) -> None:
        self._current = None

    async def _exclude(self, command: Command) -> None:
        if command.params.get("RESET"):
            self._excluded = []
            return
        name = command.text("NAME", self._current).upper()
        self._gcode.info(f"Excluding object {name}")
        if name not in self._excluded:
            self._excluded.append(name)
