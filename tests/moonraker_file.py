"""A database as Moonraker 0.11 leaves it: `tests/peers/test_takeover.py` compares with one that Moonraker has made."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

API_KEY = "cfc44dd1f2994606bb13378436d330d7"
SALT = bytes(range(32))
RECORDS: dict[tuple[str, str], bytes] = {
    ("database", "protected_namespaces"): b'["announcements","gcode_metadata","moonraker","update_manager"]',
    ("moonraker", "spoolman"): b'{"spool_id":2}',
    ("gcode_metadata", "a.gcode"): b'{"size":188}',
    ("update_manager", "system"): b"{}",
    ("announcements", "entries"): b"{}",
    ("mainsail", "general"): b'{"printername":"Voron"}',
    ("fluidd", "num"): b"q" + struct.pack("q", 3),
    ("fluidd", "ratio"): b"d" + struct.pack("d", 1.5),
    ("fluidd", "flag"): b"?\x01",
    ("fluidd", "name"): "sGrüße".encode(),
    ("fluidd", "none"): b"\x00",
    ("fluidd", "list"): b"[1,2]",
    ("webcams", "c0ffee"): b'{"name":"bed","urlStream":"/webcam2/","rotation":180,"flipX":true}',
}
_TABLES = """
CREATE TABLE namespace_store (namespace TEXT NOT NULL, key TEXT NOT NULL, value record NOT NULL,
    PRIMARY KEY (namespace, key));
CREATE TABLE authorized_users (username TEXT PRIMARY KEY NOT NULL, password TEXT NOT NULL, created_on REAL NOT NULL,
    salt TEXT NOT NULL, source TEXT NOT NULL, jwt_secret TEXT, jwk_id TEXT, groups pyjson);
CREATE TABLE job_history (job_id INTEGER PRIMARY KEY ASC, user TEXT NOT NULL, filename TEXT, status TEXT NOT NULL,
    start_time REAL NOT NULL, end_time REAL, print_duration REAL NOT NULL, total_duration REAL NOT NULL,
    filament_used REAL NOT NULL, metadata pyjson, auxiliary_data pyjson NOT NULL, instance_id TEXT NOT NULL);
CREATE TABLE job_totals (provider TEXT NOT NULL, field TEXT NOT NULL, maximum REAL, total REAL,
    instance_id TEXT NOT NULL, PRIMARY KEY (provider, field, instance_id));
"""
TOTALS = {
    "total_jobs": 21,
    "total_time": 5000.5,
    "total_print_time": 4000.25,
    "total_filament_used": 16000.0,
    "longest_job": 900.5,
    "longest_print": 800.25,
}
SPOOLS = [{"provider": "spoolman", "name": "spool_ids", "value": [2], "description": "Spool IDs used", "units": None}]


def write_moonraker_database(file: Path, records: dict[tuple[str, str], bytes] | None = None) -> None:
    """Two users (anna's password is `geheim`), the key, 21 jobs of which the last one was cut off, a spool."""
    file.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.pbkdf2_hmac("sha256", b"geheim", SALT, 100000).hex()
    users = [
        ("_API_KEY_USER_", API_KEY, 1.5, "", "moonraker"),
        ("anna", digest, 2.5, SALT.hex(), "moonraker"),
        ("lena", "", 3.5, "", "ldap"),
    ]
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(_TABLES)
        rows = [(*name, value) for name, value in {**RECORDS, **(records or {})}.items()]
        connection.executemany("INSERT INTO namespace_store VALUES (?, ?, ?)", rows)
        connection.executemany("INSERT INTO authorized_users VALUES (?, ?, ?, ?, ?, NULL, NULL, NULL)", users)
        for number in range(1, 22):
            end, status = (None, "in_progress") if number == 21 else (number + 0.5, "completed")
            details = (json.dumps({"size": number}), json.dumps(SPOOLS), "default")
            row = (number, "No User", f"{number}.gcode", status, float(number), end, 2.0, 3.0, 8.0, *details)
            connection.execute(f"INSERT INTO job_history VALUES ({', '.join('?' * len(row))})", row)
        for name, value in TOTALS.items():
            both = (None, value) if name.startswith("total") else (value, None)
            connection.execute("INSERT INTO job_totals VALUES ('history', ?, ?, ?, 'default')", (name, *both))
        connection.commit()
