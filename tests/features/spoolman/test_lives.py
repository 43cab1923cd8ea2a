from __future__ import annotations

import os
from pathlib import Path

import pytest

from trio_moon.features.spoolman.ledger import LedgerState, Moment, Session
from trio_moon.features.spoolman.lives import FAREWELL, Lives, identify

KNOWN = Session(4711, "socket 1")


def books(position_mm: float = 50.0, print_time: float = 100.0) -> LedgerState:
    return LedgerState(session=KNOWN, print_time=print_time, positions={"extruder": position_mm})


def at(position_mm: float, print_time: float = 200.0) -> Moment:
    return Moment(print_time, "extruder", position_mm)


def test_the_same_process_on_the_same_socket_lives_on() -> None:
    assert not Lives().is_another(books(), KNOWN, at(60), now=1000)


@pytest.mark.parametrize(
    ("session", "moment"),
    [
        (Session(4712, "socket 1"), at(60)),
        (KNOWN, at(60, print_time=99)),
        (Session(4711, "socket 2"), at(60)),
    ],
    ids=["another process", "an earlier print time", "a socket made anew"],
)
def test_evidence_of_another_life(session: Session, moment: Moment) -> None:
    assert Lives().is_another(books(), session, moment, now=1000)


@pytest.mark.parametrize("session", [Session(0, "socket 1"), Session(4711, ""), Session(0, "")])
def test_what_is_not_known_proves_nothing(session: Session) -> None:
    assert not Lives().is_another(books(), session, at(60), now=1000)
    assert not Lives().is_another(books(), session, None, now=1000)


@pytest.mark.parametrize(("position_mm", "away", "another"), [(60, 0.4, False), (60, 1.4, True), (30, 0.4, True)])
def test_a_socket_that_somebody_made_anew_in_a_moment_is_not_another_life(
    position_mm: float, away: float, another: bool
) -> None:
    lives = Lives()
    lives.lost(10)
    assert lives.is_another(books(), Session(4711, "socket 2"), at(position_mm), now=10 + away) is another


def test_a_farewell_before_the_end_means_a_new_life_once() -> None:
    lives = Lives()
    lives.heard(FAREWELL, now=10)
    lives.lost(10.1)
    assert lives.is_another(books(), KNOWN, at(60), now=11)
    lives.entered()
    lives.lost(20)
    assert not lives.is_another(books(), KNOWN, at(60), now=21)


def test_a_farewell_that_no_end_follows_is_forgotten() -> None:
    lives = Lives()
    lives.heard(FAREWELL, now=10)
    lives.lost(500)
    assert not lives.is_another(books(), KNOWN, at(60), now=501)


@pytest.mark.parametrize(
    ("state", "another"), [("startup", True), ("error", True), ("ready", False), ("shutdown", False)]
)
def test_a_klipper_that_is_met_before_it_is_awake_begins_anew(state: str, another: bool) -> None:
    lives = Lives()
    lives.connected(state)
    assert lives.is_another(books(), KNOWN, at(60), now=1) is another


def test_a_beginning_is_remembered_over_a_connection_that_ends_too_soon() -> None:
    lives = Lives()
    lives.connected("startup")
    lives.lost(10)
    lives.connected("ready")
    assert lives.is_another(books(), KNOWN, at(60), now=11)


def test_a_life_is_known_by_its_process_and_by_the_moment_its_socket_was_made(tmp_path: Path) -> None:
    path = tmp_path / "klippy.sock"
    assert identify(12, path) == Session(12, "")
    assert identify("12", None) == Session(0, "")
    path.touch()
    os.utime(path, ns=(1, 1))
    before = identify(12, path)
    path.chmod(0o600)
    assert identify(12, path) == before
    os.utime(path, ns=(2, 2))
    assert identify(12, path) != before
