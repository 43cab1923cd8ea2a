"""The id that tells this printer from others, in Moonraker's own file: it stays the same on the way here and back."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

FILE = ".moonraker.uuid"


def instance_id(data_path: Path) -> str:
    """The id in the data path, made if there is none; one made of the path where none can be kept. Blocks."""
    file = data_path / FILE
    made = uuid.uuid4().hex
    try:
        with file.open("x") as new:
            new.write(made)
        return made
    except OSError:  # it is there already, or the disk takes nothing
        return _read(file) or uuid.uuid5(uuid.NAMESPACE_URL, str(data_path)).hex


def _read(file: Path) -> str:
    try:
        with file.open(errors="replace") as kept:
            text = kept.read(100).strip()
    except OSError:
        return ""
    return text if re.fullmatch(r"[\w-]+", text) else ""
