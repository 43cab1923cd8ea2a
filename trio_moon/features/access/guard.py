"""The doorkeeper: who a request comes from, and whether its Origin and Host may call at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import parse_qsl

from trio_moon.features.access.networks import Proxies, TrustedClients
from trio_moon.features.access.settings import AccessSettings
from trio_moon.features.access.sites import Sites
from trio_moon.model.errors import Forbidden, Unauthorized
from trio_moon.rpc.caller import TRUSTED_USER, Caller, Session, Transport
from trio_moon.rpc.request_head import RequestHead

HARMLESS_VERBS = frozenset({"GET", "HEAD", "OPTIONS"})

OPEN_PATHS = frozenset({"/access/login", "/access/refresh_jwt", "/access/info"})
"""Where a client goes to replace credentials that are worth nothing any more."""

CREDENTIAL_HEADERS = frozenset({"authorization", "x-access-token", "x-api-key"})

SLICER_PATHS = "/api/"
"""OctoPrint's API: slicers send a made-up key there, because OctoPrint wants one."""

CORS_METHODS = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
CORS_REQUEST_HEADERS = (
    "Origin, Accept, Content-Type, X-Requested-With, X-CRSF-Token, Authorization, X-Access-Token, X-Api-Key"
)


class Credentials(Protocol):
    """Who stands behind what a client shows."""

    @property
    def logins_forced(self) -> bool:
        """Whether a trusted address isn't enough."""

    def key_holder(self, api_key: str) -> str:
        """The user of an API key; Unauthorized if it is wrong."""

    def bearer(self, token: str) -> str:
        """The user of an access token (or an API key sent as one); Unauthorized if it is wrong."""

    def redeem(self, one_shot: str, address: str | None) -> str | None:
        """The user of a one-shot token; None if it isn't valid."""

    def remember(self, caller: Caller) -> None:
        """Keep an eye on the caller of a session: its user may log out."""


class Guard:
    """Implements `rpc.request_head.Doorkeeper`; decides without waiting."""

    def __init__(self, settings: AccessSettings, trusted: TrustedClients, credentials: Credentials) -> None:
        self._trusted = trusted
        self._credentials = credentials
        self._proxies = Proxies(settings.trusted_proxies)
        self._sites = Sites(settings.cors_domains, settings.trusted_hosts, settings.trusted_networks)

    def admit(self, head: RequestHead) -> Caller:
        """Who is calling; see Doorkeeper."""
        if head.peer is None:  # the unix socket: file permissions have decided already
            return Caller(head.transport, None, TRUSTED_USER)
        address = self._proxies.client_of(head.peer, head.headers)
        self._check_origin(head)
        ambient = self.trusted_user(address)
        user = self._shown(head, address, ambient)
        if user is None:  # nothing but the address speaks for the caller: a page could borrow that
            self._check_host(head)
            user = ambient
        return Caller(head.transport, address, user)

    def trusted_user(self, address: str | None) -> str | None:
        """`_TRUSTED_USER_` if calling from `address` is enough."""
        if address is None:
            return TRUSTED_USER
        return TRUSTED_USER if address in self._trusted and not self._credentials.logins_forced else None

    def admit_session(self, caller: Caller, session: Session) -> None:
        """See Doorkeeper."""
        caller.session = session
        self._credentials.remember(caller)

    def _check_origin(self, head: RequestHead) -> None:
        origin = head.headers.get("origin")
        if origin is None or (head.verb in HARMLESS_VERBS and head.transport is not Transport.WEBSOCKET):
            return
        if not self._sites.may_act(origin, head.headers.get("host", "")):
            raise Forbidden(
                f"Pages of {origin:.100} may not do this: if they should, add them to 'cors_domains' in [authorization]"
            )

    def _check_host(self, head: RequestHead) -> None:
        host = head.headers.get("host")
        if host and not self._sites.knows_host(host):
            raise Forbidden(
                f"{host:.100} is no name of this printer: if it should be, add it to 'trusted_hosts' in [authorization]"
            )

    def _shown(self, head: RequestHead, address: str, ambient: str | None) -> str | None:
        """The user of the credentials in a request; None if there are none. Unauthorized if they are wrong."""
        headers = head.headers
        if not head.query and CREDENTIAL_HEADERS.isdisjoint(headers):
            return None
        query = _token_arguments(head.query)
        if "token" in query:
            user = self._credentials.redeem(query["token"], address)
            if user is not None:
                return user
        token = _bearer_token(headers) or query.get("access_token")
        key = headers.get("x-api-key")
        if not token and not key:
            return None
        try:
            return self._credentials.bearer(token) if token else self._credentials.key_holder(key or "")
        except Unauthorized:
            if head.path in OPEN_PATHS or (ambient is not None and head.path.startswith(SLICER_PATHS)):
                return None
            raise

    def cors_headers(self, head: RequestHead) -> dict[str, str]:
        """See Doorkeeper."""
        origin = head.headers.get("origin")
        if origin is None or not self._sites.may_read(origin):
            return {}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}

    def preflight_headers(self, head: RequestHead) -> dict[str, str] | None:
        """See Doorkeeper."""
        allowed = self.cors_headers(head)
        if not allowed:
            return None
        allowed["Access-Control-Allow-Methods"] = CORS_METHODS
        allowed["Access-Control-Allow-Headers"] = CORS_REQUEST_HEADERS
        if head.headers.get("access-control-request-private-network") == "true":
            allowed["Access-Control-Allow-Private-Network"] = "true"
        return allowed


def _bearer_token(headers: Mapping[str, str]) -> str:
    """The token of an Authorization header. Others than Bearer's are meant for a proxy before us."""
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-access-token", "").strip()


def _token_arguments(query: str) -> dict[str, str]:
    if "token=" not in query:
        return {}
    try:
        return dict(parse_qsl(query, max_num_fields=1000))
    except ValueError:
        return {}
