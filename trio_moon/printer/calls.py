"""Requests to Klipper, matched to their answers by id."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from trio_moon.kit.json_codec import Raw, decode
from trio_moon.kit.pending import Pending
from trio_moon.kit.periodic import periodic
from trio_moon.model.errors import KlippyAway, KlippyRefused, PeerTimeout
from trio_moon.printer.codec import ABSENT, Message, render

CALL_TIMEOUT = 30.0
"""Seconds for calls that Klipper answers from memory. Calls that move the printer have no deadline."""


NOTHING = Raw(b"null")


class Calls:
    """The requests that wait for an answer on one connection after another."""

    def __init__(self, away_because: Callable[[], str]) -> None:
        self._away_because = away_because
        self._last_id = 0
        self._waiting: dict[int, tuple[Pending[Raw], float, str]] = {}
        """Each with its deadline and its method."""
        self._send: Callable[[bytes], None] | None = None

    @property
    def waiting(self) -> int:
        """How many answers are outstanding."""
        return len(self._waiting)

    def connect(self, send: Callable[[bytes], None]) -> None:
        """Requests go out through `send`, which doesn't wait, from now on."""
        self._send = send

    def disconnect(self, reason: str) -> None:
        """Everybody who waits gets KlippyAway, and new requests too."""
        self._send = None
        waiting, self._waiting = self._waiting, {}
        for pending, _, _ in waiting.values():
            pending.fail(KlippyAway(f"Klipper went away: {reason}"))

    def begin(self, method: str, params: object = None, *, deadline: float | None = CALL_TIMEOUT) -> Pending[Raw]:
        """Ask Klipper; its result will come as undecoded JSON.

        Raises KlippyAway when Klipper isn't connected. The answer may fail with KlippyAway (lost meanwhile),
        KlippyRefused with Klipper's own text, or PeerTimeout.
        """
        if self._send is None:
            raise KlippyAway(f"Klipper is not connected: {self._away_because()}")
        self._last_id = call_id = self._last_id + 1
        self._send(render(method, params or {}, call_id))
        pending: Pending[Raw] = Pending()
        self._waiting[call_id] = (pending, math.inf if deadline is None else trio.current_time() + deadline, method)
        return pending

    async def request(self, method: str, params: object = None, *, deadline: float | None = CALL_TIMEOUT) -> Raw:
        """Ask Klipper and wait for its result. A cancelled caller leaves; Klipper's late answer is then dropped."""
        pending = self.begin(method, params, deadline=deadline)
        call_id = self._last_id
        try:
            return await pending
        finally:
            self._waiting.pop(call_id, None)

    async def watch_deadlines(self) -> None:
        """Give up, once a second, what Klipper hasn't answered in time: cheaper than a timer for each request."""
        await periodic(1.0, self._give_up_overdue)

    def _give_up_overdue(self) -> None:
        if not self._waiting:
            return
        now = trio.current_time()
        for call_id, (pending, deadline, method) in tuple(self._waiting.items()):
            if deadline <= now and call_id in self._waiting:
                del self._waiting[call_id]
                pending.fail(PeerTimeout(f"Klipper did not answer {method} in time"))

    def settle(self, message: Message) -> None:
        """Hand an answer to whoever waits for it."""
        if message.id is None or message.id not in self._waiting:
            return
        pending, _, _ = self._waiting.pop(message.id)
        if message.error != ABSENT:
            pending.fail(KlippyRefused(refusal(decode(message.error))))
        else:
            pending.settle(message.result if message.result != ABSENT else NOTHING)


def refusal(error: object) -> str:
    """The text of an error as Klipper sends it: `{"error": "WebRequestError", "message": "…"}`."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("error") or error)
    return str(error)
