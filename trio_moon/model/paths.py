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
    def database_backups(self) -> Path:
        return self.root / "backup" / "database"

    @property
    def comms(self) -> Path:
        return self.root / "comms"

    @property
    def certs(self) -> Path:
        return self.root / "certs"

    def make(self) -> list[str]:
        """Create the folders that are missing; returns a sentence for each that can't be.

        A link to a disk that isn't there stays what it is.
        """
        troubles = []
        for folder in (self.config, self.logs, self.gcodes, self.database, self.comms, self.certs):
            try:
                if not folder.is_symlink():
                    folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                troubles.append(f"The folder {folder} can't be made: {error.strerror}")
        return troubles
