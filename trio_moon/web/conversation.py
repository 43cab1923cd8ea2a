"""One session's calls, whatever it is connected by: answered at once, or by a task when they have to wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from trio_moon.rpc.caller import Caller
from trio_moon.rpc.jsonrpc import Answer, Batch, JsonRpc, Later, Promised
from trio_moon.web.outlet import Outlet

BATCH_COST = 64
"""A batch counts as so many calls that wait: its answers may be many, and long."""


class Conversation:
    """Hears messages and writes the framed answers into the outlet."""

    def __init__(
        self,
        jsonrpc: JsonRpc,
        caller: Caller,
        outlet: Outlet,
        framing: Callable[[bytes], bytes],
        nursery: trio.Nursery,
        most_waiting: int,
        most_said: int,
    ) -> None:
        self._jsonrpc = jsonrpc
        self._caller = caller
        self._outlet = outlet
        self._framing = framing
        self._nursery = nursery
        self._most_waiting = most_waiting
        self._most_said = most_said // 4
        self._unheard: deque[bytes | str] = deque()
        self._unbegun: deque[tuple[Later, int]] = deque()
        """Calls for tasks, in the order in which they came and are begun."""
        self._waiting = 0
        self._some_answered = trio.Event()

    def hear(self, messages: list[bytes | str]) -> bool:
        """Answer what came with one read, with one send for all answers that needn't wait.

        False when the client must first read, or has too many calls that wait: then `caught_up` hears the rest.
        """
        outlet, begin, unheard = self._outlet, self._jsonrpc.begin, self._unheard
        unheard.extend(messages)
        corked, said = outlet.cork(), 0
        try:
            while unheard:
                place = len(corked)
                outcome = begin(unheard.popleft(), self._caller)
                if isinstance(outcome, bytes):
                    corked.insert(place, self._framing(outcome))  # before the news that the call itself caused
                    said += len(outcome)
                    if said > self._most_said:  # one read may hold a thousand short calls with long answers
                        outlet.uncork()
                        if outlet.crowded:
                            return False
                        corked, said = outlet.cork(), 0
                elif outcome is not None:
                    self._await(outcome)
                    if self._waiting >= self._most_waiting or outlet.crowded:
                        return False
        finally:
            outlet.uncork()
        return not outlet.crowded

    def _await(self, later: Later) -> None:
        cost = BATCH_COST if isinstance(later, Batch) else 1
        self._waiting += cost
        if isinstance(later, Promised):
            later.then(self._tell)
        else:
            self._unbegun.append((later, cost))
            if len(self._unbegun) == 1:
                self._nursery.start_soon(self._answer)

    async def caught_up(self) -> None:
        """Wait until everything is heard, and the client may go on."""
        while True:
            while self._waiting >= self._most_waiting:
                self._some_answered = trio.Event()
                await self._some_answered.wait()
            await self._outlet.drained()
            if self.hear([]):
                return

    async def _answer(self) -> None:
        later, cost = self._unbegun.popleft()
        if self._unbegun:  # not with us: Trio begins in any order what is to begin at once
            self._nursery.start_soon(self._answer)
        self._tell(await later(), cost)

    def _tell(self, answer: Answer, cost: int = 1) -> None:
        self._waiting -= cost
        self._some_answered.set()
        if answer is not None:
            self._outlet.write(self._framing(answer))
