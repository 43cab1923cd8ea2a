"""Names in `Host` and `Origin`: which are ours, which may read, and which may act. Pure.

A page on the internet can make a visitor's browser call a printer in its network. It can't read the answer (CORS),
but it could act, and by pointing its own name at the printer's address (DNS rebinding) it could do both. Hence:
an Origin other than ours may not act, and a Host must be a name that nobody on the internet can point anywhere.
"""

from __future__ import annotations

import fnmatch
import functools
import re
import socket

from msgspec import Struct

from trio_moon.features.access.networks import Network, parse_address, within

LOCAL_SUFFIXES = (
    ".local",
    ".localhost",
    ".localdomain",
    ".lan",
    ".home",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".private",
    ".fritz.box",
    ".ts.net",  # Tailscale: only its own addresses ever stand behind these
)

REMEMBERED = 32
"""Answers of each kind; what they are remembered by may be as long as a whole head."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Za-z:.%_-]+\]|[0-9a-z._-]{1,253})(?::(?P<port>\d{1,5}))?", re.ASCII)
_PATTERN = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*|\*)://)?(?P<host>\[[^\]]+\]|[^\[\]:/\s]+)(?::(?P<port>\d{1,5}|\*))?"
)


class Site(Struct, frozen=True):
    """Where a page comes from; `port` is None for its scheme's own."""

    scheme: str
    host: str
    port: int | None


class SitePattern(Struct, frozen=True):
    """An entry of `cors_domains`; `*` stands for any text, a missing scheme for any scheme."""

    text: str
    scheme: str
    host: str
    port: str | None

    def __str__(self) -> str:
        return self.text

    def matches(self, site: Site) -> bool:
        """Whether a page from `site` is meant. Without a port in the pattern only the scheme's own port is."""
        if self.text == "*":
            return True
        if self.scheme not in ("*", site.scheme):
            return False
        if self.port is None:
            return site.port is None and self.matches_host(site.host)
        return self.port in ("*", str(site.port or _DEFAULT_PORTS.get(site.scheme))) and self.matches_host(site.host)

    def matches_host(self, host: str) -> bool:
        """Whether the name alone fits."""
        return fnmatch.fnmatchcase(host, self.host)


def parse_site_pattern(text: str) -> SitePattern:
    """Read an entry of `cors_domains`; ValueError says what is wrong with it."""
    text = text.strip().lower()
    if text.endswith("/"):
        raise ValueError("a domain has no trailing slash")
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError("not a domain like http://printer.local:8080 or *.local")
    host = found["host"]
    if "*" in host.rpartition(".")[2] and host != "*":
        raise ValueError("the top level of a domain can't be *")
    if any(sign in host for sign in "?[") and not host.startswith("["):
        raise ValueError("the only wildcard is *")
    scheme = found["scheme"] or "*"
    port = found["port"]
    if port is not None and port.isdigit() and _DEFAULT_PORTS.get(scheme) == int(port):
        port = None
    return SitePattern(text, scheme, host.replace("[", "[[]") if host.startswith("[") else host, port)


def parse_origin(origin: str) -> Site | None:
    """The site of an Origin header; None for `null` and for what is no origin."""
    scheme, separator, authority = origin.lower().partition("://")
    found = _AUTHORITY.fullmatch(authority) if separator else None
    if found is None:
        return None
    port = int(found["port"]) if found["port"] else None
    return Site(scheme, found["host"].rstrip("."), None if port == _DEFAULT_PORTS.get(scheme) else port)


class Sites:
    """Judges Host and Origin. The answers are remembered: browsers send the same few again and again."""

    def __init__(
        self, patterns: tuple[SitePattern, ...], hosts: tuple[str, ...], networks: tuple[Network, ...]
    ) -> None:
        self._patterns = patterns
        self._hosts = frozenset({*hosts, socket.gethostname().lower().rstrip(".")})
        self._networks = networks
        self.knows_host = functools.lru_cache(REMEMBERED)(self._knows_host)
        self.may_read = functools.lru_cache(REMEMBERED)(self._may_read)
        self.may_act = functools.lru_cache(REMEMBERED)(self._may_act)

    def _knows_host(self, header: str) -> bool:
        """Whether a Host header is an address, a local name, or configured."""
        found = _AUTHORITY.fullmatch(header.lower())
        if found is None or int(found["port"] or 0) > 65535:
            return False
        host = found["host"].rstrip(".")
        if parse_address(host) is not None or host in self._hosts or host == "fritz.box":
            return True
        if "." not in host or host.endswith(LOCAL_SUFFIXES):
            return bool(host) and not host.startswith("[")
        return any(pattern.matches_host(host) for pattern in self._patterns)

    def _may_read(self, origin: str) -> bool:
        """Whether pages of this Origin may read our answers (CORS). Trusted addresses may, once CORS is in use."""
        site = parse_origin(origin)
        if site is None:
            return any(pattern.text == "*" for pattern in self._patterns)
        if any(pattern.matches(site) for pattern in self._patterns):
            return True
        address = parse_address(site.host) if self._patterns else None
        return address is not None and within(address, self._networks)

    def _may_act(self, origin: str, host_header: str) -> bool:
        """Whether pages of this Origin may change something or open a websocket: our own, and configured ones."""
        site = parse_origin(origin)
        found = _AUTHORITY.fullmatch(host_header.lower())
        if site is not None and found is not None and site.host == found["host"].rstrip("."):
            port = int(found["port"]) if found["port"] else None
            if site.port == (None if port == _DEFAULT_PORTS.get(site.scheme) else port):
                return True
        return bool(self.may_read(origin))
