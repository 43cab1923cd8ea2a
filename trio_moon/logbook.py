"""Where the log goes: a rotating file written by a thread of its own, so that a slow SD card stalls nobody."""

from __future__ import annotations

import logging
import logging.handlers
import queue
import sys
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 4 * 2**20
OLD_FILES = 3
FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class Logbook:
    """The program's log, from `open` to `close`. Without a file it goes to standard error."""

    def __init__(self, file: Path | None, *, debug: bool = False) -> None:
        self.file = file
        self._level = logging.DEBUG if debug else logging.INFO
        self._handler: logging.Handler | None = None
        self._listener: logging.handlers.QueueListener | None = None
        self._replaced: list[logging.Handler] = []

    def open(self) -> None:
        """Begin to write. OSError when the file can't be created."""
        self._handler = self._make_handler()
        self._handler.setFormatter(logging.Formatter(FORMAT))
        records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self._listener = logging.handlers.QueueListener(records, self._handler)
        self._listener.start()
        root = logging.getLogger()
        self._replaced = root.handlers[:]
        root.handlers[:] = [logging.handlers.QueueHandler(records)]
        root.setLevel(self._level)
        for chatty in (
            "httpx",
            "httpcore",
            "hypercorn",
            "hypercorn.error",
            "hypercorn.access",
            "apprise",
        ):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        logging.captureWarnings(True)

    def _make_handler(self) -> logging.Handler:
        if self.file is None:
            return logging.StreamHandler(sys.stderr)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        return logging.handlers.RotatingFileHandler(
            self.file, maxBytes=MAX_BYTES, backupCount=OLD_FILES, encoding="utf-8", errors="backslashreplace"
        )

    def reopen(self) -> None:
        """Write the next line to a file that is opened anew under its name (SIGHUP): somebody has moved it away."""
        handler = self._handler
        if isinstance(handler, logging.handlers.RotatingFileHandler):
            handler.acquire()
            try:
                if handler.stream:
                    handler.stream.close()
                handler.stream = None  # the next line opens it, whatever may be in its way until then
            finally:
                handler.release()

    def rollover(self) -> Path | None:
        """Begin a new file now; returns the file, or None when the log has none."""
        handler = self._handler
        if isinstance(handler, logging.handlers.RotatingFileHandler):
            handler.acquire()
            try:
                handler.doRollover()
            finally:
                handler.release()
        return self.file

    def close(self) -> None:
        """Write what is waiting and stop."""
        if self._listener is not None:
            logging.getLogger().handlers[:] = self._replaced
            self._listener.stop()
        if self._handler is not None:
            with suppress(OSError):  # a full disk doesn't take the last lines
                self._handler.close()
