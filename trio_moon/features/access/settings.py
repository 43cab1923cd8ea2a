"""`[authorization]`: who is trusted, and from where browsers may call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from trio_moon.config import ConfigProblem, Problem, Section
from trio_moon.features.access.networks import LOOPBACK, PRIVATE, Network, looks_like_host_name, parse_network
from trio_moon.features.access.sites import SitePattern, parse_site_pattern

T = TypeVar("T")

SOURCES = ("moonraker",)


class AccessSettings(Struct, frozen=True):
    """What the section says. A value that can't be used never widens access: it is noted and counts for nothing."""

    trusted_networks: tuple[Network, ...] = (*LOOPBACK, *PRIVATE)
    trusted_names: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = LOOPBACK
    trusted_hosts: tuple[str, ...] = ()
    cors_domains: tuple[SitePattern, ...] = ()
    force_logins: bool = False
    enable_api_key: bool = True
    login_timeout_days: float = 90.0
    max_login_attempts: int | None = None
    default_source: str = "moonraker"

    @classmethod
    def from_section(cls, section: Section, note: Callable[[Problem], None]) -> AccessSettings:
        """The settings of `[authorization]`, present or not. Never raises: what is wrong is told to `note`."""
        read = _Reading(section, note)
        networks, names = read.clients()
        return cls(
            trusted_networks=networks,
            trusted_names=names,
            trusted_proxies=read.listed("trusted_proxies", LOOPBACK, parse_network),
            trusted_hosts=read.listed("trusted_hosts", (), lambda text: text.lower().rstrip(".")),
            cors_domains=read.listed("cors_domains", (), parse_site_pattern),
            force_logins=read.safely(lambda: section.boolean("force_logins", False), True),
            enable_api_key=read.safely(lambda: section.boolean("enable_api_key", True), False),
            login_timeout_days=read.safely(
                lambda: section.number("login_timeout", 90.0, above=0, maximum=36_500), 90.0
            ),
            max_login_attempts=read.safely(lambda: section.integer("max_login_attempts", None, minimum=1), None),
            default_source=read.safely(lambda: section.choice("default_source", SOURCES, "moonraker"), "moonraker"),
        )


class _Reading:
    """One pass over the section that survives every fault in it."""

    def __init__(self, section: Section, note: Callable[[Problem], None]) -> None:
        self._section = section
        self._note = note

    def safely(self, getter: Callable[[], T], otherwise: T) -> T:
        broken = self._section.broken
        try:
            return getter()
        except ConfigProblem as error:
            self._section.broken = broken  # its other options are asked for all the same
            self._note(error.problem)
            return otherwise

    def listed(self, option: str, default: tuple[T, ...], parse: Callable[[str], T]) -> tuple[T, ...]:
        """Every usable entry of a list; without the option, its default."""
        found = []
        for word in self._section.words(option, [str(item) for item in default]):
            try:
                found.append(parse(word))
            except ValueError as error:
                self._note(self._section.problem(option, f"'{word}' counts for nothing: {error}"))
        return tuple(found)

    def clients(self) -> tuple[tuple[Network, ...], tuple[str, ...]]:
        """The trusted networks and host names.

        Without any configuration the private ranges are trusted. A section that says something else but names no
        client trusts nobody in Moonraker; here the printer's own host still is, which can read everything anyway.
        """
        default = LOOPBACK if self._section.options() else (*LOOPBACK, *PRIVATE)
        networks: list[Network] = []
        names: list[str] = []
        for word in self._section.words("trusted_clients", [str(network) for network in default]):
            try:
                networks.append(parse_network(word))
            except ValueError as error:
                if looks_like_host_name(word):
                    names.append(word.lower())
                else:
                    self._note(self._section.problem("trusted_clients", f"'{word}' counts for nothing: {error}"))
        return tuple(networks), tuple(names)
