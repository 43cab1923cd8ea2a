"""Who calls, and over what: the same for every transport."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct, field

from trio_moon.kit.status_box import StatusView
from trio_moon.rpc.packet import Packet

TRUSTED_USER = "_TRUSTED_USER_"


class Transport(enum.Flag):
    """How a call can arrive."""

    HTTP = enum.auto()
    JSONRPC_HTTP = enum.auto()
    WEBSOCKET = enum.auto()
    UNIX = enum.auto()

    RPC = JSONRPC_HTTP | WEBSOCKET | UNIX
    SESSION = WEBSOCKET | UNIX
    ALL = HTTP | RPC


class Outbox(Protocol):
    """The way to one connected client. Neither call waits; both are in order."""

    def event(self, packet: Packet) -> None:
        """Queue one notification or answer. A client that lets too many wait is closed."""

    def status(self, news: StatusView, eventtime: float, packet: Packet) -> None:
        """Send a status update (`packet` is the whole notification), or merge `news` if the client is slow."""

    def close(self, reason: str) -> None:
        """End the connection for a reason the client is told."""


class ClientInfo(Struct):
    """What a client says of itself in `server.connection.identify`."""

    client_name: str
    version: str
    type: str
    url: str


_connection_ids = itertools.count(1)


class Session(Struct, eq=False):
    """One connected JSON-RPC client: a websocket or the unix socket."""

    outbox: Outbox
    connection_id: int = field(default_factory=lambda: next(_connection_ids))
    client: ClientInfo | None = None
    caller: Caller | None = None
    """Who is at the other end; None for sessions of our own."""
    on_answer: Callable[[dict[str, object]], None] | None = None
    """Takes what the client answers to questions of ours; None for those whom nobody asks anything."""


class Caller(Struct, eq=False, weakref=True):
    """The origin of a call. `user` is a name, `_TRUSTED_USER_`, `_API_KEY_USER_`, or None when not authorised."""

    transport: Transport
    address: str | None = None
    user: str | None = None
    session: Session | None = None

    @property
    def authorized(self) -> bool:
        """Whether calls that need authorisation may be made."""
        return self.user is not None

    @property
    def has_shown_credentials(self) -> bool:
        """Whether more than an address, which a web page could borrow, speaks for the caller."""
        return self.user not in (None, TRUSTED_USER)
