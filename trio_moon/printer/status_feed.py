"""One subscription towards Klipper that covers everybody's wishes; its updates go to the mirror and to the clients."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import trio

from trio_moon.kit.json_codec import Raw
from trio_moon.kit.status_box import Status
from trio_moon.model.errors import PeerError
from trio_moon.printer.calls import Calls
from trio_moon.printer.codec import STATUS_METHOD, StatusUpdate
from trio_moon.printer.mirror import PrinterMirror
from trio_moon.printer.subscriptions import Subscriptions, Wanted, as_wire, merge

_decode = msgspec.json.Decoder(StatusUpdate).decode


def parse_status(raw: Raw) -> StatusUpdate:
    """The objects in an answer or a message of Klipper's; PeerError when they can't be read."""
    try:
        return _decode(raw)
    except msgspec.DecodeError as error:
        raise PeerError(f"Klipper sent a status that can't be read: {error}") from None


class StatusFeed:
    """Keeps Klipper's subscription what the rooms need and the clients wish."""

    def __init__(self, calls: Calls, updated: Callable[[Status], None]) -> None:
        """`updated` is called with the changes of each update, after everybody else has been told."""
        self._calls = calls
        self._updated = updated
        self._needs: Wanted = {"webhooks": None}
        self._subscribed: Wanted = {}
        self._held: list[StatusUpdate] | None = None
        self._changing = trio.Lock()
        self._wishes_changed = trio.Event()
        self.mirror = PrinterMirror()
        self.subscriptions = Subscriptions()

    def need(self, objects: Wanted) -> None:
        """Keep these objects in the mirror whether or not a client wants them."""
        self._needs = merge([self._needs, objects])
        self.wishes_changed()

    def wishes_changed(self) -> None:
        """Somebody wants more or less than before: have the subscription looked at soon."""
        self._wishes_changed.set()

    async def wait_wishes_changed(self) -> None:
        """Wait until the subscription may no longer fit."""
        await self._wishes_changed.wait()

    async def cover_wishes(self) -> None:
        """Make Klipper's subscription cover what everybody wants.

        Updates that come before the answer are held back until it has been merged. Those that were on their way when
        Klipper took the request are older than the answer, which knows better: Klipper won't tell it again.
        """
        async with self._changing:
            self._wishes_changed = trio.Event()
            wanted = merge([self._needs, *self.subscriptions.wishes()])
            if wanted == self._subscribed:
                return
            self._held = []
            answered_at = -math.inf
            try:
                params = {"objects": as_wire(wanted), "response_template": {"method": STATUS_METHOD}}
                answer = parse_status(await self._calls.request("objects/subscribe", params))
                self._subscribed, answered_at = wanted, answer.eventtime
                self._apply(answer, news=self.mirror.news(answer.status))
            finally:
                held, self._held = self._held or [], None
                for update in held:
                    if update.eventtime > answered_at:
                        self._apply(update)

    def receive(self, update: StatusUpdate) -> None:
        """An update has come."""
        if self._held is not None:
            self._held.append(update)
        else:
            self._apply(update)

    def clear(self) -> None:
        """Klipper is gone, and every wish with it: clients subscribe again when it is back."""
        self._subscribed, self._held = {}, None
        self.mirror.clear()
        self.subscriptions.clear()

    def _apply(self, update: StatusUpdate, *, news: Status | None = None) -> None:
        self.mirror.merge(update.status, update.eventtime)
        self.subscriptions.distribute(update.status if news is None else news, update.eventtime)
        self._updated(update.status)
