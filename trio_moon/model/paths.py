"""The folders of a printer's data path, laid out as Moonraker has them."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct


class DataPaths(Struct, frozen=True):
    """`~/printer_data` and what is in it."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def gcodes(self) -> Path:
        return self.root / "gcodes"

    @property
    def database(self) -> Path:
        return self.root / "database"

    @property
    def comms(self) -> Path:
        return self.root / "comms"

    @property
    def certs(self) -> Path:
        return self.root / "certs"

    def make(self) -> None:
        """Create the folders that are missing. A link to a disk that isn't there stays what it is."""
        for folder in (self.config, self.logs, self.gcodes, self.database, self.comms, self.certs):
            if not folder.is_symlink():
                folder.mkdir(parents=True, exist_ok=True)
