from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from tests.until import until
from trio_moon.kit.readable import whenever_readable

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A socket to read, and one to write into it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@pytest.fixture(params=["in Trio's place", "by a task"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways of reading: a second epoll in the process leaves only the task's."""
    if request.param == "by a task":
        with select.epoll():
            yield request.param
    else:
        yield request.param


class Steps(trio.abc.Instrument):
    """Counts how often a task runs."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.of[task.name] = self.of.get(task.name, 0) + 1


async def test_what_comes_is_read_until_the_reader_has_enough(way: str, pair: Pair) -> None:
    ours, theirs = pair
    came: list[bytes] = []

    def read() -> bool:
        came.append(ours.recv(100))
        return came[-1] == b"enough"

    async with trio.open_nursery() as nursery:
        theirs.send(b"before ")
        nursery.start_soon(whenever_readable, ours, read)
        await until(lambda: b"".join(came) == b"before ")
        theirs.send(b"after ")
        await until(lambda: b"".join(came) == b"before after ")
        theirs.send(b"enough")
    theirs.send(b"more")
    await trio.sleep(0.02)
    assert b"".join(came) == b"before after enough"


async def test_what_the_reader_raises_comes_to_the_task(way: str, pair: Pair) -> None:
    ours, theirs = pair

    def read() -> bool:
        raise ValueError(ours.recv(10).decode())

    theirs.send(b"hello")
    with pytest.raises(ValueError, match="hello"):
        await whenever_readable(ours, read)


async def test_a_cancelled_task_reads_no_more(way: str, pair: Pair) -> None:
    ours, theirs = pair
    with trio.move_on_after(0.02):
        await whenever_readable(ours, lambda: pytest.fail("nothing has come yet"))
    theirs.send(b"late")
    await trio.sleep(0.02)
    assert ours.recv(10) == b"late"


async def test_a_reader_may_cancel_its_own_task_and_others(way: str) -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    scope = trio.CancelScope()
    reads = 0

    def read() -> bool:
        nonlocal reads
        reads += 1
        scope.cancel()
        return False

    try:
        with scope:
            async with trio.open_nursery() as nursery:
                for ours, theirs in pairs:
                    ours.setblocking(False)
                    theirs.send(b"to all at once")
                    nursery.start_soon(whenever_readable, ours, read)
        assert scope.cancelled_caught
        assert reads >= 1
    finally:
        for ours, theirs in pairs:
            ours.close()
            theirs.close()


async def test_a_reader_may_cancel_a_task_that_trio_was_about_to_wake(way: str, pair: Pair) -> None:
    ours, theirs = pair
    left, right = socket.socketpair()
    scope, cancelled = trio.CancelScope(), trio.Event()

    def read() -> bool:
        ours.recv(10)
        scope.cancel()
        return False

    async def wait_as_trio_does() -> None:
        with scope:
            await trio.lowlevel.wait_readable(left)
        cancelled.set()

    with left, right:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(whenever_readable, ours, read)
            nursery.start_soon(wait_as_trio_does)
            await trio.sleep(0.01)
            theirs.send(b"x")
            right.send(b"x")  # both at once
            with trio.fail_after(5) as patience:
                await cancelled.wait()
            assert patience.deadline - trio.current_time() > 0  # not because Trio's wait was over
            nursery.cancel_scope.cancel()


async def test_a_reader_may_close_its_socket(way: str, pair: Pair) -> None:
    ours, theirs = pair

    def read() -> bool:
        ours.close()
        return True

    theirs.send(b"x")
    with trio.fail_after(5):
        await whenever_readable(ours, read)
        assert await trio.to_thread.run_sync(lambda: "Trio goes on") == "Trio goes on"


async def test_a_task_that_the_reader_wakes_runs_at_once(way: str, pair: Pair, nursery: trio.Nursery) -> None:
    ours, theirs = pair
    woken, started = trio.Event(), trio.Event()

    def read() -> bool:
        ours.recv(10)
        woken.set()
        nursery.start_soon(set_started)
        return False

    async def set_started() -> None:
        started.set()

    nursery.start_soon(whenever_readable, ours, read)
    await trio.sleep(0.01)
    await trio.to_thread.run_sync(theirs.send, b"x")
    with trio.fail_after(5):
        await woken.wait()
        await started.wait()
    nursery.cancel_scope.cancel()


async def test_deadlines_hold_while_sockets_are_busy_and_while_they_are_silent(
    way: str, pair: Pair, nursery: trio.Nursery
) -> None:
    ours, theirs = pair
    reads = 0

    def read() -> bool:
        nonlocal reads
        theirs.send(ours.recv(10))  # there is always something to read
        reads += 1
        return False

    nursery.start_soon(whenever_readable, ours, read)
    start = trio.current_time()
    await trio.sleep(0.1)
    theirs.send(b"x")
    await trio.sleep(0.1)
    assert 0.2 <= trio.current_time() - start < 2
    assert reads > 100
    nursery.cancel_scope.cancel()


async def test_threads_and_other_sockets_wake_their_tasks_meanwhile(
    way: str, pair: Pair, nursery: trio.Nursery
) -> None:
    nursery.start_soon(whenever_readable, pair[0], lambda: False)
    left, right = socket.socketpair()
    with left, right, trio.fail_after(5):
        assert await trio.to_thread.run_sync(lambda: "from a thread") == "from a thread"
        nursery.start_soon(trio.to_thread.run_sync, lambda: (select.select([], [], [], 0.02), right.send(b"to a task")))
        await trio.lowlevel.wait_readable(left)
    nursery.cancel_scope.cancel()


async def test_reading_in_trios_place_runs_no_task(pair: Pair, nursery: trio.Nursery) -> None:
    ours, theirs = pair
    came: list[bytes] = []

    def read() -> bool:
        came.append(ours.recv(100))
        return False

    def send_twenty(steps: Steps) -> int:
        """In a thread, while the run of Trio is asleep; returns how many steps tasks made meanwhile."""
        before = sum(steps.of.values())
        for _ in range(20):
            count = len(came)
            theirs.send(b"x")
            while len(came) == count:
                select.select([], [], [], 0.001)
        return sum(steps.of.values()) - before

    nursery.start_soon(whenever_readable, ours, read)
    await trio.sleep(0.01)
    trio.lowlevel.add_instrument(steps := Steps())
    with trio.fail_after(10):
        made = await trio.to_thread.run_sync(send_twenty, steps)
    assert made <= 2  # the thread's own beginning
    assert len(came) == 20
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("why_not", [FileNotFoundError, PermissionError])
async def test_a_process_that_may_not_look_at_itself_reads_by_a_task(
    why_not: type[OSError], pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pair
    looks = 0

    def refuse(path: str) -> list[str]:
        nonlocal looks
        looks += 1
        raise why_not(path)

    monkeypatch.setattr(os, "listdir", refuse)
    for _ in range(3):
        theirs.send(b"x")
        await whenever_readable(ours, lambda: ours.recv(1) == b"x")
    assert looks == 1


async def test_a_jumping_clock_still_jumps(
    pair: Pair, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    nursery.start_soon(whenever_readable, pair[0], lambda: False)
    await trio.sleep(1000)
    assert trio.current_time() >= 1000
    nursery.cancel_scope.cancel()


def test_each_run_of_trio_has_its_own_and_leaves_nothing() -> None:
    ours, theirs = socket.socketpair()

    async def read_one() -> None:
        theirs.send(b"x")
        await whenever_readable(ours, lambda: ours.recv(1) == b"x")

    with ours, theirs:
        trio.run(read_one)
        with select.epoll() as epoll:
            free = epoll.fileno()
        for _ in range(3):
            trio.run(read_one)
        with select.epoll() as epoll:
            assert epoll.fileno() == free
