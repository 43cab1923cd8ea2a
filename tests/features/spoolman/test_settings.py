"""The [spoolman] section."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_moon.config import Document
from trio_moon.features.spoolman.settings import Amount, SpoolmanSettings


def read(text: str) -> tuple[SpoolmanSettings | None, list[str]]:
    document = Document.parse(f"[spoolman]\n{text}\n")
    settings = document.settings_or_none("spoolman", SpoolmanSettings.from_section)
    return settings, [problem.as_line() for problem in document.problems]


def settings(text: str) -> SpoolmanSettings:
    found, problems = read(text)
    assert found is not None, problems
    return found


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("http://spool:7912", "http://spool:7912"),
        ("spool:7912", "http://spool:7912"),
        ("HTTPS://Spool/", "https://spool"),
        ("http://gate/sub/path/", "http://gate/sub/path"),
        ("http://spool:7912/api/v1", "http://spool:7912"),
        ("http://[fd00::1]:7912", "http://[fd00::1]:7912"),
        ("http://bücher:7912", "http://xn--bcher-kva:7912"),
    ],
)
def test_addresses_are_understood_as_users_write_them(server: str, url: str) -> None:
    assert settings(f"server: {server}").url == url


def test_credentials_and_headers_are_sent_but_not_part_of_the_address() -> None:
    found = settings("server: http://me:pass%20word@spool\nheaders:\n  X-Gate: open sesame\n  Other: 1")
    assert found.url == "http://spool"
    assert found.headers == {"X-Gate": "open sesame", "Other": "1", "Authorization": "Basic bWU6cGFzcyB3b3Jk"}
    assert settings("server: spool\ntoken: abc").headers == {"Authorization": "Bearer abc"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "server:",
        "server: ftp://spool",
        "server: http://",
        "server: http://spool:port",
        "server: http://spool?x=1",
        "server: http://sp ool",
        "server: spool\nsync_rate: 0",
        "server: spool\nsync_rate: often",
        "server: spool\nheaders: nothing",
        "server: spool\nca_file: /nowhere.pem",
        "server: spool\nlow_filament: much",
        "server: spool\nlow_filament_action: explode",
        "server: spool\ncheck_before_print: maybe",
        "server: spool\nspool_macro: A B",
        "server: http://\ufffd",
        "server: http://ü..b",
        "server: spool\nca_file: " + "x" * 300,
        "server: https://spool\nca_file: /proc/self/status",
        "server: spool\ntoken: two\n  lines",
        "server: spool\nheaders: Content-Length: 5",
    ],
)
def test_what_cannot_be_used_closes_the_room_with_a_problem(text: str) -> None:
    found, problems = read(text)
    assert found is None
    assert len(problems) == 1
    assert "[spoolman]" in problems[0]


def test_a_password_is_not_shown_in_a_problem() -> None:
    _, problems = read("server: http://me:secret@spool:port")
    assert "secret" not in problems[0]


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("20g", Amount(grams=20)),
        ("0.5 kg", Amount(grams=500)),
        ("5m", Amount(mm=5000)),
        ("750 mm", Amount(mm=750)),
        ("1.5M", Amount(mm=1500)),
    ],
)
def test_amounts_have_units(text: str, amount: Amount) -> None:
    assert settings(f"server: spool\nlow_filament: {text}").low_filament == amount


def test_a_private_certificate_is_found_below_the_data_path(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    document = Document.parse("[spoolman]\nserver: spool\nca_file: ca.pem\n", data_path=tmp_path)
    found = document.settings_or_none("spoolman", SpoolmanSettings.from_section)
    assert found is not None
    assert found.ca_file == tmp_path / "ca.pem"
