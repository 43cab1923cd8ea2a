from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from trio_moon.kit.supervise import FAILURES_UNTIL_FAILED, Supervisor


class Fragile:
    """Runs `good_for` seconds, then breaks, as often as asked."""

    def __init__(self, good_for: float = 1.0, breaks: float = float("inf")) -> None:
        self.good_for, self.breaks, self.starts = good_for, breaks, 0

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        self.starts += 1
        task_status.started("here")
        await trio.sleep(self.good_for if self.starts <= self.breaks else float("inf"))
        raise ValueError(f"bug number {self.starts}")

    def vitals(self) -> dict[str, object]:
        return {"queue": 3}


async def test_a_service_that_breaks_is_restarted_and_its_error_is_seen(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    supervisor, service = Supervisor(), Fragile(breaks=2)
    assert await nursery.start(supervisor.supervise, "rooms", "fragile", service) == "here"
    await trio.sleep(20)
    (record,) = supervisor.records
    assert service.starts == 3
    assert record.as_wire() | {"since": 0} == {
        "name": "fragile",
        "branch": "rooms",
        "state": "running",
        "since": 0,
        "restarts": 2,
        "last_error": "ValueError: bug number 2",
        "vitals": {"queue": 3},
    }


async def test_pauses_grow_and_a_service_that_never_recovers_counts_as_failed(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    supervisor, service = Supervisor(), Fragile(good_for=0)
    await nursery.start(supervisor.supervise, "rooms", "fragile", service)
    await trio.sleep(3600)
    assert 100 < service.starts < 130
    assert [record.name for record in supervisor.failed()] == ["fragile"]
    assert supervisor.records[0].as_wire()["state"] == "failed"


async def test_failures_long_ago_are_forgiven(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    supervisor, service = Supervisor(), Fragile(good_for=100)
    await nursery.start(supervisor.supervise, "rooms", "fragile", service)
    await trio.sleep(100 * (FAILURES_UNTIL_FAILED + 5))
    assert service.starts > FAILURES_UNTIL_FAILED
    assert supervisor.failed() == ()


async def test_a_service_that_ends_unasked_is_restarted(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    class Short:
        starts = 0

        async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            Short.starts += 1
            task_status.started()

    await nursery.start(Supervisor().supervise, "rooms", "short", Short())
    await trio.sleep(2)
    assert Short.starts >= 2


async def test_an_error_before_the_first_start_is_fatal() -> None:
    class Unlucky:
        async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
            raise OSError("the port is taken")

    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="taken"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(Supervisor().supervise, "front", "web", Unlucky())


async def test_a_service_that_is_not_vital_is_tried_again_and_keeps_nobody_waiting(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    class Late:
        starts = 0

        async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
            self.starts += 1
            if self.starts < 3:
                raise ValueError("the books are damaged")
            task_status.started()
            await trio.sleep_forever()

    supervisor, late = Supervisor(), Late()
    await nursery.start(partial(supervisor.supervise, vital=False), "rooms", "late", late)
    assert late.starts == 1
    await trio.sleep(10)
    (record,) = supervisor.records
    assert (record.state, record.restarts, record.last_error) == ("running", 2, "ValueError: the books are damaged")


async def test_an_error_while_stopping_is_told_and_stops_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy:
        async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
            async with trio.open_nursery() as inner:
                inner.start_soon(self.stumble)
                task_status.started()
                await trio.sleep_forever()

        async def stumble(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("stumbled")

    supervisor = Supervisor()
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.supervise, "rooms", "clumsy", Clumsy())
        nursery.cancel_scope.cancel()
    assert supervisor.records[0].state == "stopped"
    assert "failed while stopping" in caplog.text
