"""The tables of the files room."""

from __future__ import annotations

from trio_moon.store.schema import Schema

SCHEMA = Schema(
    "files",
    (
        "CREATE TABLE file_metadata (path TEXT PRIMARY KEY, folder TEXT NOT NULL, size INTEGER NOT NULL,"
        " modified_ns INTEGER NOT NULL, found BLOB NOT NULL, job_id TEXT, print_start_time REAL) WITHOUT ROWID;"
        "CREATE INDEX file_metadata_by_folder ON file_metadata (folder);"
        "CREATE TABLE waiting_start (only_one INTEGER PRIMARY KEY, filename TEXT NOT NULL, since REAL NOT NULL)",
    ),
)
