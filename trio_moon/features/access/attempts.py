"""Logins that fail slow down the next ones from the same place: guessing passwords must not pay. Pure."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_network

from msgspec import Struct

from trio_moon.features.access.networks import parse_address
from trio_moon.model.errors import TooMany

FREE_ATTEMPTS = 5
LONGEST_PAUSE = 60.0
PLACES = 1024


class _Failures(Struct):
    count: int = 0
    not_before: float = 0.0


class LoginAttempts:
    """Counts attempts by place (an IPv4 address, or the /64 of an IPv6 one) until one succeeds."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._places: OrderedDict[str, _Failures] = OrderedDict()

    def begin(self, address: str | None, now: float) -> None:
        """Note an attempt, which counts as failed until `succeeded`. Raises TooMany when it comes too early."""
        place = _place(address)
        failures = self._places.setdefault(place, _Failures())
        self._places.move_to_end(place)
        if len(self._places) > PLACES:
            self._places.popitem(last=False)
        if self._most is not None and failures.count >= self._most:
            raise TooMany(f"{failures.count} logins have failed from here: no more until trio_moon is restarted")
        wait = failures.not_before - now
        if wait > 0:
            raise TooMany(f"too many logins have failed: try again in {wait:.0f} seconds")
        failures.count += 1
        if failures.count >= FREE_ATTEMPTS:
            failures.not_before = now + min(LONGEST_PAUSE, 2.0 ** min(failures.count - FREE_ATTEMPTS, 10))

    def succeeded(self, address: str | None) -> None:
        """Forget what failed before."""
        self._places.pop(_place(address), None)


def _place(address: str | None) -> str:
    parsed = parse_address(address or "")
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)
