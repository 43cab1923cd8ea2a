"""Requests to Klipper, matched to their answers by id."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import trio

from trio_moon.kit.json_codec import Raw, decode
from trio_moon.model.errors import KlippyAway, KlippyRefused, MoonError, PeerTimeout
from trio_moon.printer.codec import ABSENT, Message, render

CALL_TIMEOUT = 30.0
"""Seconds for calls that Klipper answers from memory. Calls that move the printer have no deadline."""


class _Waiting:
    def __init__(self) -> None:
        self.done = trio.Event()
        self.result = ABSENT
        self.error: MoonError | None = None

    def fail(self, error: MoonError) -> None:
        self.error = error
        self.done.set()


class Calls:
    """The requests that wait for an answer on one connection after another."""

    def __init__(self, away_because: Callable[[], str]) -> None:
        self._away_because = away_because
        self._ids = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}
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
        for slot in waiting.values():
            slot.fail(KlippyAway(f"Klipper went away: {reason}"))

    async def request(self, method: str, params: object = None, *, deadline: float | None = CALL_TIMEOUT) -> Raw:
        """Ask Klipper and return its result as undecoded JSON.

        Raises KlippyAway (not connected, or lost meanwhile), KlippyRefused with Klipper's own text, PeerTimeout.
        A cancelled caller leaves; Klipper's late answer is then dropped.
        """
        if self._send is None:
            raise KlippyAway(f"Klipper is not connected: {self._away_because()}")
        call_id = next(self._ids)
        slot = self._waiting[call_id] = _Waiting()
        try:
            self._send(render(method, params or {}, call_id))
            with trio.move_on_after(math.inf if deadline is None else deadline):
                await slot.done.wait()
            if slot.error is not None:
                raise slot.error
            if not slot.done.is_set():
                raise PeerTimeout(f"Klipper did not answer {method} within {deadline:g} s")
            return slot.result
        finally:
            self._waiting.pop(call_id, None)

    def settle(self, message: Message) -> None:
        """Hand an answer to whoever waits for it."""
        slot = self._waiting.get(message.id) if message.id is not None else None
        if slot is None:
            return
        if message.error != ABSENT:
            slot.fail(KlippyRefused(refusal(decode(message.error))))
            return
        slot.result = message.result
        slot.done.set()


def refusal(error: object) -> str:
    """The text of an error as Klipper sends it: `{"error": "WebRequestError", "message": "…"}`."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("error") or error)
    return str(error)
