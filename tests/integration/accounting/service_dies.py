"""Scenarios in which the service itself is killed, ended or can't write."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, prlimit

import trio

from tests.integration.accounting.house import USE, House
from tests.integration.accounting.scenario import scenario
from trio_moon.testing.spoolman_faults import (
    AnswerLate,
    ApplyAfterLeaving,
    ApplyLate,
    Fault,
    GatewayAnswer,
    HangAfterApply,
    HangBeforeApply,
    ResetAfterApply,
    ResetBeforeApply,
)


@scenario(telling=True)
async def five_kills_in_one_print(house: House) -> None:
    async with house.printing():
        for _ in range(5):
            await trio.sleep(random.uniform(0.1, 1.5))
            await house.printer.kill()
            await trio.sleep(random.uniform(0, 1))
            await house.printer.start()


async def kill_often(house: House, kills: int) -> None:
    """Kills at random moments, with answers that leave open what has happened."""
    kinds = (HangAfterApply, HangBeforeApply, ResetAfterApply, ResetBeforeApply)
    async with house.printing():
        for _ in range(kills):
            fault: Fault = random.choice(kinds)(times=1)
            if random.random() < 0.3:
                fault = ApplyAfterLeaving(seconds=random.uniform(0, 2), times=1)
            with house.spoolman.fault(*USE, fault):
                with trio.move_on_after(random.uniform(0, 2)):
                    await fault.wait_struck()
                await trio.sleep(random.choice((0, 0.01, 0.3)))
                await house.printer.kill()
            await house.printer.start()
    await house.printer.extrude(20)


@scenario()
async def six_kills_with_ambiguous_answers(house: House) -> None:
    await kill_often(house, 6)


@scenario(longest=900)
async def twenty_kills_with_ambiguous_answers(house: House) -> None:
    await kill_often(house, 20)


@scenario(telling=True)
async def killed_while_others_write_the_same(house: House) -> None:
    """The report is open, we are dead, and another printer uses exactly as much."""
    for fault in (HangAfterApply(times=1), HangBeforeApply(times=1)):
        async with house.struck(fault):
            await house.printer.kill()
            house.spoolman.other_writer_uses(1, 12.5)
            await house.printer.start()
        await house.settle()


@scenario()
async def sigterm_during_a_report(house: House) -> None:
    for fault in (
        HangAfterApply(times=1),
        HangBeforeApply(times=1),
        AnswerLate(seconds=1, times=1),
        ApplyLate(seconds=1, times=1),
        ApplyAfterLeaving(times=1),
    ):
        async with house.struck(fault):
            assert await house.printer.process.end() < 6
            await house.printer.extrude(5)
            await house.printer.start()
        await house.settle()


@scenario()
async def sigterm_at_random_moments_of_a_print(house: House) -> None:
    async with house.printing():
        for _ in range(6):
            await trio.sleep(random.uniform(0, 1.5))
            await house.printer.process.end(random.choice((signal.SIGTERM, signal.SIGINT)))
            await house.printer.start()


@scenario(telling=True)
async def ended_with_everything_pending(house: House) -> None:
    """Spoolman is down over two restarts of ours; what is used meanwhile is kept, and reported once."""
    await house.spoolman.go_away()
    await house.printer.extrude(40)
    await house.printer.end()
    await house.printer.extrude(40)
    await house.printer.start()
    await house.printer.extrude(40)
    await house.printer.kill()
    await house.printer.start()
    await house.spoolman.come_back()
    await house.settle()
    assert abs(house.charged_to(1) - 130) < 1e-4


@scenario()
async def restarted_by_its_own_api(house: House) -> None:
    async with house.printing():
        for _ in range(2):
            await trio.sleep(0.7)
            await house.printer.restart()


@scenario(extruders=2, speed=4.0)
async def down_for_a_whole_print_with_two_tools(house: House) -> None:
    """Tool work that happens only while we are down is told by Klipper's history, or by its positions.

    Each tool works longer than the half second after our end, whose moves Klipper tells to nobody.
    """
    await house.printer.choose(2, tool=1)
    await house.printer.extrude(10, "extruder1")
    await house.settle()
    await house.printer.kill()
    for _ in range(3):
        await house.printer.extrude(20, "extruder")
        await house.printer.extrude(20, "extruder1")
    await house.klipper.run_gcode("ACTIVATE_EXTRUDER EXTRUDER=extruder")
    await house.printer.start()
    await house.settle()
    assert abs(house.charged_to(1) - 70) < 1e-4
    assert abs(house.charged_to(2) - 70) < 1e-4


@scenario()
async def killed_just_after_a_change_of_spool(house: House) -> None:
    """While extruding: what was commanded before the change stays the former spool's, over a kill."""
    for spool_id in (2, 3, 1, 2):
        async with house.printing():
            await trio.sleep(random.uniform(0.1, 0.6))
            await house.printer.choose(spool_id)
            await house.printer.kill()
            await house.printer.start()
        await house.settle()


@scenario(telling=True)
async def the_journal_has_no_space(house: House) -> None:
    """The service may write no file longer than a limit: as with a full disk, nothing may be sent, nothing is lost."""
    pid = house.printer.process.pid
    prlimit(pid, RLIMIT_FSIZE, (4096, RLIM_INFINITY))
    for _ in range(3):
        await house.printer.extrude(10)
        await trio.sleep(1)
    await house.check(parked=True)
    prlimit(pid, RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))


@scenario()
async def the_database_is_locked_for_a_while(house: House) -> None:
    database = sqlite3.connect(database_of(house), isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    for _ in range(3):
        await house.printer.extrude(10)
        await trio.sleep(2.5)
    database.execute("ROLLBACK")
    database.close()


@scenario()
async def the_database_is_damaged(house: House) -> None:
    """It is set aside with a warning; what was pending in it is lost, what comes after it is exact."""
    await house.printer.end()
    path = database_of(house)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    data = path.read_bytes()
    path.write_bytes(b"no database" + os.urandom(len(data)))
    await house.printer.start()
    info = await house.printer.client.result("/server/info")
    assert any("set aside" in warning for warning in info["warnings"]), info["warnings"]
    await house.printer.choose(1)
    await house.printer.extrude(20)


@scenario()
async def a_page_of_the_journal_is_unreadable(house: House) -> None:
    """The ledger's row is no JSON: kept aside with a warning."""
    await house.printer.end()
    database = sqlite3.connect(database_of(house), isolation_level=None)
    database.execute("UPDATE spoolman_state SET value = ?", (b'{"pending": {"1": 12.',))
    database.close()
    await house.printer.start()
    info = await house.printer.client.result("/server/info")
    assert any("journal" in warning for warning in info["warnings"]), info["warnings"]
    await house.printer.choose(1)
    await house.printer.extrude(20)


@scenario(telling=True)
async def the_journal_is_of_an_older_version(house: House) -> None:
    """Fields that a later version added are missing, and one is there that nobody knows any more."""
    await house.spoolman.go_away()
    await house.printer.extrude(15)
    await trio.sleep(2)
    await house.printer.end()
    database = sqlite3.connect(database_of(house), isolation_level=None)
    (value,) = database.execute("SELECT value FROM spoolman_state WHERE name = 'ledger'").fetchone()
    state = json.loads(value)
    assert state["pending"]
    kept = ("session", "print_time", "complete", "marks", "tools", "pending", "intents", "next_intent")
    old = {name: state[name] for name in kept} | {"of_old": [1]}
    database.execute("UPDATE spoolman_state SET value = ?", (json.dumps(old).encode(),))
    database.close()
    await house.printer.extrude(15)
    await house.spoolman.come_back()
    await house.printer.start()


@scenario()
async def the_clock_jumps_over_a_restart(house: House) -> None:
    """An intent that was written in what is now the future (the Pi has no clock) is settled all the same."""
    for shift in (1e8, -1e8):
        async with house.struck(ApplyAfterLeaving(seconds=4, times=1)):
            await house.printer.kill()
        await return_with_another_clock(house, shift, 6)


@scenario(telling=True)
async def the_clock_jumps_while_a_late_report_is_watched(house: House) -> None:
    """What was taken back and sent again arrives all the same, after the network has set the clock."""
    for shift in (1e8, -1e8):
        async with house.struck(ApplyAfterLeaving(seconds=8, times=1)):
            await house.until(lambda status: bool(status["watched_reports"]))
            await house.printer.kill()
        await return_with_another_clock(house, shift, 8)


async def return_with_another_clock(house: House, shift: float, late: float) -> None:
    """The clock has jumped when the service starts again; `late` seconds after that everything has turned up."""
    shift_times(house, shift)
    await house.printer.start()
    await trio.sleep(late)
    await house.printer.extrude(30)
    await house.settle()


def shift_times(house: House, seconds: float) -> None:
    """Let what was written down have been written so many seconds later."""
    database = sqlite3.connect(database_of(house), isolation_level=None)
    (value,) = database.execute("SELECT value FROM spoolman_state WHERE name = 'ledger'").fetchone()
    state = json.loads(value)
    for intent in state["intents"].values():
        intent["at"] += seconds
        if intent["settled_at"] is not None:
            intent["settled_at"] += seconds
    database.execute("UPDATE spoolman_state SET value = ? WHERE name = 'ledger'", (json.dumps(state).encode(),))
    database.close()


@scenario()
async def killed_while_a_gateway_refuses(house: House) -> None:
    with house.spoolman.fault(*USE, GatewayAnswer(status=502, applied=True, times=4)):
        for _ in range(4):
            await house.printer.extrude(12.5)
            await trio.sleep(random.uniform(0.3, 1.5))
            await house.printer.kill()
            await house.printer.start()


def database_of(house: House) -> Path:
    return house.printer.process.paths.root / "database" / "trio_moon.db"
