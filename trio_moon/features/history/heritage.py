"""Moonraker's history: its jobs come along under their numbers, and so do its totals."""

from __future__ import annotations

import sqlite3

from trio_moon.features.history.job import IN_PROGRESS, INTERRUPTED
from trio_moon.kit.json_codec import NotJson, decode, encode
from trio_moon.store.predecessor import Statement

_READ_JOBS = (
    "SELECT job_id, filename, start_time, status, end_time, print_duration, total_duration, filament_used,"
    " metadata, auxiliary_data, user FROM job_history"
)
_WRITE_JOB = (
    "INSERT OR IGNORE INTO history_jobs (number, filename, start_time, status, end_time, print_duration,"
    " total_duration, filament_used, metadata, auxiliary, user) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_READ_TOTALS = "SELECT field, coalesce(total, maximum) FROM job_totals WHERE provider = 'history'"
_WRITE_TOTAL = "INSERT OR IGNORE INTO history_totals VALUES (?, ?)"


def inherit(moonraker: sqlite3.Connection) -> list[Statement]:
    """A job whose end Moonraker didn't see is called interrupted, as Moonraker itself would at its next start."""
    statements: list[Statement] = [(_WRITE_TOTAL, row) for row in moonraker.execute(_READ_TOTALS)]
    for number, filename, start, status, *numbers, metadata, auxiliary, user in moonraker.execute(_READ_JOBS):
        ended = INTERRUPTED if status == IN_PROGRESS else status
        texts = (_json(metadata, dict), _json(auxiliary, list))
        statements.append((_WRITE_JOB, (number, filename or "", start, ended, *numbers, *texts, user)))
    return statements


def _json(data: object, kind: type) -> bytes:
    """The column as it is; an empty one if it is damaged."""
    try:
        value = decode(data) if isinstance(data, (str, bytes)) else None
    except NotJson:
        value = None
    return encode(value if isinstance(value, kind) else kind())
