"""Addresses and networks: whom we trust by where they are, and whose word we take for it."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping

import trio

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))
PRIVATE: tuple[Network, ...] = (
    ipaddress.IPv4Network("10.0.0.0/8"),
    ipaddress.IPv4Network("172.16.0.0/12"),
    ipaddress.IPv4Network("192.168.0.0/16"),
    ipaddress.IPv4Network("169.254.0.0/16"),
    ipaddress.IPv6Network("fc00::/7"),
    ipaddress.IPv6Network("fe80::/10"),
)

LOOKUP_TIMEOUT = 10.0
KNOWN_ADDRESSES = 512

_HOST_NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)


def parse_network(text: str) -> Network:
    """An address or a range in CIDR notation; ValueError says what is wrong."""
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError("neither an address nor a range like 192.168.1.0/24") from None


def parse_address(text: str) -> Address | None:
    """The address in `text` (brackets and a zone are left off, an IPv4 address in IPv6's clothes is undressed)."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # a proxy may write 192.168.1.5:41234
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def looks_like_host_name(text: str) -> bool:
    """Whether `text` may be the name of a host (and isn't a mistyped address)."""
    return _HOST_NAME.fullmatch(text) is not None and not re.fullmatch(r"[0-9.]+", text)


def within(address: Address, networks: Iterable[Network]) -> bool:
    """Whether `address` is in one of `networks`."""
    return any(address in network for network in networks)


class TrustedClients:
    """The clients trusted by their address; names among them are looked up again and again."""

    def __init__(self, networks: tuple[Network, ...], names: tuple[str, ...]) -> None:
        self._networks = networks
        self._names = names
        self._resolved: dict[str, frozenset[Address]] = {}
        self._known: dict[str, bool] = {}

    def __contains__(self, address: str) -> bool:
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= KNOWN_ADDRESSES:
                self._known.clear()
            known = self._known[address] = self._decide(address)
        return known

    def _decide(self, text: str) -> bool:
        address = parse_address(text)
        if address is None:
            return False
        return within(address, self._networks) or any(address in found for found in self._resolved.values())

    @property
    def has_names(self) -> bool:
        """Whether there is anything to look up."""
        return bool(self._names)

    async def look_up_names(self) -> None:
        """Ask for the addresses of all names. A name that can't be resolved now keeps what it had."""
        async with trio.open_nursery() as nursery:
            for name in self._names:
                nursery.start_soon(self._look_up, name)

    async def _look_up(self, name: str) -> None:
        with trio.move_on_after(LOOKUP_TIMEOUT):
            try:
                answers = await trio.socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                return
            addresses = frozenset(found for answer in answers if (found := parse_address(str(answer[4][0]))))
            if addresses != self._resolved.get(name):
                self._resolved[name] = addresses
                self._known.clear()


class Proxies:
    """The reverse proxies whose word about the client's address is taken."""

    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._proxies = TrustedClients(networks, ())

    def client_of(self, peer: str, headers: Mapping[str, str]) -> str:
        """The address of the client behind `peer`.

        X-Forwarded-For is read from its end, where our own proxies write: whatever a client put in front of
        that is hearsay. What isn't an address makes the client a stranger, never the proxy itself; so does an
        X-Real-IP that says otherwise, because a proxy that writes only one of the two passes the other on unread.
        """
        if peer not in self._proxies:
            return peer
        real = headers.get("x-real-ip", peer).strip()[:100]
        forwarded = headers.get("x-forwarded-for")
        if forwarded is None:
            return real
        hops = [hop.strip()[:100] for hop in forwarded.split(",")]
        client = next((hop for hop in reversed(hops) if hop not in self._proxies), hops[0])
        return client if real == client or real in self._proxies else f"{client} or {real}"
