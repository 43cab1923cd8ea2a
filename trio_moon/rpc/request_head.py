"""The head of an HTTP request as every lane hands it on, and the one who judges it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from trio_moon.rpc.caller import Caller, Session, Transport


class RequestHead(Struct, frozen=True):
    """What is known of a request before its body. Header names are in lower case; of a repeated one the last counts."""

    verb: str
    path: str
    """Unquoted, without the route prefix."""
    query: str
    headers: Mapping[str, str]
    peer: str | None
    """The address at the other end of the connection; None on a unix socket. Not yet what a proxy says."""
    transport: Transport
    secure: bool = False
    """Whether it came over TLS."""


class Doorkeeper(Protocol):
    """The one place where access is decided, for every lane and transport."""

    def admit(self, head: RequestHead) -> Caller:
        """Who is calling; `user` is None when nobody is known (`permit` then decides by method).

        Raises Unauthorized for credentials that are wrong, Forbidden for a foreign Origin or Host.
        """

    def admit_session(self, caller: Caller, session: Session) -> None:
        """Called when a websocket has been opened by `caller`: it may gain rights later, and lose them."""

    def cors_headers(self, head: RequestHead) -> dict[str, str]:
        """The headers that let a browser on an allowed Origin read the answer; {} otherwise."""

    def preflight_headers(self, head: RequestHead) -> dict[str, str] | None:
        """The headers that answer an OPTIONS preflight; None when its Origin isn't allowed."""
