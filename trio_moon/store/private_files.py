"""Files that hold secrets (the API key, hashes of passwords): their owner alone may read them."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path

logger = logging.getLogger(__name__)

OWNER_ONLY = 0o600


def create_private(path: Path, *, anew: bool = False) -> None:
    """Make an empty file, readable for its owner only; with `anew` it mustn't exist yet. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if anew else 0)
    os.close(os.open(path, flags, OWNER_ONLY))


def tighten(files: Iterable[Path]) -> None:
    """Take from all but the owner what an earlier version let them do. A file system without modes is left as it is."""
    for file in files:
        try:
            mode = file.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                file.chmod(stat.S_IMODE(mode) & OWNER_ONLY)
        except OSError as error:
            logger.info("the mode of %s can't be changed: %s", file, error.strerror)
