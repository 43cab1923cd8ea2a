"""The commands of motion: G-code coordinates on top of the toolhead (`gcode_move`), homing, tool changes."""

from dataclasses import dataclass, field, replace

from trio_moon.testing.klipper_gcode import Command, GCode, KlipperError
from trio_moon.testing.klipper_motion import FEEDER, Toolhead

RECOVER_SPEED = 50.0


@dataclass
class Coordinates:
    """How G-code numbers become positions; SAVE_GCODE_STATE keeps copies of it."""

    absolute: bool = True
    absolute_extrude: bool = True
    base: list[float] = field(default_factory=lambda: [0.0] * 4)
    last: list[float] = field(default_factory=lambda: [0.0] * 4)
    homing: list[float] = field(default_factory=lambda: [0.0] * 4)
    feed: float = 25.0  # mm/s before the speed factor
    speed_factor: float = 1.0
    extrude_factor: float = 1.0

    def copy(self) -> "Coordinates":
        """An independent copy."""
        return replace(self, base=list(self.base), last=list(self.last), homing=list(self.homing))


class MotionCommands:
    """G0, G1, G28, G92, M82, M220, M221, ACTIVATE_EXTRUDER and their relatives."""

    def __init__(self, gcode: GCode, toolhead: Toolhead) -> None:
        self._gcode = gcode
        self._toolhead = toolhead
        self._saved: dict[str, Coordinates] = {}
        self.state = Coordinates()
        gcode.after_error.append(self.follow_toolhead)
        self._register()

    def _register(self) -> None:
        add = self._gcode.register
        for name in ("G0", "G1"):
            add(name, self._move)
        for name, handler in (
            ("G4", self._dwell),
            ("G20", self._inches),
            ("G28", self._home),
            ("G92", self._set_base),
            ("M204", self._ignore),
            ("M220", self._speed_factor),
            ("M221", self._extrude_factor),
            ("M400", self._wait),
            ("M18", self._motors_off),
            ("M84", self._motors_off),
        ):
            add(name, handler)
        for name in ("G21", "G90", "G91", "M82", "M83"):
            add(name, self._mode)
        add("M114", self._tell_position, early=True)
        add("SET_GCODE_OFFSET", self._offset, help_text="Set a virtual offset to g-code positions")
        add("SAVE_GCODE_STATE", self._save, help_text="Save G-Code coordinate state")
        add("RESTORE_GCODE_STATE", self._restore, help_text="Restore a previously saved G-Code state")
        add("ACTIVATE_EXTRUDER", self._activate, help_text="Change the active extruder")
        add("SET_PRESSURE_ADVANCE", self._pressure_advance, help_text="Set pressure advance parameters")
        add("SYNC_EXTRUDER_MOTION", self._synchronise, help_text="Set extruder stepper motion queue")
        add("SET_KINEMATIC_POSITION", self._set_kinematic, help_text="Force a low-level kinematic position")
        add("SET_VELOCITY_LIMIT", self._ignore, help_text="Set printer velocity limits")
        if FEEDER in self._toolhead.queues:
            add("MANUAL_STEPPER", self._feed, help_text="Command a manually configured stepper")

    def follow_toolhead(self) -> None:
        """Take over the toolhead's position (after an error, a tool change, homing)."""
        self.state.last[:] = self._toolhead.position

    def gcode_position(self) -> list[float]:
        """The position as the G-code's author sees it."""
        state = self.state
        position = [last - base for last, base in zip(state.last, state.base, strict=True)]
        position[3] /= state.extrude_factor
        return position

    def status(self) -> dict[str, object]:
        """The `gcode_move` object."""
        state = self.state
        return {
            "speed_factor": state.speed_factor,
            "speed": state.feed * 60,
            "extrude_factor": state.extrude_factor,
            "absolute_coordinates": state.absolute,
            "absolute_extrude": state.absolute_extrude,
            "homing_origin": list(state.homing),
            "position": list(state.last),
            "gcode_position": self.gcode_position(),
        }

    async def _go(self, speed: float) -> None:
        self._toolhead.move(self.state.last, speed)
        await self._toolhead.keep_pace()

    async def _move(self, command: Command) -> None:
        state = self.state
        try:
            for axis, letter in enumerate("XYZE"):
                if letter not in command.params:
                    continue
                value = float(command.params[letter])
                if letter == "E":
                    value *= state.extrude_factor
                relative = not state.absolute or (letter == "E" and not state.absolute_extrude)
                state.last[axis] = value + (state.last[axis] if relative else state.base[axis])
            feed = float(command.params["F"]) if "F" in command.params else None
        except ValueError:
            raise KlipperError(f"Unable to parse move '{command.line}'") from None
        if feed is not None:
            if feed <= 0:
                raise KlipperError(f"Invalid speed in '{command.line}'")
            state.feed = feed / 60
        await self._go(state.feed * state.speed_factor)

    async def _feed(self, command: Command) -> None:
        self._toolhead.feed(command.number("MOVE"), command.number("SPEED", 5.0, above=0.0))
        await self._toolhead.keep_pace()

    async def _dwell(self, command: Command) -> None:
        self._toolhead.dwell(command.number("P", 0.0, minimum=0.0) / 1000)
        await self._toolhead.keep_pace()

    async def _inches(self, command: Command) -> None:
        raise KlipperError("Machine does not support G20 (inches) command")

    async def _ignore(self, command: Command) -> None:
        """Accepted without an effect in the simulation."""

    async def _home(self, command: Command) -> None:
        toolhead = self._toolhead
        for axis, letter in enumerate("XYZ"):
            if letter not in command.params and any(other in command.params for other in "XYZ"):
                continue
            end = toolhead.limits.endstops[axis]
            toolhead.dwell(abs(toolhead.position[axis] - end) / toolhead.limits.homing_speed + 0.2)
            toolhead.set_position(axis, end)
            if letter.lower() not in toolhead.homed_axes:
                toolhead.homed_axes = "".join(sorted(toolhead.homed_axes + letter.lower()))
            self.state.base[axis] = self.state.homing[axis]
        await toolhead.wait_moves()
        self.follow_toolhead()

    async def _set_base(self, command: Command) -> None:
        state = self.state
        offsets = [command.optional_number(letter) for letter in "XYZE"]
        if offsets == [None] * 4:
            state.base[:] = state.last
        for axis, offset in enumerate(offsets):
            if offset is not None:
                state.base[axis] = state.last[axis] - offset * (state.extrude_factor if axis == 3 else 1.0)

    async def _mode(self, command: Command) -> None:
        if command.name in ("G90", "G91"):
            self.state.absolute = command.name == "G90"
        elif command.name in ("M82", "M83"):
            self.state.absolute_extrude = command.name == "M82"

    async def _speed_factor(self, command: Command) -> None:
        self.state.speed_factor = command.number("S", 100.0, above=0.0) / 100

    async def _extrude_factor(self, command: Command) -> None:
        state, factor = self.state, command.number("S", 100.0, above=0.0) / 100
        state.base[3] = state.last[3] - (state.last[3] - state.base[3]) / state.extrude_factor * factor
        state.extrude_factor = factor

    async def _wait(self, command: Command) -> None:
        await self._toolhead.wait_moves()

    async def _motors_off(self, command: Command) -> None:
        self.motors_off()

    def motors_off(self) -> None:
        """Axes must be homed again."""
        self._toolhead.homed_axes = ""

    async def _tell_position(self, command: Command) -> None:
        self._gcode.respond("X:{:.3f} Y:{:.3f} Z:{:.3f} E:{:.3f}".format(*self.gcode_position()))

    async def _offset(self, command: Command) -> None:
        state, deltas = self.state, [0.0] * 4
        for axis, letter in enumerate("XYZE"):
            offset = command.optional_number(letter)
            adjust = command.optional_number(f"{letter}_ADJUST")
            if offset is None and adjust is None:
                continue
            offset = state.homing[axis] + (adjust or 0.0) if offset is None else offset
            deltas[axis] = offset - state.homing[axis]
            state.base[axis] += deltas[axis]
            state.homing[axis] = offset
        if command.optional_integer("MOVE"):
            state.last[:] = [last + delta for last, delta in zip(state.last, deltas, strict=True)]
            await self._go(command.number("MOVE_SPEED", state.feed * state.speed_factor, above=0.0))

    async def _save(self, command: Command) -> None:
        self._saved[command.text("NAME", "default")] = self.state.copy()

    async def _restore(self, command: Command) -> None:
        name = command.text("NAME", "default")
        if name not in self._saved:
            raise KlipperError(f"Unknown g-code state: {name}")
        saved, last = self._saved[name].copy(), list(self.state.last)
        saved.base[3] += last[3] - saved.last[3]  # the extruder stays where it is
        there, saved.last = saved.last, last
        self.state = saved
        if command.optional_integer("MOVE"):
            speed = command.number("MOVE_SPEED", saved.feed * saved.speed_factor, above=0.0)
            saved.last[:3] = there[:3]
            await self._go(speed)

    def _extruder_named(self, name: str) -> str:
        if name not in self._toolhead.extruder_positions:
            raise KlipperError(f"The value '{name}' is not valid for EXTRUDER")
        return name

    async def _activate(self, command: Command) -> None:
        name = self._extruder_named(command.text("EXTRUDER"))
        if name == self._toolhead.extruder:
            self._gcode.info(f"Extruder {name} already active")
            return
        self._gcode.info(f"Activating extruder {name}")
        self._toolhead.activate(name)
        self.follow_toolhead()
        self.state.extrude_factor = 1.0
        self.state.base[3] = self.state.last[3]

    async def _pressure_advance(self, command: Command) -> None:
        name = self._extruder_named(command.text("EXTRUDER", self._toolhead.extruder))
        advance = command.number("ADVANCE", self._toolhead.pressure_advance[name], minimum=0.0)
        self._toolhead.pressure_advance[name] = advance
        self._gcode.info(f"pressure_advance: {advance:.6f}")

    async def _synchronise(self, command: Command) -> None:
        name, queue = self._extruder_named(command.text("EXTRUDER")), command.text("MOTION_QUEUE")
        self._toolhead.synchronise(name, self._extruder_named(queue) if queue else None)
        self._gcode.info(f"Extruder '{name}' now syncing with '{queue}'")

    async def _set_kinematic(self, command: Command) -> None:
        for axis, letter in enumerate("XYZ"):
            self._toolhead.set_position(axis, command.number(letter, self._toolhead.position[axis]))
        self._toolhead.homed_axes = "xyz"
        self.follow_toolhead()
