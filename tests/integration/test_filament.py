"""No millimetre is lost or counted twice: the whole service between a simulated printer and a mock Spoolman."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.integration.filament import Bench, choose, opened_bench, status
from tests.integration.service import Client, running
from tests.integration.together import play_asked
from tests.until import until
from trio_moon.testing import spoolman_faults as faults

USE = ("PUT", "/spool/*/use")

Play = Callable[[Bench], Awaitable[None]]
PLAYS: dict[str, Play] = {}
"""What takes its time: played together, see the end."""


def played(play: Play) -> Play:
    PLAYS[play.__name__] = play
    return play


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_bench(tmp_path) as bench:
        yield bench


@asynccontextmanager
async def ready_service(bench: Bench) -> AsyncIterator[Client]:
    """The service, once Klipper is known to be ready."""
    async with running(bench.paths) as (app, client):
        await until(lambda: app.printer.state == "ready")
        yield client


async def print_a_bit(bench: Bench, mm: float = 20.0, times: int = 4) -> None:
    for _ in range(times):
        await bench.klipper.extrude(mm)
        await bench.klipper.extrude(-2.0)
        await bench.klipper.extrude(2.0)


async def test_what_was_printed_arrives_exactly(bench: Bench) -> None:
    async with ready_service(bench) as client:
        await choose(client, 1)
        await print_a_bit(bench)
        await bench.accounts_agree()
        assert bench.extruded() == pytest.approx(80)
        assert (await status(client))["pending_reports"] == []
        assert (await status(client))["accounting"] == "motion"


FAULTS: dict[str, Callable[[], faults.Fault]] = {
    "hang before": lambda: faults.HangBeforeApply(times=1),
    "hang after": lambda: faults.HangAfterApply(times=1),
    "answer late": lambda: faults.AnswerLate(seconds=6, times=1),
    "apply late": lambda: faults.ApplyLate(seconds=6, times=1),
    "apply after leaving": lambda: faults.ApplyAfterLeaving(seconds=2, times=1),
    "reset before": lambda: faults.ResetBeforeApply(times=2),
    "reset after": lambda: faults.ResetAfterApply(times=2),
    "cut halfway": lambda: faults.CutHalfway(times=2),
    "drip": lambda: faults.Drip(pause=1.0, times=1),
    "garbage applied": lambda: faults.Garbage(times=2),
    "garbage not applied": lambda: faults.Garbage(times=2, applied=False),
    "not http": lambda: faults.NotHttp(times=2),
    "wrong content type": lambda: faults.WrongContentType(times=2),
    "huge body": lambda: faults.HugeBody(times=1),
    "gateway 502": lambda: faults.GatewayAnswer(status=502, times=2),
    "gateway 504 applied": lambda: faults.GatewayAnswer(status=504, applied=True, times=2),
    "gateway 404": lambda: faults.GatewayAnswer(status=404, times=2),
    "gateway 429": lambda: faults.GatewayAnswer(status=429, retry_after=2, times=1),
    "gateway 503": lambda: faults.GatewayAnswer(status=503, retry_after=2, times=1),
    "redirect": lambda: faults.Redirect(location="http://127.0.0.1:9/", times=2),
}


async def a_report_is_settled(name: str, bench: Bench) -> None:
    fault = FAULTS[name]()
    async with ready_service(bench) as client:
        await choose(client, 1)
        with bench.spoolman.fault(*USE, fault):
            await print_a_bit(bench)
            await until(lambda: fault.struck)
            await print_a_bit(bench)
            await bench.accounts_agree()
        await trio.sleep(2.5)
        await bench.accounts_agree()
        assert (await status(client))["spool_id"] == 1
        assert (await status(client))["open_intents"] == []


PLAYS |= {f"a_report_is_settled: {name}": partial(a_report_is_settled, name) for name in FAULTS}


@played
async def usage_waits_while_spoolman_is_away(bench: Bench) -> None:
    await bench.spoolman.go_away()
    async with ready_service(bench) as client:
        await choose(client, 1)
        await print_a_bit(bench)
        await until(lambda: _pending(client, 80))
        assert not (await status(client))["spoolman_connected"]
        await bench.spoolman.come_back()
        began = trio.current_time()
        await bench.accounts_agree()
        await until(lambda: _connected(client))
        assert trio.current_time() - began < 6
    async with ready_service(bench) as client:
        assert (await status(client))["spool_id"] == 1


async def _pending(client: Client, mm: float) -> bool:
    reports = (await status(client))["pending_reports"]
    return bool(abs(sum(report["filament_used"] for report in reports) - mm) < 1e-6)


async def _connected(client: Client) -> bool:
    return bool((await status(client))["spoolman_connected"])


@played
async def five_kills_in_one_print_lose_nothing(bench: Bench) -> None:
    process, client = await bench.process()
    await client.klippy_ready()
    await choose(client, 1)
    lines = ["G28", "M83"]
    for layer in range(60):
        lines += [f"G1 X{20 + layer} Y20 E3 F3000", "G1 E-1 F1800", f"G1 Y{30 + layer}", "G1 E1 F1800"]
    bench.klipper.speed = 2.0
    await bench.klipper.print_file("kills.gcode", lines)
    for _ in range(5):
        await trio.sleep(1.5)
        await process.kill()
        process, client = await bench.process()
    await bench.klipper.wait_print()
    await bench.accounts_agree()
    assert (await status(client))["unassigned"] == 0
    await process.end()


@played
async def kills_with_ambiguous_answers_lose_and_double_nothing(bench: Bench) -> None:
    process, client = await bench.process()
    await client.klippy_ready()
    await choose(client, 1)
    for number in range(8):
        fault: faults.Fault = (
            faults.HangAfterApply,
            faults.HangBeforeApply,
            faults.ResetAfterApply,
            faults.ApplyAfterLeaving,
        )[number % 4](times=1)
        with bench.spoolman.fault(*USE, fault):
            await bench.klipper.extrude(10.0)
            await fault.wait_struck()
            await process.kill()
        process, client = await bench.process()
    await bench.accounts_agree()
    await process.end()


# --- Klipper's faults


@played
async def a_socket_that_is_cut_again_and_again_loses_nothing(bench: Bench) -> None:
    async with ready_service(bench) as client:
        await choose(client, 1)
        bench.klipper.speed = 5.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(print_a_bit, bench, 40.0, 6)
            for _ in range(30):
                await trio.sleep(0.2)
                await bench.klipper.cut_connections()
        await bench.accounts_agree()
        assert (await status(client))["unassigned"] == 0


@played
async def what_is_printed_while_klipper_cannot_be_reached_is_counted_later(bench: Bench) -> None:
    async with ready_service(bench) as client:
        await choose(client, 1)
        await bench.klipper.extrude(30.0)
        async with bench.klipper.away():
            await bench.klipper.extrude(50.0)
        await bench.accounts_agree()
        await bench.klipper.extrude(1.0)
        await bench.accounts_agree()


@played
async def a_restarted_klipper_counts_from_nothing(bench: Bench) -> None:
    async with ready_service(bench) as client:
        await choose(client, 1)
        for mm in (30.0, 50.0, 10.0):
            await bench.klipper.extrude(mm)
            await bench.accounts_agree()
            await bench.klipper.restart()
            await bench.klipper.extrude(mm)
            await bench.accounts_agree()
        assert bench.extruded() == pytest.approx(180)


@played
async def a_klipper_that_crashed_and_came_back_counts_from_nothing(bench: Bench) -> None:
    async with ready_service(bench) as client:
        await choose(client, 1)
        await bench.klipper.extrude(30.0)
        await bench.accounts_agree()
        bench.klipper.crash()
        await bench.klipper.wait_state("ready")
        await bench.klipper.extrude(40.0)
        await bench.accounts_agree()


@played
async def a_klipper_restarted_past_the_old_mark_while_we_are_down_is_counted_whole(bench: Bench) -> None:
    async with ready_service(bench) as client:
        await choose(client, 1)
        await bench.klipper.extrude(30.0)
        await bench.accounts_agree()
    await bench.klipper.restart()
    await bench.klipper.extrude(45.0)
    async with ready_service(bench):
        await bench.accounts_agree()


@played
async def garbage_and_nonsense_from_klipper_are_not_filament(bench: Bench) -> None:
    async with ready_service(bench) as client:
        await choose(client, 1)
        await bench.klipper.extrude(10.0)
        await bench.accounts_agree()
        moves = {"method": "spoolman_moves_extruder", "params": {"data": None}}
        for data in (
            [[1.0, 1.0, float("nan"), 0.0, [0.0, 0, 0], [1.0, 0, 0]]],
            [[1.0, 1.0, float("inf"), 0.0, [0.0, 0, 0], [1.0, 0, 0]]],
            [[1.0, 1.0, 1e300, 0.0, [0.0, 0, 0], [1.0, 0, 0]]],
            [[1.0, 1.0, 0.0, 0.0, [1e12, 0, 0], [1.0, 0, 0]]],
            [["x"] * 6],
            [[1.0]],
            [None],
            "moves",
            {"a": 1},
        ):
            bench.klipper.send_frame({**moves, "params": {"data": data}})
        bench.klipper.send_raw(b"\xff\x00{]\x03")
        bench.klipper.faults.nan_positions = True
        await trio.sleep(0.3)
        bench.klipper.faults.clear()
        await bench.klipper.extrude(10.0)
        await bench.accounts_agree()


@played
async def twenty_tool_changes_are_exact_with_one_spool_and_with_two(bench: Bench) -> None:
    async with ready_service(bench) as client:
        await choose(client, 1)
        for change in range(20):
            await bench.klipper.extrude(5.0, f"extruder{change % 2 or ''}")
        await bench.accounts_agree()
        assert bench.spoolman.used_mm(1) == pytest.approx(100, abs=1e-4)
        await choose(client, 2, tool=1)
        for change in range(20):
            await bench.klipper.extrude(4.0, f"extruder{change % 2 or ''}")
        await bench.accounts_agree()
        assert bench.spoolman.used_mm(1) == pytest.approx(140, abs=1e-4)
        assert bench.spoolman.used_mm(2) == pytest.approx(40, abs=1e-4)


@played
async def retractions_at_tool_changes_net_to_nothing(bench: Bench) -> None:
    async with ready_service(bench) as client:
        await choose(client, 1)
        await bench.klipper.extrude(10.0, "extruder")
        await bench.klipper.extrude(10.0, "extruder1")
        for change in range(10):
            name = f"extruder{change % 2 or ''}"
            await bench.klipper.extrude(-5.0, name)
            await bench.klipper.extrude(5.0, name)
        await bench.accounts_agree()
        assert bench.reported() == pytest.approx(20, abs=1e-4)


@played
async def a_change_of_spool_splits_where_it_was_made(bench: Bench) -> None:
    async with ready_service(bench) as client:
        await bench.klipper.extrude(7.0)
        for number in range(6):
            await choose(client, 1 + number % 2)
            await bench.klipper.extrude(10.0 + number)
            await bench.klipper.extrude(-3.0)
        await bench.accounts_agree(unassigned=7.0)
        used = [bench.spoolman.used_mm(1), bench.spoolman.used_mm(2)]
        assert used == pytest.approx([10 + 12 + 14 - 6, 11 + 13 + 15 - 9], abs=1e-4)
        assert (await status(client))["unassigned"] == pytest.approx(7.0)


async def test_the_remote_method_sets_and_clears_the_spool(bench: Bench) -> None:
    async with ready_service(bench) as client, client.websocket() as socket:
        for value, spool_id in ((1, 1), ("2", 2), (0, None), (1, 1), ("", None), (2.0, 2), (None, None)):
            await bench.klipper.call_remote("spoolman_set_active_spool", spool_id=value)
            told = (await socket.hear("notify_active_spool_set"))["params"]
            assert told == [{"spool_id": spool_id, "tool": 0}]
            assert (await status(client))["spool_id"] == spool_id
        for nonsense in (True, -1, 1.5, "one", [1], {"id": 1}, 10**30):
            await bench.klipper.call_remote("spoolman_set_active_spool", spool_id=nonsense)
            told = (await socket.hear("notify_gcode_response"))["params"]
            assert told[0].startswith("!! spoolman_set_active_spool")


# --- restarts, other writers, spools that go


@played
async def sigterm_with_usage_pending_loses_nothing(bench: Bench) -> None:
    process, client = await bench.process()
    await client.klippy_ready()
    await choose(client, 1)
    await bench.spoolman.go_away()
    await bench.klipper.extrude(25.0)
    await until(lambda: _pending(client, 25.0))
    assert await process.end() < 2.0
    await bench.klipper.extrude(25.0)
    await bench.spoolman.come_back()
    process, client = await bench.process()
    await bench.accounts_agree()
    assert (await status(client))["spool_id"] == 1
    await process.end()


@played
async def two_printers_on_one_spool_are_both_exact(bench: Bench) -> None:
    async with opened_bench(bench.paths.root / "second", speed=20.0) as other:
        config = other.paths.config / "moonraker.conf"
        config.write_text(config.read_text().replace(other.spoolman.url, bench.spoolman.url))
        async with ready_service(bench) as one, ready_service(other) as two:
            await choose(one, 1)
            await choose(two, 1)
            fault = faults.ResetAfterApply(times=4)
            with (
                bench.spoolman.fault(*USE, fault),
                bench.spoolman.fault(*USE, faults.ResetBeforeApply(times=8, skip=4)),
            ):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(print_a_bit, bench, 10.0, 8)
                    nursery.start_soon(print_a_bit, other, 10.0, 8)
                await until(lambda: abs(bench.reported() - bench.extruded() - other.extruded()) < 1e-4, 40)
            await trio.sleep(3)
            assert bench.reported() == pytest.approx(bench.extruded() + other.extruded(), abs=1e-4)
            assert bench.extruded() == pytest.approx(80)


async def test_usage_of_a_deleted_spool_waits_for_the_user(bench: Bench) -> None:
    async with ready_service(bench) as client, client.websocket() as socket:
        await choose(client, 2)
        assert (await socket.hear("notify_active_spool_set"))["params"][0]["spool_id"] == 2
        await bench.klipper.extrude(10.0)
        await bench.accounts_agree()
        with bench.spoolman.fault("PUT", "*", faults.GatewayAnswer(status=503)):
            await bench.klipper.extrude(15.0)
            await until(lambda: _pending_or_open(client, 15.0))
            bench.spoolman.delete_spool(2)
            assert (await socket.hear("notify_active_spool_set"))["params"][0]["spool_id"] is None
        found = await status(client)
        assert found["spool_id"] is None
        assert found["orphaned"] == [{"spool_id": 2, "filament_used": pytest.approx(15.0, abs=1e-5)}]
        answer = await client.post("/server/spoolman/orphaned", json={"spool_id": 2, "to": 1})
        assert answer.json()["result"] == {"orphaned": []}
        await bench.accounts_agree()
        assert bench.spoolman.used_mm(1) == pytest.approx(15.0, abs=1e-4)


async def _pending_or_open(client: Client, mm: float) -> bool:
    found = await status(client)
    amounts = [report["filament_used"] for report in found["pending_reports"] + found["open_intents"]]
    return bool(abs(sum(amounts) - mm) < 1e-4)


async def on_a_bench(play: Play, root: Path) -> None:
    async with opened_bench(root) as bench:
        await play(bench)


@pytest.fixture(scope="module")
def errors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong in each play."""
    plays = {name: partial(on_a_bench, play) for name, play in PLAYS.items()}
    return play_asked(plays, request, tmp_path_factory.mktemp("filament"))


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAYS)
def test_every_millimetre_is_counted_once(errors: dict[str, str], name: str) -> None:
    assert not errors[name], errors[name]
