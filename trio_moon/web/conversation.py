"""One session's calls, whatever it is connected by: answered at once, or by a task when they have to wait."""

from __future__ import annotations

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
        self._waiting = 0
        self._some_answered = trio.Event()

    async def hear(self, messages: list[bytes | str]) -> None:
        """Answer what came with one read, with one send for all answers that needn't wait.

        Comes back late when the client must first read, or has too many calls that wait.
        """
        outlet, begin = self._outlet, self._jsonrpc.begin
        corked, said = outlet.cork(), 0
        try:
            for message in messages:
                place = len(corked)
                outcome = begin(message, self._caller)
                if isinstance(outcome, bytes):
                    corked.insert(place, self._framing(outcome))  # before the news that the call itself caused
                    said += len(outcome)
                    if said > self._most_said:  # one read may hold a thousand short calls with long answers
                        outlet.uncork()
                        if outlet.crowded:
                            await outlet.drained()
                        corked, said = outlet.cork(), 0
                elif outcome is not None:
                    self._waiting += 1
                    if isinstance(outcome, Promised):
                        outcome.then(self._tell)
                    elif isinstance(outcome, Batch):
                        self._waiting += BATCH_COST - 1
                        self._nursery.start_soon(self._answer, outcome, BATCH_COST)
                    else:
                        self._nursery.start_soon(self._answer, outcome, 1)
                    if self._waiting >= self._most_waiting or outlet.crowded:
                        outlet.uncork()
                        await self._room()
                        await outlet.drained()
                        corked = outlet.cork()
        finally:
            outlet.uncork()
        if outlet.crowded:
            await outlet.drained()

    async def _room(self) -> None:
        while self._waiting >= self._most_waiting:
            self._some_answered = trio.Event()
            await self._some_answered.wait()

    async def _answer(self, later: Later, cost: int) -> None:
        self._tell(await later(), cost)

    def _tell(self, answer: Answer, cost: int = 1) -> None:
        self._waiting -= cost
        self._some_answered.set()
        if answer is not None:
            self._outlet.write(self._framing(answer))
