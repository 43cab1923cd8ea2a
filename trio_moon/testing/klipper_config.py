"""What the simulated printer's `configfile` object shows: the sections that frontends look for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from trio_moon.testing.klipper_macros import Macro
from trio_moon.testing.klipper_motion import Limits

Section = dict[str, object]


def config_status(
    extruders: Sequence[str],
    limits: Limits,
    gcodes: Path | None,
    macros: Mapping[str, Macro],
    min_extrude_temp: float,
) -> dict[str, object]:
    """The whole object: `config` as typed, `settings` with types and lower-case names."""
    settings: dict[str, Section] = {
        "mcu": {"serial": "/dev/null", "baud": 250000},
        "printer": {
            "kinematics": "cartesian",
            "max_velocity": limits.max_velocity,
            "max_accel": limits.max_accel,
        },
        "heater_bed": {"heater_pin": "P17", "sensor_pin": "P18", "min_temp": 0.0, "max_temp": 130.0},
        "fan": {"pin": "P20"},
        "virtual_sdcard": {"path": str(gcodes or "~/printer_data/gcodes")},
        "pause_resume": {"recover_velocity": 50.0},
        "display_status": {},
        "idle_timeout": {"timeout": 600.0},
        "exclude_object": {},
        "respond": {"default_type": "echo"},
    }
    for index, axis in enumerate("xyz"):
        settings[f"stepper_{axis}"] = {
            "step_pin": f"P{4 * index}",
            "microsteps": 16,
            "rotation_distance": 8.0 if axis == "z" else 40.0,
            "position_endstop": limits.endstops[index],
            "position_min": limits.axis_minimum[index],
            "position_max": limits.axis_maximum[index],
            "homing_speed": limits.homing_speed,
        }
    for name in extruders:
        settings[name] = {
            "nozzle_diameter": limits.nozzle_diameter,
            "filament_diameter": limits.filament_diameter,
            "min_temp": 0.0,
            "max_temp": 250.0,
            "min_extrude_temp": min_extrude_temp,
            "max_extrude_only_distance": limits.max_extrude_only_distance,
        }
    config = {name: {option: str(value) for option, value in section.items()} for name, section in settings.items()}
    for name, macro in macros.items():
        section = _macro_section(macro)
        settings[f"gcode_macro {name.lower()}"] = section
        config[f"gcode_macro {name}"] = {option: str(value) for option, value in section.items()}
    return {
        "config": config,
        "settings": settings,
        "warnings": [],
        "save_config_pending": False,
        "save_config_pending_items": {},
    }


def _macro_section(macro: Macro) -> Section:
    section: Section = {
        "gcode": macro.body if isinstance(macro.body, str) else "",
        "description": macro.description,
    }
    if macro.rename_existing is not None:
        section["rename_existing"] = macro.rename_existing
    for name, value in macro.variables.items():
        section[f"variable_{name}"] = repr(value)
    return section
