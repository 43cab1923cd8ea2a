from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_moon.kit.pending import Pending


async def test_many_may_wait_and_listen_for_one_value(nursery: trio.Nursery) -> None:
    pending: Pending[int] = Pending()
    heard: list[int] = []

    async def wait() -> None:
        heard.append(await pending)

    for _ in range(3):
        nursery.start_soon(wait)
        pending.then(lambda: heard.append(-pending.result()))
    await trio.testing.wait_all_tasks_blocked()
    pending.settle(7)
    pending.settle(8)
    await trio.testing.wait_all_tasks_blocked()
    pending.then(lambda: heard.append(0))
    assert heard == [-7, -7, -7, 7, 7, 7, 0]
    assert await pending == 7


async def test_a_failure_is_raised_to_everybody() -> None:
    pending: Pending[int] = Pending()
    pending.fail(ValueError("no"))
    pending.settle(1)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await pending


async def test_a_listener_that_fails_costs_no_other_the_value(caplog: pytest.LogCaptureFixture) -> None:
    pending: Pending[int] = Pending()
    told: list[int] = []
    pending.then(lambda: told.append(1 // 0))
    pending.then(lambda: told.append(pending.result()))
    pending.settle(3)
    assert told == [3]
    assert "ZeroDivisionError" in caplog.text
