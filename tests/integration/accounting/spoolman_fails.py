"""Scenarios in which Spoolman, or what stands before it, misbehaves."""

from __future__ import annotations

import random

import trio

from tests.integration.accounting.house import USE, House
from tests.integration.accounting.scenario import scenario
from trio_moon.testing import spoolman_faults as faults
from trio_moon.testing.spoolman_messages import Answer


async def strike(house: House, fault: faults.Fault, *, times: int = 1, everywhere: bool = False) -> None:
    """Let so many reports be struck while filament is used."""
    fault.times = times
    house.spoolman.add_fault("*" if everywhere else "PUT", "*" if everywhere else "/spool/*/use", fault)
    for number in range(times):
        await house.extrude_until_struck(fault, 12.3, number + 1)
    await house.printer.extrude(7.7)


@scenario(telling=True)
async def spoolman_is_down_for_a_while(house: House) -> None:
    await house.spoolman.go_away()
    await house.printer.extrude(50)
    await trio.sleep(5)
    await house.printer.extrude(50)
    await house.spoolman.come_back()
    await house.settle()
    assert house.recovered_after < 6


@scenario()
async def spoolman_restarts_ten_times(house: House) -> None:
    async with house.printing():
        for number in range(10):
            await trio.sleep(random.uniform(0.1, 1.0))
            await house.spoolman.go_away()
            await trio.sleep(0.1 * number)
            await house.spoolman.come_back()


@scenario()
async def spoolman_hangs_before_applying(house: House) -> None:
    await strike(house, faults.HangBeforeApply())


@scenario()
async def spoolman_hangs_after_applying(house: House) -> None:
    await strike(house, faults.HangAfterApply())


@scenario()
async def spoolman_resets_before_applying(house: House) -> None:
    await strike(house, faults.ResetBeforeApply(), times=3)


@scenario()
async def spoolman_resets_after_applying(house: House) -> None:
    await strike(house, faults.ResetAfterApply(), times=3)


@scenario()
async def the_answer_is_late(house: House) -> None:
    await strike(house, faults.AnswerLate(seconds=3))


@scenario()
async def the_answer_is_later_than_patience(house: House) -> None:
    await strike(house, faults.AnswerLate(seconds=8))


@scenario()
async def applied_five_seconds_late(house: House) -> None:
    await strike(house, fault := faults.ApplyLate(seconds=5))
    await watch_late(house, fault.seconds)


@scenario()
async def applied_twenty_seconds_late(house: House) -> None:
    await strike(house, fault := faults.ApplyLate(seconds=20))
    await watch_late(house, fault.seconds)


@scenario(telling=True)
async def applied_five_seconds_after_we_left(house: House) -> None:
    await strike(house, fault := faults.ApplyAfterLeaving(seconds=5))
    await watch_late(house, fault.seconds)


@scenario(longest=900)
async def applied_twenty_seconds_after_we_left(house: House) -> None:
    await strike(house, fault := faults.ApplyAfterLeaving(seconds=20))
    await watch_late(house, fault.seconds)


@scenario()
async def three_reports_applied_late(house: House) -> None:
    await strike(house, fault := faults.ApplyAfterLeaving(seconds=6), times=3)
    await watch_late(house, fault.seconds)


@scenario()
async def late_and_the_websocket_is_dead(house: House) -> None:
    with house.spoolman.fault("WS", "*", faults.CloseAtOnce()):
        await house.spoolman.go_away()
        await house.spoolman.come_back()
        async with house.struck(faults.ApplyAfterLeaving(seconds=5, times=1), 12.3):
            await house.printer.extrude(4.1)
            await trio.sleep(12)
            await house.printer.extrude(5.9)
            await trio.sleep(6)
            await house.printer.extrude(20)
            await house.settle()


@scenario()
async def late_over_a_kill(house: House) -> None:
    """A report is applied after the service that sent it was killed, and its successor took it back."""
    async with house.struck(faults.ApplyAfterLeaving(seconds=8, times=1), 12.3):
        await house.printer.kill()
        await house.printer.start()
        await house.printer.extrude(4)
        await trio.sleep(9)
        await house.printer.extrude(30)
        await house.settle()


@scenario()
async def late_over_a_kill_when_the_first_look_is_refused(house: House) -> None:
    """It is applied while nobody of us runs."""
    async with house.struck(faults.ApplyAfterLeaving(seconds=3, times=1), 12.3):
        await house.printer.kill()
        await trio.sleep(4)
        await house.printer.start()
        await house.printer.extrude(4)
        await house.settle()


async def watch_late(house: House, seconds: float) -> None:
    """Wait until what is late must have come, and use some more."""
    await house.settle()
    await trio.sleep(seconds + 2)
    await house.printer.extrude(30)


@scenario()
async def the_answer_is_cut_halfway(house: House) -> None:
    await strike(house, faults.CutHalfway(), times=2)


@scenario()
async def the_answer_drips(house: House) -> None:
    await strike(house, faults.Drip(pause=0.1))


@scenario()
async def everything_drips(house: House) -> None:
    await strike(house, faults.Drip(pause=0.02), times=4, everywhere=True)


@scenario()
async def gateway_404(house: House) -> None:
    await strike(house, faults.GatewayAnswer(status=404), times=2)
    await house.settle()
    assert (await house.printer.status())["spool_id"] == 1


@scenario()
async def gateway_404_for_everything(house: House) -> None:
    with house.spoolman.fault("*", "*", faults.GatewayAnswer(status=404)):
        await house.printer.extrude(33)
        await trio.sleep(6)
    await house.settle()
    assert (await house.printer.status())["spool_id"] == 1
    assert house.charged_to(1) > 40


@scenario(telling=True)
async def gateway_404_after_applying(house: House) -> None:
    await strike(house, faults.GatewayAnswer(status=404, applied=True), times=2)


@scenario()
async def gateway_502(house: House) -> None:
    await strike(house, faults.GatewayAnswer(status=502), times=2)


@scenario()
async def gateway_502_after_applying(house: House) -> None:
    await strike(house, faults.GatewayAnswer(status=502, applied=True), times=3)


@scenario()
async def gateway_503_after_applying_with_retry_after(house: House) -> None:
    await strike(house, faults.GatewayAnswer(status=503, retry_after=3, applied=True), times=2)


@scenario()
async def gateway_429_with_retry_after(house: House) -> None:
    await strike(house, faults.GatewayAnswer(status=429, retry_after=2), times=2)


@scenario()
async def gateway_429_after_applying(house: House) -> None:
    """A gateway that counts answers, not requests."""
    await strike(house, faults.GatewayAnswer(status=429, retry_after="2", applied=True), times=2)


@scenario()
async def gateway_401_for_a_while(house: House) -> None:
    house.spoolman.basic_auth = ("me", "secret")
    await house.printer.extrude(33)
    await trio.sleep(4)
    house.spoolman.basic_auth = None


@scenario()
async def redirected(house: House) -> None:
    await strike(house, faults.Redirect(location="http://127.0.0.1:9/"), times=2)


@scenario()
async def everything_redirected_to_itself(house: House) -> None:
    with house.spoolman.fault(
        "*", "*", faults.Redirect(location=house.spoolman.url + "/api/v1/spool/1/use", status=308)
    ):
        await house.printer.extrude(33)
        await trio.sleep(4)


@scenario()
async def garbage_instead_of_an_answer(house: House) -> None:
    await strike(house, faults.Garbage(), times=2)


@scenario()
async def garbage_for_everything(house: House) -> None:
    await strike(house, faults.Garbage(applied=False), times=8, everywhere=True)


@scenario()
async def garbage_bytes(house: House) -> None:
    await strike(house, faults.NotHttp(), times=2)


@scenario()
async def wrong_content_type(house: House) -> None:
    await strike(house, faults.WrongContentType(), times=2)


@scenario()
async def another_spool_in_the_answer(house: House) -> None:
    answer = Answer.of_json(house.spoolman.spools[2].as_wire())
    await strike(house, faults.AnswerInstead(answer=answer, applied=True), times=2)


@scenario()
async def an_old_answer_of_a_cache(house: House) -> None:
    """A cache answers readings with an old state, for a while."""
    old = Answer.of_json(house.spoolman.spools[1].as_wire())
    with house.spoolman.fault("GET", "/spool/1", faults.AnswerInstead(answer=old, times=3)):
        for _ in range(6):
            await house.printer.extrude(5)
            await trio.sleep(0.7)


@scenario()
async def refused_with_422(house: House) -> None:
    answer = Answer.of_json({"detail": [{"msg": "no"}]}, status=422)
    with house.spoolman.fault(*USE, faults.AnswerInstead(answer=answer)):
        await house.printer.extrude(33)
        await house.until(lambda status: bool(status["parked"]))
        await house.settle(parked=True)


@scenario(telling=True)
async def others_write_the_same_amounts_at_the_same_time(house: House) -> None:
    fault = faults.HangAfterApply(times=2)
    with house.spoolman.fault(*USE, fault):
        for _ in range(8):
            await house.printer.extrude(5)
            house.spoolman.other_writer_uses(1, 5)
            await trio.sleep(0.6)
        with trio.fail_after(60):
            await fault.wait_struck(2)
        house.spoolman.other_writer_uses(1, 5)
        await house.settle()


@scenario()
async def others_write_while_a_report_is_lost(house: House) -> None:
    """The report that never arrives is as long as what another printer uses just then."""
    fault = faults.ResetBeforeApply(times=3)
    with house.spoolman.fault(*USE, fault):
        for number in range(1, 4):
            await house.extrude_until_struck(fault, 12.5, number)
            house.spoolman.other_writer_uses(1, 12.5)
            await trio.sleep(1)
        await house.settle()


@scenario()
async def others_write_while_a_report_is_lost_and_nobody_tells(house: House) -> None:
    """As before, but the websocket can't be had: readings alone must do."""
    with house.spoolman.fault("WS", "*", faults.GatewayAnswer(status=403)):
        await house.spoolman.go_away()
        await house.spoolman.come_back()
        for fault in (faults.ResetBeforeApply(times=1), faults.ResetAfterApply(times=1)):
            async with house.struck(fault):
                house.spoolman.other_writer_uses(1, 12.5)
                await house.settle()


@scenario()
async def somebody_corrects_the_spool(house: House) -> None:
    """In Spoolman's own pages the used weight is set anew while a report is lost."""
    for fault in (faults.ResetBeforeApply(times=1), faults.ResetAfterApply(times=1)):
        async with house.struck(fault):
            house.spoolman._store.change_spool(1, {"used_weight": 100.0})
            await house.settle()


@scenario()
async def the_websocket_talks_nonsense(house: House) -> None:
    for fault in (
        faults.GarbageFrames(times=1),
        faults.NonJsonText(times=1),
        faults.Mute(times=1),
        faults.CloseAtOnce(times=2),
    ):
        with house.spoolman.fault("WS", "*", fault):
            for live in tuple(house.spoolman.live):
                live.close()
            with house.spoolman.fault(*USE, faults.ResetAfterApply(times=1)), trio.move_on_after(8):
                await house.printer.extrude(11.1)
                await fault.wait_struck()


@scenario()
async def the_spool_is_deleted(house: House) -> None:
    house.spoolman.delete_spool(1)
    async with house.printing():
        await house.until(lambda status: status["spool_id"] is None)


@scenario()
async def the_spool_is_deleted_while_we_are_down(house: House) -> None:
    await house.spoolman.go_away()
    await house.printer.extrude(20)
    await house.printer.end()
    await house.printer.extrude(20)
    house.spoolman.delete_spool(1)
    await house.spoolman.come_back()
    await house.printer.start()
    await house.until(lambda status: status["spool_id"] is None)
    await house.settle()
    orphaned = (await house.printer.status())["orphaned"]
    assert abs(sum(each["filament_used"] for each in orphaned) - 40) < 1e-4


@scenario()
async def the_spool_is_deleted_while_its_report_hangs(house: House) -> None:
    async with house.struck(faults.HangAfterApply(times=1), 20):
        house.spoolman.delete_spool(1)
        await house.until(lambda status: status["spool_id"] is None)


@scenario()
async def orphaned_usage_is_given_to_another_spool(house: House) -> None:
    with house.spoolman.fault(*USE, faults.GatewayAnswer(status=502)):
        await house.printer.extrude(20)
        house.spoolman.delete_spool(1)
        await house.until(lambda status: bool(status["orphaned"]))
    answer = await house.printer.client.post("/server/spoolman/orphaned", json={"spool_id": 1, "to": 2})
    assert answer.status_code == 200
    await house.settle()
    assert abs(house.charged_to(2) - 20) < 1e-4


@scenario()
async def the_spool_is_archived(house: House) -> None:
    house.spoolman._store.change_spool(1, {"archived": True})
    await house.printer.extrude(20)


@scenario()
async def chaos(house: House) -> None:
    """Every fault in random order while filament is used and another printer uses the same spool."""
    kinds = [
        faults.HangBeforeApply,
        faults.HangAfterApply,
        faults.ResetBeforeApply,
        faults.ResetAfterApply,
        faults.CutHalfway,
        lambda **k: faults.GatewayAnswer(status=502, applied=random.random() < 0.5, **k),
        lambda **k: faults.ApplyAfterLeaving(seconds=random.uniform(0, 3), **k),
        lambda **k: faults.ApplyLate(seconds=random.uniform(0, 6), **k),
        lambda **k: faults.AnswerLate(seconds=random.uniform(0, 6), **k),
        faults.Garbage,
    ]
    async with house.printing():
        for _ in range(12):
            house.spoolman.add_fault(*USE, random.choice(kinds)(times=1))  # type: ignore[operator]
            await trio.sleep(random.uniform(0.2, 2))
            house.spoolman.other_writer_uses(1, random.choice((3.0, 6.0, 5.5)))
    await trio.sleep(10)
    house.spoolman.clear_faults()
    await house.printer.extrude(100)
