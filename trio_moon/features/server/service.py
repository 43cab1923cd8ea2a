"""What the server tells of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import trio
from msgspec import Struct

from trio_moon import __version__
from trio_moon.features.server.parameters import Identity, WhichLog
from trio_moon.kit.json_codec import Raw, encode
from trio_moon.model.errors import BadParams, MoonError, Unauthorized
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller, ClientInfo, Session

API_VERSION = (1, 5, 0)
"""The version of Moonraker's API that we answer."""
API_VERSION_STRING = ".".join(map(str, API_VERSION))

MOONRAKER_VERSION = f"v0.11.0-trio-moon-{__version__}"
"""Frontends compare the part before the first dash with the oldest Moonraker that they can use."""

A_MOMENT = 0.25
"""Seconds that warnings and components may be old in `server.info`."""

CLIENT_TYPES = ("web", "mobile", "desktop", "display", "bot", "agent", "other")


class Klippy(Protocol):
    """Klipper's state."""

    @property
    def state(self) -> str: ...
    @property
    def connected(self) -> bool: ...


class SupervisedService(Protocol):
    """One service in the nursery tree."""

    @property
    def name(self) -> str: ...
    @property
    def branch(self) -> str: ...
    def as_wire(self) -> dict[str, object]: ...


class Supervisor(Protocol):
    """The keeper of the nursery tree."""

    @property
    def records(self) -> Iterable[SupervisedService]: ...
    def failed(self) -> Iterable[SupervisedService]: ...


class Identities(Protocol):
    """Who stands behind what a client shows: `features.access.Access`."""

    def identify(self, caller: Caller, *, access_token: str | None, api_key: str | None) -> None:
        """Raise a session's rights; Unauthorized if the credentials are wrong."""


class Log(Protocol):
    """The program's log file."""

    def rollover(self) -> Path | None:
        """Begin a new file; None when the log has none."""


class Surroundings(Struct, frozen=True):
    """Everything of the house that `server.*` tells or touches."""

    klippy: Klippy
    supervisor: Supervisor
    identities: Identities
    components: Callable[[], Iterable[str]]
    directories: Callable[[], Iterable[str]]
    warnings: Callable[[], Iterable[str]]
    connections: Callable[[], int]
    configuration: Callable[[], Mapping[str, object]]
    restart: Callable[[], None]
    log: Log | None = None
    agent_comes: Callable[[Session, ClientInfo], None] = lambda session, client: None
    """May refuse it by raising a MoonError."""


class Server:
    """Answers `server.info`, `server.config`, identifies clients, and shows the nursery tree."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._seldom: dict[str, object] = {}
        self._seldom_until = 0.0
        self._info = Raw(b"")
        self._info_of: object = None

    def info(self, params: NoParams, caller: Caller) -> Raw:
        """`server.info`; encoded anew only when something in it has changed."""
        around = self._around
        facts = (around.klippy.connected, around.klippy.state, around.connections(), self._what_changes_seldom())
        if facts != self._info_of:
            self._info_of, self._info = facts, Raw(encode(_info(*facts)))
        return self._info

    def _what_changes_seldom(self) -> dict[str, object]:
        """The dear part of `server.info`, gathered once for all who ask within a moment."""
        now = time.monotonic()
        if now >= self._seldom_until:
            around = self._around
            seldom: dict[str, object] = {
                "components": list(around.components()),
                "failed_components": [service.name for service in around.supervisor.failed()],
                "registered_directories": list(around.directories()),
                "warnings": list(around.warnings()),
            }
            if seldom != self._seldom:  # else `info` sees by its identity that nothing has changed
                self._seldom = seldom
            self._seldom_until = now + A_MOMENT
        return self._seldom

    def config(self, params: NoParams, caller: Caller) -> Mapping[str, object]:
        return self._around.configuration()

    def restart(self, params: NoParams, caller: Caller) -> str:
        """End, and begin anew; the caller hears "ok" before that."""
        self._around.restart()
        return "ok"

    def tree(self, params: NoParams, caller: Caller) -> dict[str, object]:
        """`server.supervisor`: every service with its state, and how the nurseries contain them."""
        branches: dict[str, list[str]] = {}
        services = []
        for record in self._around.supervisor.records:
            branches.setdefault(record.branch, []).append(record.name)
            services.append(record.as_wire())
        inner: dict[str, object] | None = None
        for branch in reversed(branches):
            inner = {"name": branch, "services": branches[branch], "contains": [inner] if inner else []}
        return {
            "services": services,
            "tree": {"name": "trio_moon", "services": [], "contains": [inner] if inner else []},
        }

    def identify(self, params: Identity, caller: Caller) -> dict[str, object]:
        """Note who the client says it is, and take its credentials."""
        client = ClientInfo(
            str(params.client_name), str(params.version or ""), params.type.lower(), str(params.url or "")
        )
        session = caller.session
        if session is None:
            raise BadParams("only lasting connections can be identified")
        if session.client is not None:
            raise BadParams(f"Connection already identified: {session.client.client_name:.80}")
        if client.type not in CLIENT_TYPES:
            raise BadParams(f"argument 'type': {client.type!r:.40} is not one of {', '.join(CLIENT_TYPES)}")
        self._around.identities.identify(caller, access_token=params.access_token, api_key=params.api_key)
        if not caller.authorized:
            raise Unauthorized
        if client.type == "agent":
            self._around.agent_comes(session, client)
        session.client = client
        return {"connection_id": session.connection_id}

    def connection_id(self, params: NoParams, caller: Caller) -> dict[str, object]:
        if caller.session is None:
            raise BadParams("only lasting connections have an id")
        return {"websocket_id": caller.session.connection_id}

    async def roll_logs_over(self, params: WhichLog, caller: Caller) -> dict[str, object]:
        """Begin new log files, as far as they are ours."""
        application = params.application
        if application not in (None, "moonraker", "klipper"):
            raise BadParams(f"argument 'application': {application!r:.40} is neither 'moonraker' nor 'klipper'")
        rolled_over: list[str] = []
        failed: dict[str, str] = {}
        if application != "klipper":
            try:
                await self._roll_own_log_over()
                rolled_over.append("moonraker")
            except (MoonError, OSError) as error:
                failed["moonraker"] = str(error)
        if application != "moonraker":
            failed["klipper"] = "Klipper writes its log itself; it begins a new one when its service is restarted"
        return {"rolled_over": rolled_over, "failed": failed}

    async def _roll_own_log_over(self) -> None:
        log = self._around.log
        if log is None or await trio.to_thread.run_sync(log.rollover) is None:
            raise BadParams("File Logging Disabled")


def _info(connected: bool, state: str, websockets: int, seldom: dict[str, object]) -> dict[str, object]:
    return {
        "klippy_connected": connected,
        "klippy_state": state,
        **seldom,
        "websocket_count": websockets,
        "moonraker_version": MOONRAKER_VERSION,
        "missing_klippy_requirements": [],
        "api_version": API_VERSION,
        "api_version_string": API_VERSION_STRING,
    }
