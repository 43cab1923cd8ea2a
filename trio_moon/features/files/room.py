"""The files room, furnished: its parts and how they know each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trio_moon.features.files.endpoints import file_endpoints
from trio_moon.features.files.library import Library
from trio_moon.features.files.listing import find
from trio_moon.features.files.metadata import objects
from trio_moon.features.files.metadata.cache import MetadataCache
from trio_moon.features.files.metadata.scanner import MetadataScanner
from trio_moon.features.files.places import place_in
from trio_moon.features.files.roots import Root, Roots
from trio_moon.features.files.service import FileCalls
from trio_moon.features.files.settings import FilesSettings
from trio_moon.features.files.starter import JobQueue, Starter
from trio_moon.features.files.uploads import UploadDesk
from trio_moon.features.files.watcher import Watcher
from trio_moon.kit.supervise import Service
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import MoonError
from trio_moon.model.events import FileMoved
from trio_moon.model.paths import DataPaths
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.store.database import Database


class Files:
    """Everything about files: roots, uploads, metadata."""

    def __init__(
        self,
        settings: FilesSettings,
        paths: DataPaths,
        printer: Printer,
        database: Database,
        audience: Audience,
        *,
        reserved: tuple[Path, ...] = (),
    ) -> None:
        """Nobody may see what is in `reserved`."""
        self._settings = settings
        self._printer = printer
        printer.need({"print_stats": None, "virtual_sdcard": None})
        self._roots = Roots(
            [
                Root("gcodes", paths.gcodes, writable=True),  # OrcaSlicer proposes to upload to the first that can be
                Root("config", paths.config, writable=settings.config_writable),
                Root("logs", paths.logs),
                *(Root(name, path) for name, path in settings.extra_roots),
            ],
            link_targets=settings.link_targets,
            reserved=(paths.database, paths.database_backups, paths.certs, *reserved),
        )
        self.library = Library(self._roots, printer.mirror, audience)
        processes = settings.process_objects and objects.is_installed()
        processing = objects.ObjectProcessing(self.library) if processes else None
        self._cache = MetadataCache(database)
        self.metadata = MetadataScanner(self.library, self._cache, audience, processing)
        self.starter = Starter(printer, database)
        prepare = self.metadata.get if processes else None
        self.desk = UploadDesk(self.library, self.starter, largest=settings.max_upload_bytes, prepare=prepare)
        self.watcher = Watcher(self.library, enabled=settings.watch)

    def queue_late_prints_in(self, queue: JobQueue) -> None:
        """Uploads that should be printed and can't be at once go there, if that is configured."""
        if self._settings.queue_uploads:
            self.starter.queue = queue

    def warnings(self) -> list[str]:
        """Sentences for `server.info`: what was configured and can't be done."""
        sentences = []
        if self._settings.process_objects and not objects.is_installed():
            sentences.append(
                "[file_manager] enable_object_processing needs the library preprocess-cancellation:"
                " install trio-moon[objects]"
            )
        for name in self._roots.unwritable:
            sentences.append(f"The folder of '{name}' can't be written: {self._roots.get(name).path}")
        return sentences

    def registered_directories(self) -> list[str]:
        """The roots that exist, for `server.info`."""
        return self._roots.names()

    async def metadata_of(self, filename: str) -> Mapping[str, object]:
        """What is known of a file in `gcodes`, as `server.files.metadata` tells it; NotFound if there is none."""
        return (await self.metadata.get(place_in("gcodes", filename))).as_wire()

    async def all_metadata(self) -> dict[str, object]:
        """What is known of every file in `gcodes` by its name, as Moonraker keeps it in its database."""
        known = await self._cache.everything()
        return {
            path: {name: value for name, value in found.items() if name != "filename"} for path, found in known.items()
        }

    async def note_print(self, filename: str, job_id: str, print_start_time: float) -> None:
        """Remember a file's last print, which its metadata tells."""
        await self._cache.note_print(filename, job_id, print_start_time)

    async def exists(self, filename: str) -> bool:
        """Whether there is a file of this name below `gcodes`."""
        try:
            found = await self.library.on_disk(find, self._roots, place_in("gcodes", filename))
        except MoonError:
            return False
        return found.is_file

    async def printable(self, filename: str) -> str | None:
        """A file's path below `gcodes`, written as Klipper knows it; None if there is no such file."""
        try:
            place = place_in("gcodes", filename)
        except MoonError:
            return None
        return place.path if await self.exists(place.path) else None

    @property
    def moves(self) -> Topic[FileMoved]:
        """What is moved inside `gcodes`."""
        return self.library.moves

    async def print_later(self, filename: str, user: str | None) -> bool:
        """Queue a file that can't be printed now; False if that isn't configured."""
        return await self.starter.print_later(filename, user)

    def endpoints(self) -> tuple[Endpoint, ...]:
        calls = FileCalls(self.library, self.metadata, lambda: self._printer.info.get("log_file"))
        return file_endpoints(calls, self.desk)

    def services(self) -> dict[str, Service]:
        """The tasks of the room; the watcher first: it removes what a killed program left behind."""
        return {"file watcher": self.watcher, "metadata scanner": self.metadata, "upload starter": self.starter}
