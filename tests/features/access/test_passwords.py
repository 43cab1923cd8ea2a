"""Kept passwords."""

from __future__ import annotations

from trio_moon.features.access.passwords import NOBODYS, check_password, hash_password


def test_a_kept_password_fits_itself_alone_and_doesnt_show_it() -> None:
    kept = hash_password("sécret")
    assert "cret" not in kept
    assert check_password("sécret", kept)
    assert not check_password("secret", kept)
    assert kept != hash_password("sécret")


def test_nothing_fits_nobodys_password() -> None:
    assert not check_password("", NOBODYS)
    assert not check_password("A" * 32, NOBODYS)
