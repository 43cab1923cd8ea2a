"""Moonraker's own database beside ours: what rooms take over when their tables are made. It is only read."""

from __future__ import annotations

import logging
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from trio_moon.kit.json_codec import decode

logger = logging.getLogger(__name__)

FILE = "moonraker-sql.db"
PATIENCE = 5.0

Statement = tuple[str, tuple[object, ...]]
"""SQL for our database, with its values."""
Inherit = Callable[[sqlite3.Connection], list[Statement]]
"""What a room makes of Moonraker's database."""


class Predecessor:
    """The file of Moonraker's database, if there is one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.warnings: list[str] = []

    def heritage(self, room: str, inherit: Inherit) -> list[Statement]:
        """What a room takes over; nothing, with a warning, from a file that can't be read."""
        if not self._file.is_file():
            return []
        try:
            uri = f"file:{quote(str(self._file))}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE)) as connection:
                statements = inherit(connection)
        except Exception as error:  # whatever is in that file, we start
            self.warnings.append(
                f"Nothing of Moonraker's was taken over for '{room}': {self._file} can't be read ({error}). To try"
                " again, move trio_moon.db away while the service is stopped."
            )
            logger.warning(self.warnings[-1])
            return []
        if statements:
            logger.info("%s: %d entries taken over from Moonraker", room, len(statements))
        return statements


def items_of(moonraker: sqlite3.Connection, namespace: str) -> dict[str, object]:
    """Everything in one of Moonraker's namespaces that can be read."""
    found = {}
    for key, record in moonraker.execute("SELECT key, value FROM namespace_store WHERE namespace = ?", (namespace,)):
        with suppress(ValueError, TypeError, IndexError, struct.error):  # that one is damaged
            found[str(key)] = value_of(record)
    return found


def value_of(record: bytes) -> object:
    """What Moonraker keeps as this: JSON, or a letter for the type and the bytes of a text or number."""
    letter = chr(record[0])
    if letter == "\0":
        return None
    if letter == "s":
        return record[1:].decode()
    if letter in "qd?":
        return struct.unpack(letter, record[1:])[0]
    return decode(record)
