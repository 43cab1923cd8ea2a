"""`[authorization]`: a mistake in it must never open a door."""

from __future__ import annotations

from tests.features.access.conftest import settings_of
from trio_moon.config import Problem
from trio_moon.features.access.networks import Proxies, TrustedClients


def trusted(text: str) -> TrustedClients:
    settings = settings_of(text)
    return TrustedClients(settings.trusted_networks, settings.trusted_names)


def test_without_configuration_private_networks_are_trusted() -> None:
    for text in ("", "[authorization]\n"):
        clients = trusted(text)
        inside = ("127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.1.5", "169.254.1.1", "fe80::1%eth0", "fd00::1")
        for address in (*inside, "::ffff:192.168.1.5"):
            assert address in clients, address
        for address in ("8.8.8.8", "172.32.0.1", "2001:db8::1", "::ffff:8.8.8.8", "100.64.0.1", "", "nonsense"):
            assert address not in clients, address


def test_configured_clients_replace_the_default() -> None:
    clients = trusted("[authorization]\ntrusted_clients:\n  203.0.113.7\n  2001:db8::/32\n  10.0.0.7/24\n")
    assert "203.0.113.7" in clients
    assert "2001:db8:1::1" in clients
    assert "10.0.0.200" in clients
    assert "192.168.1.5" not in clients
    assert "127.0.0.1" not in clients


def test_a_section_without_clients_trusts_only_its_own_host() -> None:
    clients = trusted("[authorization]\ncors_domains: *.local\n")
    assert "127.0.0.1" in clients
    assert "192.168.1.5" not in clients


def test_faults_are_noted_and_never_widen_access() -> None:
    problems: list[Problem] = []
    settings = settings_of(
        "[authorization]\ntrusted_clients: 192.168.1.0/33, 10.0.0.5, my-laptop.lan\ncors_domains: http://x.*\n"
        "force_logins: perhaps\nenable_api_key: perhaps\ntrusted_proxies: here!\nlogin_timeout: -3\n",
        problems,
    )
    assert [str(network) for network in settings.trusted_networks] == ["10.0.0.5/32"]
    assert settings.trusted_names == ("my-laptop.lan",)
    assert settings.cors_domains == ()
    assert settings.force_logins
    assert not settings.enable_api_key
    assert settings.trusted_proxies == ()
    text = "\n".join(problem.as_line() for problem in problems)
    for word in ("192.168.1.0/33", "http://x.*", "perhaps", "here!", "login_timeout"):
        assert word in text
    assert len(problems) == 6


def test_a_problem_names_its_place_once() -> None:
    problems: list[Problem] = []
    settings_of("[authorization]\nforce_logins: perhaps\n", problems)
    (problem,) = problems
    assert (problem.line, problem.option) == (2, "force_logins")
    assert problem.as_line().count("[authorization]") == 1
    assert problem.as_line().count("line") == 1


def test_forwarded_addresses_are_believed_only_from_a_proxy() -> None:
    proxies = Proxies(settings_of("").trusted_proxies)
    forged = {"x-forwarded-for": "192.168.1.2"}
    assert proxies.client_of("203.0.113.9", forged) == "203.0.113.9"
    assert proxies.client_of("127.0.0.1", {"x-forwarded-for": "192.168.1.2, 203.0.113.9"}) == "203.0.113.9"
    assert proxies.client_of("127.0.0.1", {"x-forwarded-for": "203.0.113.9, 127.0.0.1"}) == "203.0.113.9"
    assert proxies.client_of("::1", {"x-real-ip": "203.0.113.9"}) == "203.0.113.9"
    assert proxies.client_of("127.0.0.1", {}) == "127.0.0.1"
    assert proxies.client_of("127.0.0.1", {"x-forwarded-for": "unknown"}) == "unknown"


async def test_trusted_names_are_looked_up() -> None:
    clients = TrustedClients((), ("localhost", "no-such-host.invalid"))
    assert "127.0.0.1" not in clients
    await clients.look_up_names()
    assert "127.0.0.1" in clients
