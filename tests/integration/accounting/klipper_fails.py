"""Scenarios in which Klipper restarts, vanishes, lies or talks nonsense."""

from __future__ import annotations

import contextlib
import math
import random

import trio

from tests.integration.accounting.house import House
from tests.integration.accounting.scenario import scenario
from trio_moon.testing.klipper_gcode import KlipperError


@scenario(telling=True)
async def the_socket_is_cut_a_hundred_times(house: House) -> None:
    async with house.printing():
        for _ in range(100):
            await house.klipper.cut_connections()
            await trio.sleep(random.uniform(0, 0.12))


@scenario(speed=1.0)
async def the_socket_is_cut_at_real_speed(house: House) -> None:
    """Moves wait in the look-ahead; the last batch before a cut is told to nobody."""
    async with house.printing(step_mm=6, pause=0):
        for _ in range(8):
            await trio.sleep(random.uniform(0.3, 1.2))
            await house.klipper.cut_connections()


@scenario()
async def klipper_restarts_between_prints(house: House) -> None:
    for _ in range(3):
        await house.klipper.restart()
        await house.printer.extrude(15)
        await house.told()


@scenario(speed=1.0)
async def klipper_restarts_at_real_speed(house: House) -> None:
    """At once after the last move: the half second that Klipper dwells must do."""
    for _ in range(3):
        await house.told()
        await house.klipper.run_gcode("M83\nG1 E1.5 F1500\nG1 E-1 F1800\nG1 E1.5", wait_moves=False)
        await house.klipper.restart()
        await house.printer.ready()


async def restart_and_print_past_the_mark(house: House) -> None:
    """While we are down: RESTART, and the new life prints more than the old one had."""
    await house.printer.extrude(40)
    await house.settle()
    for _ in range(2):
        await house.printer.kill()
        await house.klipper.restart()
        await house.printer.extrude(90)
        await trio.sleep(0.5)
        await house.printer.start()
        await house.settle()


@scenario()
async def restarted_and_printed_past_the_mark_while_we_were_down(house: House) -> None:
    await restart_and_print_past_the_mark(house)


@scenario(telling=True, keeps_clock=True)
async def restarted_past_the_mark_and_the_mcu_keeps_its_clock(house: House) -> None:
    await restart_and_print_past_the_mark(house)


@scenario(keeps_clock=True, options="accounting: position\n")
async def restarted_past_the_mark_measured_by_position(house: House) -> None:
    await restart_and_print_past_the_mark(house)


@scenario(keeps_clock=True)
async def restarted_and_printed_less_while_we_were_down(house: House) -> None:
    await house.printer.extrude(40)
    await house.settle()
    for less in (30, 29.5, 29.5, 5, 1):
        await house.printer.kill()
        await house.klipper.restart()
        await house.printer.extrude(less)
        await house.printer.start()
        await house.settle()


@scenario(keeps_clock=True)
async def restarted_under_our_eyes_with_the_same_clock(house: House) -> None:
    for firmware in (False, True, False):
        await house.printer.extrude(20)
        await house.told()
        await house.klipper.restart(firmware=firmware)
        await house.printer.extrude(35)


@scenario()
async def restarted_in_mid_print(house: House) -> None:
    for _ in range(3):
        async with house.printing():
            await trio.sleep(random.uniform(0.5, 2))
        await house.told()
        await house.klipper.restart()


@scenario(telling=True)
async def cut_off_after_a_restart(house: House) -> None:
    """It said goodbye once: that is no reason to take each later connection for another life."""
    await house.told()
    await house.klipper.restart()
    await house.printer.extrude(60)
    await house.settle()
    for _ in range(3):
        await house.klipper.cut_connections()
        await house.printer.extrude(5)
        await house.settle()


@scenario()
async def restarted_while_the_socket_was_cut(house: House) -> None:
    for _ in range(3):
        await house.printer.extrude(25)
        await house.told()
        house.klipper.faults.never_answer = {"info", "objects/subscribe"}
        await house.klipper.cut_connections()
        await house.klipper.restart()
        await house.printer.extrude(60)
        house.klipper.faults.never_answer = set()
        await house.klipper.cut_connections()
        await house.printer.extrude(5)
        await house.settle()


@scenario()
async def klipper_crashes_and_comes_back(house: House) -> None:
    for _ in range(3):
        await house.printer.extrude(25)
        await house.told()
        house.klipper.crash()
        await trio.sleep(0.1)
        await house.klipper.wait_state("ready")
        await house.printer.extrude(30)


@scenario(telling=True, keeps_clock=True)
async def klipper_crashes_while_we_are_down(house: House) -> None:
    for _ in range(2):
        await house.told()
        await house.printer.end()
        house.klipper.crash()
        await trio.sleep(0.1)
        await house.klipper.wait_state("ready")
        await house.printer.extrude(30)
        await house.printer.start()


@scenario(speed=1.0)
async def emergency_stop_in_mid_print(house: House) -> None:
    """What waits in the look-ahead never happens, and is nobody's."""
    await shut_down_in_mid_print(house)


@scenario(telling=True, speed=1.0)
async def emergency_stop_just_after_a_change_of_spool(house: House) -> None:
    await print_ahead(house)
    await house.printer.choose(2)
    house.klipper.shut_down()
    await trio.sleep(1)


@scenario(speed=1.0)
async def emergency_stop_just_after_a_kill(house: House) -> None:
    await print_ahead(house, retract=False)  # a peak that was told to nobody can't be known
    await house.printer.kill()
    await house.printer.start()
    await print_ahead(house, retract=False)
    await house.klipper.cut_connections()
    await trio.sleep(0.4)
    house.klipper.shut_down()
    await trio.sleep(1)


@scenario(telling=True, speed=0.25)
async def emergency_stop_in_a_retraction_that_was_told_to_nobody(house: House) -> None:
    """Klipper shows what it had planned to its end; the way there leads below what we know for seconds."""
    async with house.klipper.away():
        house.nursery.start_soon(house.klipper.run_gcode, "M83\nG1 E-3 F180\nG1 E10 F900\nG1 E1 F180")
        await trio.sleep(1.2)
        house.klipper.shut_down()


@scenario(telling=True, speed=1.0)
async def emergency_stop_while_we_are_down(house: House) -> None:
    """We find Klipper in shutdown: its commanded position tells of moves that never happened."""
    await print_ahead(house, retract=False)  # a peak that was told to nobody can't be known
    await house.printer.kill()
    await trio.sleep(0.3)
    house.klipper.shut_down()
    await house.printer.process.start()
    house.printer.find()
    await trio.sleep(2)
    await house.settle()
    await house.klipper.restart()
    await house.printer.extrude(10)


async def print_ahead(house: House, *, retract: bool = True) -> None:
    """Commands run two seconds ahead of the printer."""
    script = "M83\nG1 E1 F600" + ("\nG1 E-0.5 F600\nG1 E0.5 F600" if retract else "")

    async def run() -> None:
        with contextlib.suppress(KlipperError):
            for _ in range(40):
                await house.klipper.run_gcode(script, wait_moves=False)

    house.nursery.start_soon(run)
    await trio.sleep(1.5)


async def shut_down_in_mid_print(house: House) -> None:
    await print_ahead(house)
    house.klipper.shut_down()
    await trio.sleep(1)


@scenario(telling=True, extruders=2)
async def a_tools_work_between_two_samples(house: House) -> None:
    """Twenty tool changes, each tool's work over in an instant, retracted at each change."""
    await house.printer.choose(2, tool=1)
    script = ["M83"]
    for _ in range(10):
        for tool in (1, 0):
            script += [f"T{tool}", "G1 E2 F3000", "G1 E10 F1800", "G1 E-2 F3000"]
    house.klipper.speed = math.inf
    await house.klipper.run_gcode("\n".join(script))
    await house.settle()
    truth = house.klipper.extruded_mm
    assert abs(house.charged_to(1) - truth["extruder"]) < 1e-4
    assert abs(house.charged_to(2) - truth["extruder1"]) < 1e-4


@scenario(extruders=2, extra_axes=True, options="accounting: position\n")
async def two_tools_measured_by_position(house: House) -> None:
    """Slow enough for the samples; what a position can't show is a peak between two of them."""
    house.klipper.speed = 2.0
    for tool in (1, 0, 1, 0):
        await house.klipper.run_gcode(f"T{tool}\nM83\nG1 E15 F1800")
        await trio.sleep(0.7)


@scenario(telling=True, extra_axes=True)
async def a_manual_stepper_beside_the_extruder(house: House) -> None:
    """Newer Klipper tells its moves like an extruder's: a feeder's, or a gate's. They are no filament."""
    for _ in range(2):
        await house.klipper.run_gcode("MANUAL_STEPPER STEPPER=feeder MOVE=500 SPEED=100")
        await house.printer.extrude(12)
        await house.klipper.run_gcode("MANUAL_STEPPER STEPPER=feeder MOVE=0 SPEED=100")
        await house.printer.kill()
        await house.printer.start()


@scenario(extruders=2)
async def two_tools_and_restarts(house: House) -> None:
    for number in range(4):
        await house.printer.extrude(12, "extruder1")
        await house.printer.extrude(-3, "extruder1")
        await house.printer.extrude(12, "extruder")
        await house.printer.extrude(-3, "extruder")
        await house.told()
        if number % 2:
            await house.klipper.restart()
        else:
            await house.printer.kill()
            await house.printer.start()


@scenario()
async def silent_klipper(house: House) -> None:
    async with house.printing():
        house.klipper.faults.silent = True
        await trio.sleep(6)
        house.klipper.faults.silent = False
        await trio.sleep(1)


@scenario()
async def klipper_is_silent_when_we_start(house: House) -> None:
    await house.printer.kill()
    house.klipper.faults.silent = True
    await house.printer.start()
    await house.printer.extrude(20)
    await house.printer.choose(2)
    await house.printer.extrude(20)
    house.klipper.faults.silent = False


@scenario()
async def garbage_frames(house: House) -> None:
    nonsense = (
        b"\xff\xfe\x03",
        b"{\x03",
        b"[]\x03null\x0312\x03",
        b'{"params": {"status": {"toolhead": {"position": "x"}}}}\x03',
        b'{"method": "spoolman_moves_extruder", "params": {"data": [[1,2],[NaN,1,1,1,[1],[1]],"x",null]}}\x03',
        b'{"method": "spoolman_moves_extruder", "params": {"data": [[1,1,1e300,1,[0,0,0],[1,0,0]]]}}\x03',
        b'{"method": "spoolman_moves_extruder", "params": null}\x03',
        b'{"method": "spoolman_set_active_spool", "params": {"spool_id": []}}\x03',
        b'{"method": "spoolman_set_active_spool", "params": {"spool_id": 1e400}}\x03',
    )
    async with house.printing():
        for _ in range(4):
            for each in nonsense:
                house.klipper.send_raw(each)
                await trio.sleep(0.02)
    await house.settle()
    assert (await house.printer.status())["spool_id"] == 1


@scenario()
async def split_and_held_frames(house: House) -> None:
    house.klipper.faults.split_frames = True
    await house.printer.extrude(30)
    house.klipper.faults.split_frames = False
    house.klipper.faults.hold_frames = 1.0
    await house.printer.extrude(30)
    house.klipper.faults.hold_frames = 0.0
    house.klipper.faults.update_overtakes_subscribe = True
    await house.klipper.cut_connections()
    await house.printer.extrude(30)


@scenario(extruders=5)
async def klipper_is_slow_and_has_many_tools(house: House) -> None:
    """It is asked for the moves of each, one after the other."""
    house.klipper.faults.hold_frames = 0.5
    for _ in range(2):
        await house.printer.kill()
        await house.printer.extrude(20)
        await trio.sleep(1)
        await house.printer.start()
        await house.settle()


@scenario()
async def positions_are_nan(house: House) -> None:
    house.klipper.faults.nan_positions = True
    await house.printer.extrude(20)
    await house.printer.choose(2)
    await house.printer.kill()
    await house.printer.start()
    await house.printer.extrude(20)
    house.klipper.faults.nan_positions = False
    await trio.sleep(1)
    await house.printer.extrude(20)


@scenario()
async def positions_are_huge(house: House) -> None:
    for huge in (1e300, 1e12, -1e12, 4e8):
        house.klipper.set_object("toolhead", position=[0, 0, 0, huge])
        await house.printer.extrude(5)
        await house.printer.choose(2)
        await house.klipper.cut_connections()
        await house.printer.extrude(5)
        await house.printer.choose(1)
        house.klipper.clear_object("toolhead")
    await trio.sleep(1)
    await house.printer.extrude(5)


@scenario()
async def factors_and_g92(house: House) -> None:
    """Extrude factor, G92, absolute and relative E: all of it is seen behind them, in what the extruder does."""
    for script in (
        "M82\nG92 E0\nG1 E20 F1800\nG92 E0\nG1 E20",
        "M221 S50\nG92 E0\nG1 E20\nM221 S200\nG1 E30\nM221 S100",
        "M83\nG1 E5\nG1 E-5\nG92 E1000\nG1 E5",
        "M82\nG92 E100\nG1 E90\nG1 E110",
        "G92 E-50\nG1 E-40",
        "M83\nG1 E-100\nG92 E0\nG1 E60",
    ):
        await house.klipper.run_gcode(script)


@scenario()
async def retractions_over_restarts_and_spools(house: House) -> None:
    await house.printer.extrude(-5)
    await house.printer.choose(2)
    await house.printer.extrude(5)
    await house.printer.extrude(10)
    await house.printer.extrude(-6)
    await house.printer.kill()
    await house.printer.extrude(3)
    await house.printer.start()
    await house.printer.extrude(3)
    await house.settle()
    assert abs(house.charged_to(1) - 10) < 1e-4
    assert abs(house.charged_to(2) - 10) < 1e-4
    await house.printer.extrude(-30)
    await house.printer.kill()
    await house.printer.start()
    await house.printer.extrude(30)
    await house.printer.extrude(4)
    await house.settle()
    assert abs(house.charged_to(2) - 14) < 1e-4


@scenario()
async def unload_and_load_over_a_kill(house: House) -> None:
    """A long retraction is no restart of Klipper."""
    await house.printer.extrude(100)
    await house.settle()
    await house.printer.kill()
    await house.printer.extrude(-80)
    await house.printer.start()
    await house.printer.extrude(80)
    await house.printer.extrude(5)


@scenario(begins=False)
async def motion_is_refused(house: House) -> None:
    """An older Klipper doesn't know dump_trapq: positions must do."""
    house.klipper.faults.refuse = {"motion_report/dump_trapq": "webhooks: No registered callback"}
    await house.begin()
    house.klipper.speed = 2.0
    for _ in range(4):
        await house.printer.extrude(20)
        await house.printer.kill()
        await house.printer.extrude(20)
        await house.printer.start()
    await house.settle()
    assert (await house.printer.status())["accounting"] == "position"


@scenario(begins=False)
async def motion_is_not_answered_at_first(house: House) -> None:
    house.klipper.faults.never_answer = {"motion_report/dump_trapq"}
    await house.printer.start()
    await house.printer.choose(1)
    await house.printer.extrude(30)
    await trio.sleep(5)
    house.klipper.faults.never_answer = set()
    await house.printer.extrude(30)


@scenario()
async def a_file_with_a_change_of_spool(house: House) -> None:
    lines = ["M83", "SET_ACTIVE_SPOOL ID=1"]
    for spool_id in (2, 3, 1):
        lines += ["G1 E0.8 F1500", "G1 E-0.3 F3000", "G1 E0.3 F3000"] * 40 + [f"SET_ACTIVE_SPOOL ID={spool_id}"]
    await house.klipper.print_file("a.gcode", lines)
    await house.klipper.wait_print()
