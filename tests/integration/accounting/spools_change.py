"""Scenarios in which the owner changes spools, tools and minds."""

from __future__ import annotations

import trio

from tests.integration.accounting.house import EXACT_MM, USE, House
from tests.integration.accounting.scenario import scenario
from tests.until import until
from trio_moon.testing.spoolman_faults import ApplyAfterLeaving, HangAfterApply, ResetAfterApply

PURGE = "T0\nM83\nG1 E20 F1800"


def near(one: float, other: float) -> bool:
    return abs(one - other) < 1e-4


@scenario(begins=False)
async def no_spool_at_first(house: House) -> None:
    """400 mm before any spool is set, a restart, then a spool: only what comes after is its."""
    await house.printer.start()
    await house.printer.extrude(400)
    await house.settle()
    await house.printer.end()
    await house.printer.start()
    await house.printer.choose(1)
    await house.printer.extrude(5)
    await house.settle()
    assert near(house.charged_to(1), 5)
    assert near((await house.printer.status())["unassigned"], 400)


@scenario()
async def klipper_restarts_then_a_spool_is_set(house: House) -> None:
    await house.printer.extrude(100)
    await house.told()
    await house.klipper.restart()
    await house.printer.choose(2)
    await house.printer.extrude(40)
    await house.settle()
    assert near(house.charged_to(1), 110)
    assert near(house.charged_to(2), 40)


@scenario()
async def spool_unset_and_set(house: House) -> None:
    for _ in range(3):
        await house.printer.choose(None)
        await house.printer.extrude(7)
        await house.printer.choose(1)
        await house.printer.extrude(9)
    await house.settle()
    assert near(house.charged_to(1), 10 + 27)
    assert near((await house.printer.status())["unassigned"], 21)


@scenario()
async def spool_set_by_api_websocket_and_macro(house: House) -> None:
    await house.printer.choose(2)
    await house.printer.extrude(11)
    async with house.printer.websocket() as socket:
        await socket.call("server.spoolman.post_spool_id", spool_id=3)
    await house.printer.extrude(12)
    await house.klipper.run_gcode("SET_ACTIVE_SPOOL ID=1")
    await house.until(lambda status: status["spool_id"] == 1)
    await house.printer.extrude(13)
    await house.klipper.run_gcode("CLEAR_ACTIVE_SPOOL")
    await house.until(lambda status: status["spool_id"] is None)
    await house.printer.extrude(14)
    await house.settle()
    assert near(house.charged_to(1), 23)
    assert near(house.charged_to(2), 11)
    assert near(house.charged_to(3), 12)


@scenario(speed=1.0)
async def spool_changed_while_extruding(house: House) -> None:
    """The amount is split where the printer stood when it was changed, within what a moment is worth."""

    async def extrude() -> None:
        for _ in range(50):
            await house.klipper.run_gcode("M83\nG1 E1 F300", wait_moves=False)

    house.nursery.start_soon(extrude)
    await trio.sleep(1.5)
    expected = {1: 10.0, 2: 0.0, 3: 0.0}
    last, now, slack = 0.0, 1, 1.0
    for spool_id in (2, 3, 1, 2):
        before = house.klipper.positions["extruder"] - 10
        await house.printer.choose(spool_id)
        after = house.klipper.positions["extruder"] - 10
        slack += after - before
        middle = (before + after) / 2
        expected[now] += middle - last
        last, now = middle, spool_id
        await trio.sleep(1.2)
    await until(lambda: house.klipper.positions["extruder"] >= 60, within=60)
    expected[now] += 50 - last
    await house.klipper.run_gcode("M400")
    await house.settle()
    for spool_id, mm in expected.items():
        assert abs(house.charged_to(spool_id) - mm) <= slack, (spool_id, mm, house.charged_to(spool_id))


@scenario(telling=True, speed=1.0)
async def a_macro_changes_the_spool_and_purges(house: House) -> None:
    """Klipper calls us in the midst of the macro, and has commanded the purge when it could answer a question."""
    for spool_id in (2, 1, 2, 1):
        lines = ["M83", *["G1 E1 F600"] * 6, "M400", f"SET_ACTIVE_SPOOL ID={spool_id}", "G1 E40 F3000", "M400"]
        await house.klipper.print_file(f"to {spool_id}.gcode", lines)
        await house.klipper.wait_print()
    await house.settle()
    for spool_id, expected in ((1, 10 + 2 * 6 + 2 * 40), (2, 2 * 40 + 2 * 6)):
        assert abs(house.charged_to(spool_id) - expected) < EXACT_MM, house.charged_to(spool_id)


@scenario()
async def spools_change_all_the_time(house: House) -> None:
    async with house.printing():
        for number in range(60):
            await house.printer.choose((1, 2, 3, None)[number % 4])


@scenario(extruders=2)
async def a_spool_per_tool(house: House) -> None:
    await house.printer.choose(2, tool=1)
    for _ in range(20):
        await house.printer.extrude(5, "extruder1")
        await house.printer.extrude(-1, "extruder1")
        await house.printer.extrude(5, "extruder")
        await house.printer.extrude(-1, "extruder")
    await house.settle()
    truth = house.klipper.extruded_mm
    assert near(house.charged_to(1), truth["extruder"])
    assert near(house.charged_to(2), truth["extruder1"])


@scenario(extruders=2)
async def tools_swap_their_spools(house: House) -> None:
    await house.printer.choose(2, tool=1)
    await house.printer.extrude(5, "extruder1")
    answer = await house.printer.client.post("/server/spoolman/tools", json={"tools": {"0": 2, "1": 1}})
    assert answer.status_code == 200, answer.text
    await house.printer.extrude(7, "extruder1")
    await house.printer.extrude(11, "extruder")
    await house.told()
    await house.printer.kill()
    await house.printer.extrude(7, "extruder1")
    await house.printer.start()
    await house.settle()
    assert near(house.charged_to(1), 10 + 14)
    assert near(house.charged_to(2), 5 + 11)


@scenario(telling=True, extruders=2)
async def two_carriages_print_two_copies(house: House) -> None:
    """The second extruder makes the first one's moves (`SYNC_EXTRUDER_MOTION`), purges with it, and is freed again."""
    await house.printer.choose(2, tool=1)
    for number in range(3):
        await house.printer.extrude(6, "extruder1")
        await house.told()
        await house.klipper.run_gcode(f"SYNC_EXTRUDER_MOTION EXTRUDER=extruder1 MOTION_QUEUE=extruder\n{PURGE}")
        if number == 1:
            await house.told()  # when they were joined, Klipper says once: of what it says to nobody, we can't know
            await house.printer.kill()
            await house.printer.extrude(9, "extruder")
            await house.printer.start()
        await house.printer.extrude(12, "extruder")
        await house.told()
        if number == 2:
            await house.klipper.restart()
        else:
            await house.klipper.run_gcode("SYNC_EXTRUDER_MOTION EXTRUDER=extruder1 MOTION_QUEUE=extruder1")
        await house.printer.extrude(7, "extruder")
    await house.settle()
    assert near(house.charged_to(1), 10 + 3 * (20 + 12 + 7) + 9)
    assert near(house.charged_to(2), 3 * (6 + 20 + 12) + 9)


@scenario(telling=True, extruders=2)
async def spool_of_the_idle_tool_changes_with_moves_on_their_way(house: House) -> None:
    """The other tool has just worked, and its moves are not told yet when its spool is changed."""
    await house.printer.choose(2, tool=1)
    for number in range(6):
        await house.klipper.run_gcode("T1\nM83\nG1 E9 F3000\nT0\nG1 E1 F3000")
        await house.printer.choose(3 if number % 2 == 0 else 2, tool=1)
    await house.settle()
    assert near(house.charged_to(1), 10 + 6)
    assert near(house.charged_to(2), 27)
    assert near(house.charged_to(3), 27)


@scenario(extruders=2)
async def idle_tool_with_moves_on_their_way_and_a_kill(house: House) -> None:
    """What the idle tool did was told to a connection that was gone: it shows when that tool moves again."""
    await house.printer.choose(2, tool=1)
    for number in range(3):
        await house.klipper.run_gcode("T1\nM83\nG1 E9 F3000\nT0\nG1 E1 F3000")
        await house.printer.choose(3 if number % 2 == 0 else 2, tool=1)
        await house.printer.kill()
        await house.printer.start()
    await house.klipper.run_gcode("T1\nM83\nG1 E1 F3000")
    await house.settle()
    assert near(house.charged_to(1), 10 + 3)


@scenario()
async def spool_changed_with_a_report_open(house: House) -> None:
    for number, fault in enumerate((HangAfterApply, ResetAfterApply, ApplyAfterLeaving)):
        async with house.struck(fault(times=1), 12):
            await house.printer.choose(2 - number % 2)
            await house.printer.extrude(3)
            await house.settle()


@scenario(telling=True)
async def two_printers_on_one_spool(house: House) -> None:
    """Both print the same amounts at the same time, and answers are lost."""
    other = await house.add_printer()
    await other.start()
    await other.choose(1)
    with house.spoolman.fault(*USE, HangAfterApply(times=2, skip=1)):
        for number in range(8):
            await house.printer.extrude(6)
            await other.extrude(6)
            if number == 4:
                await other.kill()
                await other.start()
            await trio.sleep(0.3)
        await house.settle()


@scenario()
async def two_printers_on_one_spool_and_late_reports(house: House) -> None:
    other = await house.add_printer()
    await other.start()
    await other.choose(1)
    with house.spoolman.fault(*USE, ApplyAfterLeaving(seconds=3, times=3)):
        for _ in range(5):
            await house.printer.extrude(6)
            await other.extrude(6)
            await trio.sleep(0.5)
        await trio.sleep(8)
        await house.printer.extrude(30)
        await other.extrude(30)
        await trio.sleep(4)
        await house.settle()
