from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import trio
import trio.testing

from trio_moon.kit.connect import LinkState, Pauses, PeerLost, keep_connected

logger = logging.getLogger("test")


def test_pauses_double_up_to_the_longest() -> None:
    pauses = Pauses(first=0.1, longest=1.0)
    assert [pauses(n) for n in (1, 2, 3, 4, 5, 1000)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_only_shortens() -> None:
    pauses = Pauses(first=1.0, longest=30.0, jitter=0.25)
    assert all(0.75 <= pauses(1) <= 1.0 for _ in range(100))


async def test_a_peer_that_is_away_is_tried_with_growing_pauses_and_logged_once(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tries: list[float] = []
    link = LinkState()

    async def session(connected: Callable[[], None]) -> None:
        tries.append(trio.current_time())
        raise PeerLost("nobody there")

    async def keep() -> None:
        await keep_connected(session, link=link, pauses=Pauses(1, 4), logger=logger, peer="Peer")

    start = trio.current_time()
    nursery.start_soon(keep)
    await trio.sleep(12)
    assert [round(at - start) for at in tries] == [0, 1, 3, 7, 11]
    assert not link.connected
    assert link.reason == "nobody there"
    assert [record.message for record in caplog.records] == ["Peer: away (nobody there)"]


async def test_success_starts_the_pauses_anew_and_both_changes_are_logged(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    link = LinkState()
    tries: list[float] = []
    seen: list[bool] = []

    async def session(connected: Callable[[], None]) -> None:
        tries.append(trio.current_time())
        if len(tries) == 3:
            connected()
            seen.append(link.connected)
            await trio.sleep(10)
            raise PeerLost("it left")
        raise PeerLost("nobody there")

    async def keep() -> None:
        await keep_connected(session, link=link, pauses=Pauses(1, 4), logger=logger, peer="Peer")

    start = trio.current_time()
    nursery.start_soon(keep)
    await trio.sleep(15)
    assert [round(at - start) for at in tries] == [0, 1, 3, 14]
    assert seen == [True]
    assert [record.message for record in caplog.records][:3] == [
        "Peer: away (nobody there)",
        "Peer: connected",
        "Peer: away (it left)",
    ]


async def test_a_bug_is_not_taken_for_an_absence() -> None:
    async def session(connected: Callable[[], None]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await keep_connected(session, link=LinkState(), pauses=Pauses(1, 4), logger=logger, peer="Peer")
