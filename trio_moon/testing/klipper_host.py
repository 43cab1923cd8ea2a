"""One life of the simulated Klipper host, from its start to the next restart: state, commands, objects."""

import math
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import trio

from trio_moon.testing.klipper_clock import PrintClock
from trio_moon.testing.klipper_config import config_status
from trio_moon.testing.klipper_coordinates import MotionCommands
from trio_moon.testing.klipper_exclude import ExcludeObject
from trio_moon.testing.klipper_gcode import Command, GCode, KlipperError
from trio_moon.testing.klipper_heaters import Heater, HeatingCommands
from trio_moon.testing.klipper_macros import Macro, Macros
from trio_moon.testing.klipper_motion import FEEDER, Limits, Toolhead
from trio_moon.testing.klipper_printing import Printing
from trio_moon.testing.klipper_truth import FilamentTruth

State = Literal["startup", "ready", "error", "shutdown"]
Status = dict[str, object]

READY = "Printer is ready"
STARTUP = (
    "\nPrinter is not ready\nThe klippy host software is attempting to connect.  Please\nretry in a few moments.\n"
)
HALTED = (
    '\nOnce the underlying issue is corrected, use the "RESTART"\n'
    "command to reload the config and restart the host software.\nPrinter is halted\n"
)
SHUTDOWN = (
    '\nOnce the underlying issue is corrected, use the\n"FIRMWARE_RESTART" command to reset the firmware, '
    "reload the\nconfig, and restart the host software.\nPrinter is shutdown\n"
)
IDLE_TIMEOUT = 600.0


@dataclass
class Setup:
    """What the simulated printer is made of; read again at every start.

    `mcu_keeps_clock`: RESTART does not reset the microcontroller, so print_time goes on from where it was as soon as
    something moves (real printers do that); otherwise every start begins at 0.
    """

    extruders: tuple[str, ...]
    gcodes: Path | None
    macros: dict[str, Macro]
    speed: float
    extra_axes: bool = False
    min_extrude_temp: float = 0.0
    mcu_keeps_clock: bool = False
    startup_time: float = 0.0
    start_error: str | None = None
    app: str = "Klipper"
    software_version: str = "v0.13.0-0-gsimulated"
    hostname: str = field(default_factory=socket.gethostname)
    process_id: int = field(default_factory=os.getpid)
    config_file: str = "/home/pi/printer_data/config/printer.cfg"
    log_file: str = "/home/pi/printer_data/logs/klippy.log"
    limits: Limits = field(default_factory=Limits)


class Host:
    """Everything that is born again at a restart, except the connections."""

    def __init__(
        self,
        setup: Setup,
        clock: PrintClock,
        truth: FilamentTruth,
        start_task: Callable[..., None],
        call_remote: Callable[..., None],
        overrides: Mapping[str, Status],
    ) -> None:
        self.setup = setup
        self.state: State = "startup"
        self.state_message = STARTUP
        self.restart_requested = trio.Event()
        self.firmware_restarts = False
        self.clock = clock
        self.toolhead = Toolhead(
            self.clock, setup.limits, setup.extruders, truth, self.may_extrude, has_feeder=setup.extra_axes
        )
        self.gcode = GCode(lambda: None if self.state == "ready" else self.state_message)
        self.motion = MotionCommands(self.gcode, self.toolhead)
        self.heaters = {"heater_bed": Heater(self.clock, 1.0, 130.0, "B")}
        for index, name in enumerate(setup.extruders):
            self.heaters[name] = Heater(self.clock, 4.0, 250.0, f"T{index}")
        self.heating = HeatingCommands(self.gcode, self.toolhead, self.clock, self.heaters)
        self.printing = Printing(self.gcode, self.motion, setup.gcodes, lambda: start_task(self.printing.work))
        self.exclude = ExcludeObject(self.gcode)
        self._register()
        self.macros = Macros(
            self.gcode, setup.macros, status=self.status, call_remote=call_remote, shut_down=self.shut_down
        )
        self._overrides = overrides
        self._config = config_status(setup.extruders, setup.limits, setup.gcodes, setup.macros, setup.min_extrude_temp)
        self._endstops: dict[str, int] = {}
        self._objects = self._build_objects()

    # state

    def become_ready(self) -> None:
        """Startup is over; with a configuration error it ends in `error`."""
        if self.state != "startup":
            return
        if self.setup.start_error is not None:
            self.state, self.state_message = "error", f"{self.setup.start_error}\n{HALTED}"
        else:
            self.state, self.state_message = "ready", READY
            self.gcode.info("Klipper state: Ready")

    def shut_down(self, message: str) -> None:
        """Stop everything at once, as M112 or a lost microcontroller does."""
        if self.state == "shutdown":
            return
        was_ready = self.state == "ready"
        self.state, self.state_message = "shutdown", message + SHUTDOWN
        self.toolhead.halt()
        for heater in self.heaters.values():
            heater.aim(0.0)
        self.printing.ask_to_pause()
        if was_ready:
            self.gcode.info("Klipper state: Shutdown")

    def may_extrude(self, extruder: str) -> bool:
        """Whether that nozzle is warm enough."""
        return self.setup.min_extrude_temp <= 0 or self.heaters[extruder].temperature >= self.setup.min_extrude_temp

    # commands of the host itself

    def _register(self) -> None:
        add = self.gcode.register
        add("RESTART", self._restart, early=True, help_text="Reload config file and restart host software")
        add(
            "FIRMWARE_RESTART",
            self._restart,
            early=True,
            help_text="Restart firmware, host, and reload config",
        )
        add("STATUS", self._tell_status, early=True, help_text="Report the printer status")
        add(
            "HELP",
            self._tell_help,
            early=True,
            help_text="Report the list of available extended G-Code commands",
        )
        add("RESPOND", self._respond, early=True, help_text="Echo the message prepended with a prefix")
        add("M118", self._echo, early=True)
        add("M110", self._nothing, early=True)
        add("M112", self._emergency_stop, early=True)
        add("M115", self._tell_firmware, early=True)
        add("QUERY_ENDSTOPS", self._tell_endstops, help_text="Report on the status of each endstop")
        add("M119", self._tell_endstops)
        add("SET_IDLE_TIMEOUT", self._nothing, help_text="Set the idle timeout in seconds")

    async def _restart(self, command: Command) -> None:
        if self.state == "ready":
            self.toolhead.dwell(0.5)
            await self.toolhead.wait_moves()
        self.firmware_restarts = command.name == "FIRMWARE_RESTART"
        self.restart_requested.set()

    async def _tell_status(self, command: Command) -> None:
        if self.state != "ready":
            raise KlipperError(f"{self.state_message.rstrip()}\nKlipper state: Not ready")
        self.gcode.info("Klipper state: Ready")

    async def _tell_help(self, command: Command) -> None:
        lines = [f"{name:<10}: {text}" for name, text in sorted(self.gcode.help_texts.items())]
        self.gcode.info("\n".join(["Available extended commands:", *lines]))

    async def _respond(self, command: Command) -> None:
        kinds = {"echo": "echo: ", "command": "// ", "error": "!! ", "echo_no_space": "echo:"}
        kind = command.text("TYPE", "echo").lower()
        if kind not in kinds:
            raise KlipperError(f"RESPOND TYPE '{kind}' is invalid. Must be one of 'echo', 'command', or 'error'")
        prefix = command.optional_text("PREFIX")
        self.gcode.respond((kinds[kind] if prefix is None else f"{prefix} ") + command.text("MSG", ""))

    async def _echo(self, command: Command) -> None:
        self.gcode.respond(f"echo: {command.raw}")

    async def _nothing(self, command: Command) -> None:
        """Accepted without an effect in the simulation."""

    async def _emergency_stop(self, command: Command) -> None:
        self.shut_down("Shutdown due to M112 command")

    async def _tell_firmware(self, command: Command) -> None:
        self.gcode.info(f"FIRMWARE_NAME:{self.setup.app} FIRMWARE_VERSION:{self.setup.software_version}")

    async def _tell_endstops(self, command: Command) -> None:
        self.gcode.respond(" ".join(f"{name}:{state}" for name, state in (await self.query_endstops()).items()))

    async def query_endstops(self) -> dict[str, str]:
        """Open or TRIGGERED for each axis; an axis at its endstop triggers it."""
        ends = self.setup.limits.endstops
        at_end = [
            axis in self.toolhead.homed_axes and self.toolhead.position[i] <= ends[i] for i, axis in enumerate("xyz")
        ]
        self._endstops = {axis: int(hit) for axis, hit in zip("xyz", at_end, strict=True)}
        return {axis: "TRIGGERED" if hit else "open" for axis, hit in self._endstops.items()}

    # objects

    def object_names(self) -> list[str]:
        """What objects/list answers."""
        return [*self._objects, *(name for name in self._overrides if name not in self._objects)]

    def status(self, name: str) -> Status | None:
        """An object as Klipper shows it now, with a test's overrides on top; None for an unknown one."""
        build = self._objects.get(name)
        override = self._overrides.get(name)
        if build is None:
            return None if override is None else dict(override)
        return build() if override is None else {**build(), **override}

    def _build_objects(self) -> dict[str, Callable[[], Status]]:
        objects: dict[str, Callable[[], Status]] = {
            "gcode": lambda: {"commands": self.gcode.commands()},
            "webhooks": lambda: {"state": self.state, "state_message": self.state_message},
            "configfile": lambda: self._config,
            "mcu": lambda: _MCU,
            "heaters": self._heaters_status,
            "heater_bed": self.heaters["heater_bed"].status,
            "fan": lambda: {"speed": self.heating.fan_speed, "rpm": None},
            "gcode_move": self.motion.status,
            "print_stats": self.printing.stats.status,
            "virtual_sdcard": self.printing.sdcard_status,
            "pause_resume": lambda: {"is_paused": self.printing.is_paused},
            "display_status": self.printing.display_status,
            "idle_timeout": self._idle_status,
            "exclude_object": self.exclude.status,
            "motion_report": self._motion_report,
            "query_endstops": lambda: {"last_query": dict(self._endstops)},
            "system_stats": _system_stats,
            "toolhead": self._toolhead_status,
        }
        for name in self.macros.variables:
            objects[f"gcode_macro {name}"] = lambda name=name: dict(self.macros.variables[name])  # type: ignore[misc]
        for name in self.setup.extruders:
            objects[name] = lambda name=name: self._extruder_status(name)  # type: ignore[misc]
        return objects

    def _heaters_status(self) -> Status:
        names = list(self.heaters)
        return {"available_heaters": names, "available_sensors": names, "available_monitors": []}

    def _extruder_status(self, name: str) -> Status:
        return {
            **self.heaters[name].status(),
            "can_extrude": self.may_extrude(name),
            "pressure_advance": self.toolhead.pressure_advance[name],
            "smooth_time": 0.04,
            "motion_queue": self.toolhead.motion_queues[name],
        }

    def _toolhead_status(self) -> Status:
        toolhead, limits = self.toolhead, self.setup.limits
        status: Status = {
            "homed_axes": toolhead.homed_axes,
            "axis_minimum": [*limits.axis_minimum, 0.0],
            "axis_maximum": [*limits.axis_maximum, 0.0],
            "print_time": toolhead.print_time,
            "stalls": 0,
            "estimated_print_time": self.clock.now(),
            "extruder": toolhead.extruder,
            "position": list(toolhead.position),
            "max_velocity": limits.max_velocity,
            "max_accel": limits.max_accel,
            "minimum_cruise_ratio": 0.5,
            "square_corner_velocity": 5.0,
        }
        if self.setup.extra_axes:  # newer Klipper: positions may be longer than four
            status["extra_axes"] = {"extruder": 3, FEEDER: 4}
            status["position"] = [*toolhead.position, toolhead.feeder_mm]
        return status

    def _motion_report(self) -> Status:
        toolhead, now = self.toolhead, self.clock.now()
        place = toolhead.queues["toolhead"].at(now)
        filament = toolhead.queues[toolhead.extruder].at(now)
        xyz, velocity = place if place is not None else ((0.0, 0.0, 0.0), 0.0)
        e, e_velocity = (filament[0][0], filament[1]) if filament is not None else (0.0, 0.0)
        return {
            "live_position": [*xyz, e],
            "live_velocity": velocity,
            "live_extruder_velocity": e_velocity,
            "steppers": sorted([*self.setup.extruders, "stepper_x", "stepper_y", "stepper_z"]),
            "trapq": sorted(toolhead.queues),
        }

    def _idle_status(self) -> Status:
        toolhead = self.toolhead
        rested = self.clock.now() - toolhead.print_time
        if math.isinf(toolhead.last_sync):
            return {"state": "Idle", "printing_time": 0.0}
        if rested < 0.5 or self.gcode.lock.locked():
            return {"state": "Printing", "printing_time": trio.current_time() - toolhead.last_sync}
        if rested > IDLE_TIMEOUT:
            self.heating.turn_off()
            self.motion.motors_off()
            return {"state": "Idle", "printing_time": 0.0}
        return {"state": "Ready", "printing_time": 0.0}

    def info(self) -> Status:
        """The answer to `info`."""
        setup = self.setup
        return {
            "app": setup.app,
            "state": self.state,
            "state_message": self.state_message,
            "hostname": setup.hostname,
            "klipper_path": "/home/pi/klipper",
            "python_path": sys.executable,
            "process_id": setup.process_id,
            "user_id": os.getuid(),
            "group_id": os.getgid(),
            "log_file": setup.log_file,
            "config_file": setup.config_file,
            "software_version": setup.software_version,
            "cpu_info": "4 core simulated",
        }


_MCU: Status = {
    "app": "Klipper",
    "mcu_version": "v0.13.0-0-gsimulated",
    "mcu_build_versions": "none",
    "mcu_constants": {"MCU": "simulated", "CLOCK_FREQ": 16000000, "ADC_MAX": 1023, "PWM_MAX": 255},
    "last_stats": {"mcu_awake": 0.0, "mcu_task_avg": 0.0, "mcu_task_stddev": 0.0, "freq": 16000000},
}


def _system_stats() -> Status:
    """Changes once a second, as the real one."""
    return {
        "sysload": 0.1,
        "cputime": round(time.process_time()),
        "memavail": 1000000 + int(trio.current_time()) % 7,
    }
