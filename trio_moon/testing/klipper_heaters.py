"""Heaters and the fan: temperatures that move in printer time, computed only when somebody looks."""

import math
from collections.abc import Mapping

from trio_moon.testing.klipper_clock import PrintClock
from trio_moon.testing.klipper_gcode import Command, GCode, KlipperError
from trio_moon.testing.klipper_motion import Toolhead

ROOM_TEMPERATURE = 22.0
COOLING_TIME = 90.0
CLOSE_ENOUGH = 1.0  # degrees; M109 and M190 wait no longer


class Heater:
    """One heater: heats by a constant rate, cools towards the room."""

    def __init__(self, clock: PrintClock, rate: float, max_temp: float, gcode_id: str) -> None:
        self._clock = clock
        self._rate = rate
        self._since = clock.now()
        self._from = ROOM_TEMPERATURE
        self.target = 0.0
        self.max_temp = max_temp
        self.gcode_id = gcode_id

    @property
    def temperature(self) -> float:
        """Now, in degrees."""
        elapsed = self._clock.now() - self._since
        goal = max(self.target, ROOM_TEMPERATURE)
        if math.isinf(self._clock.speed):
            return goal
        if goal > self._from:
            return min(goal, self._from + self._rate * elapsed)
        return goal + (self._from - goal) * math.exp(-elapsed / COOLING_TIME)

    def aim(self, target: float) -> None:
        """Set the target; 0 switches off."""
        if target and not 0 <= target <= self.max_temp:
            raise KlipperError(f"Requested temperature ({target:.1f}) out of range (0.0:{self.max_temp:.1f})")
        self._from, self._since, self.target = self.temperature, self._clock.now(), target

    def time_to_target(self) -> float:
        """Seconds of printer time until it is close enough."""
        gap = self.target - self.temperature
        if not self.target or abs(gap) <= CLOSE_ENOUGH:
            return 0.0
        return gap / self._rate if gap > 0 else COOLING_TIME * math.log(-gap / CLOSE_ENOUGH)

    def status(self) -> dict[str, object]:
        """What `heater_bed` and the extruders show of it."""
        heating = self.target - self.temperature > 0.05
        power = 0.0 if not self.target else 1.0 if heating else 0.3
        return {"temperature": round(self.temperature, 2), "target": self.target, "power": power}


class HeatingCommands:
    """M104, M109, M140, M190, M105, M106, TURN_OFF_HEATERS and their relatives."""

    def __init__(self, gcode: GCode, toolhead: Toolhead, clock: PrintClock, heaters: Mapping[str, Heater]) -> None:
        self._gcode = gcode
        self._toolhead = toolhead
        self._clock = clock
        self._heaters = heaters
        self.fan_speed = 0.0
        for name, handler in (
            ("M104", self._extruder),
            ("M109", self._extruder),
            ("M140", self._bed),
            ("M190", self._bed),
            ("M106", self._fan),
            ("M107", self._fan),
        ):
            gcode.register(name, handler)
        gcode.register("M105", self._tell, early=True)
        gcode.register("SET_HEATER_TEMPERATURE", self._named, help_text="Sets a heater temperature")
        gcode.register("TURN_OFF_HEATERS", self._all_off, help_text="Turn off all heaters")
        gcode.register("TEMPERATURE_WAIT", self._wait_between, help_text="Wait for a temperature on a sensor")

    def turn_off(self) -> None:
        """Switch every heater off."""
        for heater in self._heaters.values():
            heater.aim(0.0)

    async def _extruder(self, command: Command) -> None:
        target = command.number("S", 0.0)
        index = command.optional_integer("T", minimum=0)
        name = self._toolhead.extruder if index is None else f"extruder{index or ''}"
        if name not in self._heaters:
            if target <= 0:
                return
            raise KlipperError("Extruder not configured")
        await self._set(name, target, wait=command.name == "M109")

    async def _bed(self, command: Command) -> None:
        await self._set("heater_bed", command.number("S", 0.0), wait=command.name == "M190")

    async def _named(self, command: Command) -> None:
        name = command.text("HEATER")
        if name not in self._heaters:
            raise KlipperError(f"The value '{name}' is not valid for HEATER")
        await self._set(name, command.number("TARGET", 0.0), wait=False)

    async def _set(self, name: str, target: float, *, wait: bool) -> None:
        heater = self._heaters[name]
        heater.aim(target)
        if wait and target:
            await self._wait_until(heater)

    async def _wait_until(self, heater: Heater) -> None:
        toolhead = self._toolhead
        while (left := heater.time_to_target()) > 0:
            self._gcode.respond(self._temperatures())
            await self._clock.sleep_until(self._clock.now() + min(left, 1.0), lambda: toolhead.halted)
            if toolhead.halted:
                raise KlipperError("Command interrupted")

    async def _wait_between(self, command: Command) -> None:
        name = command.text("SENSOR")
        if name not in self._heaters:
            raise KlipperError(f"Unknown sensor '{name}'")
        low, high = command.number("MINIMUM", -math.inf), command.number("MAXIMUM", math.inf)
        while not low <= self._heaters[name].temperature <= high:
            self._gcode.respond(self._temperatures())
            await self._clock.sleep_until(self._clock.now() + 1.0, lambda: self._toolhead.halted)
            if self._toolhead.halted:
                raise KlipperError("Command interrupted")

    async def _all_off(self, command: Command) -> None:
        self.turn_off()

    async def _fan(self, command: Command) -> None:
        self.fan_speed = 0.0 if command.name == "M107" else min(1.0, command.number("S", 255.0, minimum=0.0) / 255)

    async def _tell(self, command: Command) -> None:
        self._gcode.respond(self._temperatures())

    def _temperatures(self) -> str:
        told = sorted(self._heaters.values(), key=lambda heater: heater.gcode_id)
        return " ".join(f"{heater.gcode_id}:{heater.temperature:.1f} /{heater.target:.1f}" for heater in told)
