"""The chapter "Apprise Notifier" of the API, and what is ours: `test` without debug, `status`."""

from __future__ import annotations

from msgspec import Struct

from trio_moon.features.notifiers.service import Notifiers
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.endpoint import Endpoint


class WhichNotifier(Struct, frozen=True):
    """`name`: as in the section's head."""

    name: str


def endpoints(notifiers: Notifiers, *, debug: bool = False) -> tuple[Endpoint, ...]:
    """The table of `server.notifiers.*`; with `debug` also `debug.notifiers.test`."""
    calls = _Calls(notifiers)
    table = (
        Endpoint("/server/notifiers/list", NoParams, GET=calls.list),
        Endpoint("/server/notifiers/status", NoParams, GET=calls.status),
        Endpoint("/server/notifiers/test", WhichNotifier, POST=calls.test),
    )
    return (*table, Endpoint("/debug/notifiers/test", WhichNotifier, POST=calls.debug_test)) if debug else table


class _Calls:
    def __init__(self, notifiers: Notifiers) -> None:
        self._notifiers = notifiers

    def list(self, params: NoParams, caller: Caller) -> object:
        return {"notifiers": self._notifiers.listed()}

    def status(self, params: NoParams, caller: Caller) -> object:
        return {"notifiers": self._notifiers.statuses()}

    async def test(self, params: WhichNotifier, caller: Caller) -> object:
        return await self._notifiers.test(params.name)

    async def debug_test(self, params: WhichNotifier, caller: Caller) -> object:
        result = await self._notifiers.test(params.name, pause=0)
        return {"status": "success", "stats": result["stats"]}
