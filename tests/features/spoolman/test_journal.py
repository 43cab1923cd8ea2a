"""The ledger on disk: nothing that was committed is lost, nothing unreadable is dropped without a word."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from trio_moon.features.spoolman.journal import LOST, SCHEMA, Journal
from trio_moon.features.spoolman.ledger import Ledger, Moment, Session
from trio_moon.model.errors import NoSpace
from trio_moon.store.database import Database


@pytest.fixture
async def database(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Database]:
    database = Database(tmp_path / "test.db", (SCHEMA,))
    await nursery.start(database.run)
    yield database
    nursery.cancel_scope.cancel()


def busy_ledger() -> Ledger:
    ledger = Ledger()
    ledger.begin_session(Session(7, "socket"), complete=True)
    ledger.set_tools({0: 1, 1: None}, Moment(3.25, "extruder", 0.0, promised={"extruder": 0.0}))
    ledger.observe("extruder", 12.5)
    ledger.observe("extruder1", 1.0 / 3.0)
    taken_back = ledger.begin(1, 2.5, 100.0, at=1.0)
    ledger.taken_back(taken_back, 2.0, "not there")
    ledger.begin(1, 1.25, 100.0, at=3.0)
    ledger.note_seen(1, 100.0)
    ledger.note_low(1, low=True)
    ledger.state.orphaned[9] = 4.0
    return ledger


async def test_what_was_committed_is_read_back_to_the_last_bit(database: Database) -> None:
    ledger = busy_ledger()
    await Journal(database).commit(ledger)
    assert await Journal(database).load() == ledger.state


async def test_an_empty_journal_is_a_new_ledger(database: Database) -> None:
    assert await Journal(database).load() == Ledger().state


async def test_nothing_is_written_when_nothing_has_changed(database: Database) -> None:
    journal, ledger = Journal(database), busy_ledger()
    await journal.commit(ledger)
    changes = await database.read(lambda c: c.total_changes)
    await journal.commit(ledger)
    assert await database.read(lambda c: c.total_changes) == changes


async def test_what_only_a_kill_would_spare_is_made_to_last_by_the_next_durable_commit(database: Database) -> None:
    journal, ledger = Journal(database), busy_ledger()
    await journal.commit(ledger, durable=False)
    assert await Journal(database).load() == ledger.state
    changes = await database.read(lambda c: c.total_changes)
    await journal.commit(ledger, durable=False)
    assert await database.read(lambda c: c.total_changes) == changes
    await journal.commit(ledger)
    written = await database.read(lambda c: c.total_changes)
    assert written > changes
    await journal.commit(ledger)
    assert await database.read(lambda c: c.total_changes) == written


async def store(database: Database, value: bytes) -> None:
    await database.write(lambda c: c.execute("REPLACE INTO spoolman_state VALUES ('ledger', ?)", (value,)))


async def test_what_cannot_be_read_is_kept_aside_with_a_warning(database: Database) -> None:
    for damaged in (b"{", b'{"pending": "x"}', b"[1]", b"\xff"):
        await store(database, damaged)
        journal = Journal(database)
        assert await journal.load() == Ledger().state
        assert "kept as 'ledger.damaged-" in journal.warnings[0]
        kept = await database.read(lambda c: c.execute("SELECT value FROM spoolman_state").fetchall())
        assert (damaged,) in kept
        await database.write(lambda c: c.execute("DELETE FROM spoolman_state"))


async def test_reports_are_counted_on_from_a_journal_that_was_damaged(database: Database) -> None:
    journal, ledger = Journal(database), Ledger()
    for number in range(3):
        ledger.applied(ledger.begin(1, 1.0, float(number), at=1.0), 2.0)
    await journal.commit(ledger)
    await store(database, b"{")
    again = Ledger(await journal.load())
    again.applied(again.begin(1, 5.0, 3.0, at=3.0), 4.0)
    await journal.commit(again)
    assert [report.used_mm for report in await journal.reports(10)] == [5.0, 1.0, 1.0, 1.0]


async def test_unknown_fields_of_a_later_version_do_no_harm(database: Database) -> None:
    ledger = busy_ledger()
    await Journal(database).commit(ledger)
    patch = "UPDATE spoolman_state SET value = json_set(CAST(value AS TEXT), '$.surprise', 5)"
    await database.write(lambda c: c.execute(patch))
    assert (await Journal(database).load()).pending == ledger.state.pending


async def test_a_full_disk_is_told_and_loses_nothing() -> None:
    class FullDisk:
        full = True

        async def write(self, work: object, *, durable: bool = True) -> object:
            if self.full:
                raise sqlite3.OperationalError("database or disk is full")
            return None

        async def read(self, work: object) -> object:
            return None

    disk = FullDisk()
    journal, ledger = Journal(disk), busy_ledger()  # type: ignore[arg-type]
    ledger.set_job(3, None)
    ledger.observe("extruder", 20.0)
    ledger.refused(next(i for i in ledger.state.intents.values() if i.outcome == "open"), 4.0, "no")
    with pytest.raises(NoSpace, match="disk is full"):
        await journal.commit(ledger)
    assert journal.broken
    assert ledger.dirty
    assert len(ledger.settled) == 1
    assert ledger.job_use == {(3, 1): 7.5}
    disk.full = False
    assert journal.is_behind(ledger)
    await journal.commit(ledger)
    assert not journal.broken
    assert (ledger.dirty, ledger.settled, ledger.job_use) == (False, [], {})


async def test_settled_reports_are_listed_the_newest_first(database: Database) -> None:
    journal, ledger = Journal(database), busy_ledger()
    for number in range(3):
        ledger.applied(ledger.begin(2, 1.0 + number, 0.0, at=number), 10.0 + number, "answered")
    await journal.commit(ledger)
    assert [(report.spool_id, report.used_mm, report.outcome) for report in await journal.reports(2)] == [
        (2, 3.0, "applied"),
        (2, 2.0, "applied"),
    ]


async def test_a_job_knows_millimetres_grams_and_money(database: Database) -> None:
    journal, ledger = Journal(database, lambda spool_id: (0.003, 0.02) if spool_id == 1 else (None, None)), Ledger()
    ledger.begin_session(Session(7), complete=True)
    ledger.set_tools({0: 1, 1: None}, None)
    job = await journal.open_job("a.gcode", 100.0)
    ledger.set_job(job, None)
    ledger.observe("extruder", 1000.0)
    await journal.commit(ledger)
    ledger.observe("extruder", 2000.0)
    ledger.observe("extruder1", 5.0)
    await journal.commit(ledger)
    ledger.set_job(None, None)
    journal.close_job(job, "complete", 200.0)
    await journal.commit(ledger)
    record = await journal.job(job)
    assert record is not None
    assert record.as_wire() == {
        "job_id": job,
        "filename": "a.gcode",
        "start_time": 100.0,
        "end_time": 200.0,
        "status": "complete",
        "spools": [
            {"spool_id": None, "filament_used": 5.0, "weight": None, "cost": None},
            {"spool_id": 1, "filament_used": 2000.0, "weight": 6.0, "cost": 40.0},
        ],
    }
    assert [each.id for each in await journal.jobs(5)] == [job]
    assert await journal.job(99) is None


async def test_a_job_whose_end_nobody_could_write_down_does_not_stay_open_beside_the_next(database: Database) -> None:
    """We were killed between the beginning of its record and the state that names it."""
    journal = Journal(database)
    lost, present = await journal.open_job("a.gcode", 100.0), await journal.open_job("a.gcode", 101.0)
    assert [(job.id, job.outcome) for job in await journal.jobs(5)] == [(present, "in_progress"), (lost, LOST)]


async def test_the_end_of_a_job_is_written_with_what_it_took_or_not_at_all(database: Database) -> None:
    journal, ledger = Journal(database), Ledger()
    job = await journal.open_job("a.gcode", 100.0)
    ledger.set_job(job, None)
    await journal.commit(ledger)
    ledger.set_job(None, None)
    journal.close_job(job, "complete", 200.0)
    assert journal.is_behind(ledger)
    assert (await Journal(database).load()).job == job
    assert [each.outcome for each in await journal.jobs(5)] == ["in_progress"]
    await journal.commit(ledger)
    assert (await Journal(database).load()).job is None
    assert [each.outcome for each in await journal.jobs(5)] == ["complete"]
