"""Scenarios in which Spoolman is no use for a while: soon after its return it has everything.

The runner shows how soon: most often within one to three seconds.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import trio

from tests.integration.accounting.door import Door
from tests.integration.accounting.house import USE, House
from tests.integration.accounting.scenario import scenario
from trio_moon.testing import spoolman_faults as faults
from trio_moon.testing.spoolman_messages import Answer
from trio_moon.testing.spoolman_wire import Exchange

RECOVERED_WITHIN = 12.0
"""On a slow and busy machine."""
FOR_A_WHILE = (2.0, 9.0)
REFUSAL = Answer.of_json({"detail": [{"msg": "no"}]}, 422)

Trouble = Callable[[House], AbstractAsyncContextManager[None]]


@dataclass(kw_only=True, eq=False)
class Frozen(faults.Fault):
    """Does nothing for a while, and then all that it was asked, whether or not anybody still waits for it."""

    thawed: trio.Event = field(default_factory=trio.Event)

    async def strike(self, exchange: Exchange) -> None:
        await self.thawed.wait()
        await exchange.reply(exchange.apply())


def reports(fault: Callable[[], faults.Fault]) -> Trouble:
    """Reports go wrong, and nothing else."""
    return _struck(*USE, fault)


def everything(fault: Callable[[], faults.Fault]) -> Trouble:
    """Every request goes wrong; the websocket stays if it isn't begun anew."""
    return _struck("*", "*", fault)


def _struck(method: str, path: str, fault: Callable[[], faults.Fault]) -> Trouble:
    @asynccontextmanager
    async def trouble(house: House) -> AsyncIterator[None]:
        with house.spoolman.fault(method, path, placed := fault()):
            yield
        if isinstance(placed, Frozen):
            placed.thawed.set()

    return trouble


@asynccontextmanager
async def gone(house: House) -> AsyncIterator[None]:
    await house.spoolman.go_away()
    yield
    await house.spoolman.come_back()


@asynccontextmanager
async def gone_with_a_report(house: House) -> AsyncIterator[None]:
    async with house.struck(faults.HangBeforeApply(times=1), 3), gone(house):
        yield


@asynccontextmanager
async def everything_and_the_websocket(house: House) -> AsyncIterator[None]:
    with house.spoolman.fault("WS", "*", faults.CloseAtOnce(times=1)):
        for live in tuple(house.spoolman.live):
            live.close()
    async with everything(faults.HangBeforeApply)(house):
        yield


@asynccontextmanager
async def reports_and_the_websocket_is_mute(house: House) -> AsyncIterator[None]:
    with house.spoolman.fault("WS", "*", faults.Mute(times=1)):
        for live in tuple(house.spoolman.live):
            live.close()
        with trio.fail_after(30):
            await house.spoolman.wait_until(lambda: len(house.spoolman.live) == 1)
    async with reports(faults.ResetAfterApply)(house):
        yield


async def play(house: House, trouble: Trouble) -> None:
    """Use filament before, while and after Spoolman is no use."""
    async with trouble(house):
        await house.printer.extrude(20)
        await trio.sleep(random.uniform(*FOR_A_WHILE))
        await house.printer.extrude(5)
    await house.settle()
    assert house.recovered_after < RECOVERED_WITHIN


def recovery(name: str, trouble: Trouble, *, telling: bool = False) -> None:
    """Put a trouble on the list."""

    async def returns(house: House) -> None:
        await play(house, trouble)

    returns.__name__ = f"returns_after_{name}"
    scenario(telling=telling)(returns)


recovery("everything_hung", everything(faults.HangBeforeApply), telling=True)
recovery("everything_hung_once_done", everything(faults.HangAfterApply))
recovery("everything_hung_and_the_websocket_closed", everything_and_the_websocket)
recovery("it_was_frozen", everything(Frozen), telling=True)
recovery("everything_dripped", everything(lambda: faults.Drip(pause=0.5)))
recovery("everything_was_reset", everything(faults.ResetBeforeApply))
recovery("everything_was_502", everything(lambda: faults.GatewayAnswer(status=502)))
recovery("everything_was_404", everything(lambda: faults.GatewayAnswer(status=404)))
recovery("everything_was_503_for_a_second", everything(lambda: faults.GatewayAnswer(status=503, retry_after=1)))
recovery("everything_was_redirected", everything(lambda: faults.Redirect(location="http://127.0.0.1:9/")))
recovery("reports_hung", reports(faults.HangBeforeApply), telling=True)
recovery("reports_hung_once_done", reports(faults.HangAfterApply))
recovery("reports_were_frozen", reports(Frozen))
recovery("reports_were_reset", reports(faults.ResetBeforeApply))
recovery("reports_were_reset_once_done", reports(faults.ResetAfterApply))
recovery("reports_were_404", reports(lambda: faults.GatewayAnswer(status=404)))
recovery("reports_were_429_for_a_second", reports(lambda: faults.GatewayAnswer(status=429, retry_after=1)))
recovery("reports_were_refused", reports(lambda: faults.AnswerInstead(answer=REFUSAL)), telling=True)
recovery("reports_were_reset_and_the_websocket_was_mute", reports_and_the_websocket_is_mute)
recovery("it_was_gone", gone)
recovery("it_was_gone_with_a_report", gone_with_a_report, telling=True)


@scenario(begins=False)
async def returns_after_its_plug_was_pulled(house: House) -> None:
    """Nobody answers who wants to connect, and open connections are silent."""
    door = Door(house.spoolman.port)
    await house.nursery.start(door.run)
    house.printer.use_spoolman(f"http://127.0.0.1:{door.port}")

    @asynccontextmanager
    async def unplugged(house: House) -> AsyncIterator[None]:
        door.vanish()
        yield
        door.open()

    await house.begin()
    await play(house, unplugged)
