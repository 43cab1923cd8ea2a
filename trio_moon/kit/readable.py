"""Sockets that are read without waking a task.

Waking a task takes Trio's loop some fifteen functions: 100 to 130 µs on an idle machine, whose caches are cold, which
is more than most of what arrives costs to handle. So the sockets on which most arrives (Klipper's, the websockets and
plain HTTP) are read inside Trio's own wait for I/O: an instrument, which Trio calls before it waits, waits in its place
for these sockets and for all that Trio waits for, and returns to Trio as soon as there is anything for a task to do.
Trio's own wait, which follows, then ends at once, for something that it waits for is there; if nothing is, we add it.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import trio
from trio.lowlevel import Abort, RaiseCancelT, RunVar, Task

Read = Callable[[], bool]

LONGEST_WAIT = 86400.0
"""As Trio's: there needn't be any deadline, and epoll takes no infinite timeout."""


async def whenever_readable(sock: socket.socket, read: Read) -> None:
    """Call `read` each time the socket can be read, until it returns True or raises: that is raised here.

    `read` runs in no task: it can't wait or open a cancel scope, and mustn't bring the deadline of one forward; what it
    wakes, starts or cancels runs at once. Nobody but `read` may close the socket meanwhile.
    """
    wait = _wait()
    if wait is not None:
        await wait.attend(sock, read)
        return
    while True:
        await trio.lowlevel.wait_readable(sock)
        if read():
            return


class _Attended:
    """A socket, and the task that waits until no more is to be read from it."""

    __slots__ = ("error", "number", "read", "task")

    def __init__(self, number: int, read: Read, task: Task) -> None:
        self.number = number
        self.read = read
        self.task = task
        self.error: BaseException | None = None


class _Wait(trio.abc.Instrument):
    """Waits in Trio's place, until the run of Trio ends: on an epoll that holds Trio's epoll and our sockets."""

    def __init__(self, trios: int) -> None:
        """`trios` is the descriptor of Trio's epoll."""
        self._epoll = select.epoll()
        self._trios = select.epoll.fromfd(os.dup(trios))
        self._trios_number = self._trios.fileno()
        self._epoll.register(self._trios_number, select.EPOLLIN)
        self._always_readable = os.eventfd(1)
        self._trios.register(self._always_readable, 0)
        self._attended: dict[int, _Attended] = {}
        self._tasks_to_run = False

    async def run(self) -> None:
        """Wait for Trio as long as it runs."""
        trio.lowlevel.add_instrument(self)
        try:
            await trio.sleep_forever()
        finally:
            trio.lowlevel.remove_instrument(self)
            os.close(self._always_readable)
            self._trios.close()
            self._epoll.close()

    async def attend(self, sock: socket.socket, read: Read) -> None:
        """See `whenever_readable`."""
        attended = _Attended(sock.fileno(), read, trio.lowlevel.current_task())
        self._epoll.register(attended.number, select.EPOLLIN)
        self._attended[attended.number] = attended

        def cancelled(_: RaiseCancelT) -> Abort:
            self._leave(attended)
            return Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(cancelled)
        if attended.error is not None:
            raise attended.error

    def _leave(self, attended: _Attended) -> None:
        del self._attended[attended.number]
        with suppress(OSError):  # `read` has closed it
            self._epoll.unregister(attended.number)

    # what Trio calls

    def task_scheduled(self, task: Task) -> None:
        self._tasks_to_run = True

    def before_io_wait(self, timeout: float) -> None:
        """Wait as long as Trio would have; what there is to do for a task then ends its own wait at once."""
        if timeout <= 0:
            self._serve(0)
            return
        until = time.monotonic() + timeout
        self._tasks_to_run = False
        while not self._serve(timeout):
            timeout = until - time.monotonic()
            if timeout <= 0:  # unless the deadline has been put off meanwhile
                timeout = min(trio.lowlevel.current_statistics().seconds_to_next_deadline, LONGEST_WAIT)
                until = time.monotonic() + timeout
            if self._tasks_to_run or timeout <= 0:
                self._wake_trio()
                return

    def _serve(self, timeout: float) -> bool:
        """Read what comes within `timeout`; True if something came that Trio waits for."""
        for_trio = False
        events = self._epoll.poll(timeout)
        for number, _ in events:
            if number == self._trios_number:
                for_trio = True
            elif (attended := self._attended.get(number)) is not None:
                self._read(attended)
        if for_trio and len(events) > 1:  # what was read may have cancelled the task that Trio would have woken
            self._wake_trio()
        return for_trio

    def _read(self, attended: _Attended) -> None:
        try:
            if not attended.read():
                return
        except BaseException as error:
            attended.error = error
        if self._attended.get(attended.number) is attended:  # else it was cancelled by what was read
            self._leave(attended)
            trio.lowlevel.reschedule(attended.task)

    def _wake_trio(self) -> None:
        """Let Trio's next wait end at once, once, with an event that none of its tasks waits for."""
        self._trios.modify(self._always_readable, select.EPOLLIN | select.EPOLLONESHOT)


_of_this_run: RunVar[_Wait | None] = RunVar("the wait in Trio's place")


def _wait() -> _Wait | None:
    """The one of this run of Trio; None where there can't be one: without /proc, or while a test's clock jumps."""
    with suppress(LookupError):
        return _of_this_run.get()
    trios = None if hasattr(trio.lowlevel.current_clock(), "jump") else _trios_epoll()
    wait = None if trios is None else _Wait(trios)
    _of_this_run.set(wait)
    if wait is not None:
        trio.lowlevel.spawn_system_task(wait.run)
    return wait


def _trios_epoll() -> int | None:
    """The descriptor that Trio waits on: the only epoll of the process. None if that can't be said."""
    found = []
    with suppress(OSError):  # nor can it in a process that has got rights by its executable
        for number in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/self/fd/{number}") == "anon_inode:[eventpoll]":
                    found.append(int(number))
    return found[0] if len(found) == 1 else None
