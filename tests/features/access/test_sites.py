"""Host and Origin: names that only this printer can have."""

from __future__ import annotations

import pytest

from tests.features.access.conftest import settings_of
from trio_moon.features.access.sites import Sites, parse_site_pattern


def sites(cors_domains: str = "", trusted_hosts: str = "") -> Sites:
    settings = settings_of(
        f"[authorization]\ncors_domains: {cors_domains}\ntrusted_hosts: {trusted_hosts}\n"
        "trusted_clients: 192.168.1.0/24"
    )
    return Sites(settings.cors_domains, settings.trusted_hosts, settings.trusted_networks)


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:7125", "127.0.0.1", "192.168.1.4:7125", "[::1]:7125", "[fe80::1%25eth0]", "8.8.8.8",
        "printer", "PRINTER.local", "voron.local.:80", "voron.lan", "v.home", "v.home.arpa", "v.internal",
        "voron.fritz.box", "voron.tail1234.ts.net",
    ],
)  # fmt: skip
def test_addresses_and_local_names_are_known_hosts(host: str) -> None:
    assert sites().knows_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "printer.local.evil.example",
        "evil.example:7125",
        "127.0.0.1.nip.io",
        "",
        "a b",
        "[::g]",
        "[::1]:65536",
    ],
)
def test_names_that_anybody_can_point_anywhere_are_strange_hosts(host: str) -> None:
    assert not sites().knows_host(host)


def test_configured_hosts_and_cors_domains_are_known_hosts() -> None:
    ours = sites("https://*.my-domain.com", "printer.example.com")
    assert ours.knows_host("printer.example.com:443")
    assert ours.knows_host("one.my-domain.com")
    assert not ours.knows_host("my-domain.com.evil.example")


def test_a_page_acts_on_the_very_host_and_port_it_came_from() -> None:
    ours = sites()
    assert ours.may_act("http://printer.local", "printer.local")
    assert ours.may_act("http://printer.local:7125", "printer.local:7125")
    assert ours.may_act("https://printer.local", "printer.local")
    assert ours.may_act("http://PRINTER.local:80", "printer.local")
    assert ours.may_act("http://[::1]:7125", "[::1]:7125")
    assert not ours.may_act("http://printer.local:8080", "printer.local:7125")
    assert not ours.may_act("http://evil.example", "printer.local")
    assert not ours.may_act("null", "printer.local")
    assert not ours.may_act("http://printer.local", "")
    assert not ours.may_act("http://192.168.1.77", "192.168.1.4")


@pytest.mark.parametrize(
    ("pattern", "origin", "fits"),
    [
        ("*", "https://anything.example:99", True),
        ("*", "null", True),
        ("*.local", "http://voron.local", True),
        ("*.local", "https://voron.local", True),
        ("*.local", "http://voron.local:8080", False),
        ("*.local:*", "http://voron.local:8080", True),
        ("*.local:*", "http://voron.local", True),
        ("*.local", "http://voron.local.evil.example", False),
        ("*://app.fluidd.xyz", "http://app.fluidd.xyz", True),
        ("http://app.fluidd.xyz", "https://app.fluidd.xyz", False),
        ("http://printer.lan:80", "http://printer.lan", True),
        ("http://second-printer.local:7125", "http://second-printer.local:7125", True),
        ("http://second-printer.local:7125", "http://second-printer.local", False),
        ("*.local", "null", False),
    ],
)
def test_cors_domains_mean_what_they_mean_to_moonraker(pattern: str, origin: str, fits: bool) -> None:
    assert sites(pattern).may_read(origin) is fits


def test_trusted_addresses_may_read_once_cors_is_in_use() -> None:
    assert sites("*.local").may_read("http://192.168.1.77:8080")
    assert not sites("*.local").may_read("http://192.168.2.77")
    assert not sites().may_read("http://192.168.1.77")


@pytest.mark.parametrize(
    "text", ["http://my-printer.*", "http://printer.local/", "http://", "a b", "http://[x", "a?.local"]
)
def test_patterns_that_mean_too_much_or_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_site_pattern(text)
