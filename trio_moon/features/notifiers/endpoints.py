"""The chapter "Apprise Notifier" of the API, and what is ours: `test` without debug, `status`."""

from __future__ import annotations

from trio_moon.features.notifiers.service import Notifiers, WhichNotifier
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.endpoint import Endpoint


def endpoints(notifiers: Notifiers, *, debug: bool = False) -> tuple[Endpoint, ...]:
    """The table of `server.notifiers.*`; with `debug` also `debug.notifiers.test`."""
    table = (
        Endpoint("/server/notifiers/list", NoParams, GET=notifiers.list_notifiers),
        Endpoint("/server/notifiers/status", NoParams, GET=notifiers.status),
        Endpoint("/server/notifiers/test", WhichNotifier, POST=notifiers.test),
    )
    return (*table, Endpoint("/debug/notifiers/test", WhichNotifier, POST=notifiers.debug_test)) if debug else table
