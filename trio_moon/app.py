"""The map of the product: builds every part, connects it, and opens the nurseries. Read this first.

    run_app                     an arrow of time: what is opened first is closed last
    ├─ ground   store           SQLite behind one worker thread
    │           jobs            what becomes of the present print
    │           klipper         connect, identify, subscribe, read for ever
    ├─ rooms    …               what `_ROOMS` lists: one function each, below
    └─ front    web             HTTP, websockets and the unix socket

A part gets its neighbours as constructor arguments, here and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

from trio_moon import __version__
from trio_moon.config.document import Document
from trio_moon.config.renderer import Renderer
from trio_moon.config.section import Section
from trio_moon.features.access import Access, AccessSettings
from trio_moon.features.access import endpoints as access_endpoints
from trio_moon.features.database import UserDatabase
from trio_moon.features.database import endpoints as database_endpoints
from trio_moon.features.files import SCHEMA as FILES_SCHEMA
from trio_moon.features.files import Files, FilesSettings
from trio_moon.features.machine import Machine, MachineSettings, ProcStats, machine_endpoints, proc_stats_endpoints
from trio_moon.features.notifiers import SCHEMA as NOTIFIERS_SCHEMA
from trio_moon.features.notifiers import AppriseCourier, Composer, Notifier, Notifiers, Pictures, Undelivered
from trio_moon.features.notifiers import endpoints as notifiers_endpoints
from trio_moon.features.notifiers import read_settings as read_notifiers
from trio_moon.features.octoprint import OctoPrint, OctoPrintSettings, OwnApi
from trio_moon.features.octoprint import endpoints as octoprint_endpoints
from trio_moon.features.server import ConsoleStore, DataStoreSettings, Server, Surroundings, TemperatureStore
from trio_moon.features.server import endpoints as server_endpoints
from trio_moon.features.spoolman import SCHEMA as SPOOLMAN_SCHEMA
from trio_moon.features.spoolman import Spoolman, SpoolmanSettings
from trio_moon.features.spoolman import endpoints as spoolman_endpoints
from trio_moon.features.webcams import Webcam, Webcams
from trio_moon.features.webcams import endpoints as webcams_endpoints
from trio_moon.kit.notices import Notices
from trio_moon.kit.supervise import Service, Supervisor
from trio_moon.logbook import Logbook
from trio_moon.model.errors import NotFound
from trio_moon.model.paths import DataPaths
from trio_moon.printer.endpoints import PrinterCalls
from trio_moon.printer.endpoints import endpoints as printer_endpoints
from trio_moon.printer.job_tracker import JobTracker
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.rpc.jsonrpc import JsonRpc
from trio_moon.rpc.registry import Registry
from trio_moon.store.database import Database
from trio_moon.store.namespaces import SCHEMA as NAMESPACES_SCHEMA
from trio_moon.store.namespaces import Namespaces
from trio_moon.web.front import Front
from trio_moon.web.settings import FrontSettings

logger = logging.getLogger(__name__)

SCHEMAS = (NAMESPACES_SCHEMA, FILES_SCHEMA, NOTIFIERS_SCHEMA, SPOOLMAN_SCHEMA)


@dataclass(frozen=True)
class Options:
    """What the command line decides."""

    debug: bool = False
    logbook: Logbook | None = None


@dataclass(frozen=True)
class Ground:
    """What every room may be given."""

    document: Document
    paths: DataPaths
    options: Options
    notices: Notices
    supervisor: Supervisor
    audience: Audience
    registry: Registry
    database: Database
    namespaces: Namespaces
    printer: Printer
    jobs: JobTracker
    files: Files
    access: Access
    stop: StopSign
    rooms: list[Room]
    """Every room of the house, once all of them are furnished."""


@dataclass
class StopSign:
    """How the service is asked to end, and what should happen afterwards."""

    asked: trio.Event = field(default_factory=trio.Event)
    restart: bool = False

    def stop(self, *, restart: bool = False) -> None:
        """Ask for the end; with `restart` the program begins anew afterwards."""
        self.restart = self.restart or restart
        self.asked.set()


@dataclass(frozen=True)
class Room:
    """One feature, furnished: its name in `server.info`, its part of the API, its services."""

    component: str
    endpoints: Iterable[Endpoint] = ()
    services: dict[str, Service] = field(default_factory=dict)


class App:
    """Everything, built and connected but not yet running."""

    def __init__(self, document: Document, paths: DataPaths, options: Options) -> None:
        self.document = document
        self.stop = StopSign()
        self.notices = Notices()
        self.supervisor = Supervisor()
        self.audience = Audience()
        self.registry = Registry()
        self.database = Database(paths.database / "trio_moon.db", SCHEMAS)
        server = document.section_or_empty("server")
        self.printer = Printer(_klippy_address(server, paths), self.audience)
        self.jobs = JobTracker(self.printer)
        files = Files(_files_settings(document), paths, self.printer, self.database, self.audience)
        self.notices.add_source(files.warnings)
        namespaces = Namespaces(self.database)
        access = Access(
            AccessSettings.from_section(document.section_or_empty("authorization"), document.problems.append),
            namespaces,
            self.audience,
        )
        self.rooms = [
            Room("authorization", access_endpoints(access), {"access": access}),
            Room("file_manager", files.endpoints(), files.services()),
        ]
        ground = Ground(
            document=document,
            paths=paths,
            options=options,
            notices=self.notices,
            supervisor=self.supervisor,
            audience=self.audience,
            registry=self.registry,
            database=self.database,
            namespaces=namespaces,
            printer=self.printer,
            jobs=self.jobs,
            files=files,
            access=access,
            stop=self.stop,
            rooms=self.rooms,
        )
        self.registry.add(printer_endpoints(self.printer))
        self.registry.fall_back(PrinterCalls(self.printer).forward)
        for build in _ROOMS:  # one after another: a later room may look for an earlier one
            room = build(ground)
            if room is not None:
                self.rooms.append(room)
        for room in self.rooms:
            self.registry.add(room.endpoints)
        self.front = Front(
            FrontSettings.from_section(server, paths.certs),
            self.registry,
            JsonRpc(self.registry),
            self.audience,
            access.guard,
            unix_socket=paths.comms / "moonraker.sock",
            session_ended=self.printer.forget,
        )
        self.problems = [*document.problems, *document.unused()]
        """What is wrong with the configuration, known once every room has taken its settings."""
        self._gather_notices()

    def _gather_notices(self) -> None:
        self.notices.add_source(lambda: [problem.as_line() for problem in self.problems])
        self.notices.add_source(lambda: self.database.warnings)
        self.notices.add_source(
            lambda: [f"{record.name} keeps failing: {record.last_error}" for record in self.supervisor.failed()]
        )


def _klippy_address(server: Section, paths: DataPaths) -> Path:
    return server.path("klippy_uds_address", paths.comms / "klippy.sock")


def _files_settings(document: Document) -> FilesSettings:
    largest = document.section_or_empty("server").size_mib("max_upload_size", 1024, minimum=1)
    settings = FilesSettings(max_upload_bytes=largest)
    with document.guard("file_manager"):
        section = document.section_or_empty("file_manager")
        settings = FilesSettings.from_section(section, max_upload_bytes=largest)
    return settings


# --- the rooms: each function furnishes one, or returns None when it isn't configured


def _server(ground: Ground) -> Room:
    settings = DataStoreSettings()
    with ground.document.guard("data_store"):
        settings = DataStoreSettings.from_section(ground.document.section_or_empty("data_store"))
    server = Server(
        Surroundings(
            klippy=ground.printer,
            supervisor=ground.supervisor,
            identities=ground.access,
            components=lambda: [room.component for room in ground.rooms],
            directories=ground.files.registered_directories,
            warnings=ground.notices,
            connections=lambda: len(ground.audience),
            configuration=ground.document.as_wire,
            restart=lambda: ground.stop.stop(restart=True),
            log=ground.options.logbook,
        )
    )
    temperatures = TemperatureStore(ground.printer, settings.temperature_store_size)
    console = ConsoleStore(ground.printer.console, settings.gcode_store_size)
    services: dict[str, Service] = {"temperatures": temperatures, "console": console}
    return Room("data_store", server_endpoints(server, temperatures, console), services)


def _machine(ground: Ground) -> Room:
    settings = MachineSettings()
    with ground.document.guard("machine"):
        settings = MachineSettings.from_section(ground.document.section_or_empty("machine"))
    machine = Machine(
        settings, ground.paths.root, ground.printer, ground.audience, lambda: ground.stop.stop(restart=True)
    )
    return Room("machine", machine_endpoints(machine), {"machine": machine})


def _proc_stats(ground: Ground) -> Room:
    stats = ProcStats(ground.audience)
    return Room("proc_stats", proc_stats_endpoints(stats), {"proc_stats": stats})


def _database(ground: Ground) -> Room:
    folder = ground.paths.root / "backup" / "database"
    database = UserDatabase(ground.namespaces, ground.database, ground.paths.database / "trio_moon.db", folder)
    return Room("database", database_endpoints(database))


def _webcams(ground: Ground) -> Room:
    configured = ground.document.settings_of_kind("webcam", Webcam.from_section)
    webcams = Webcams(configured, ground.namespaces, ground.audience)
    return Room("webcam", webcams_endpoints(webcams), {"webcams": webcams})


def _spoolman(ground: Ground) -> Room | None:
    settings = ground.document.settings_or_none("spoolman", SpoolmanSettings.from_section)
    if settings is None:
        return None
    klippy_socket = _klippy_address(ground.document.section_or_empty("server"), ground.paths)
    spoolman = Spoolman(
        settings,
        ground.printer,
        ground.database,
        ground.audience,
        ground.jobs,
        ground.files.metadata_of,
        klippy_socket,
    )
    ground.notices.add_source(spoolman.warnings)
    return Room("spoolman", spoolman_endpoints(spoolman), {"spoolman": spoolman})


def _notifiers(ground: Ground) -> Room | None:
    configured = read_notifiers(ground.document)
    if not configured:
        return None
    renderer = Renderer()
    pictures = Pictures(ground.paths.root, lambda name: _snapshot_url(ground, name))
    undelivered = Undelivered(ground.database)
    each = [
        Notifier(
            settings,
            Composer(settings, renderer, pictures),
            AppriseCourier(settings.name),
            undelivered,
            ground.notices,
        )
        for settings in configured
    ]
    alerts = [
        service.alerts for room in ground.rooms for service in room.services.values() if isinstance(service, Spoolman)
    ]
    room = Notifiers(each, ground.printer, ground.jobs, undelivered, alerts)
    services: dict[str, Service] = {"templates": renderer, "notifiers": room}
    services |= {f"notifier {notifier.name}": notifier for notifier in each}
    return Room("notifier", notifiers_endpoints(room, debug=ground.options.debug), services)


def _snapshot_url(ground: Ground, name: str) -> str | None:
    """Where a camera's picture is fetched; None if there is no such camera."""
    for room in ground.rooms:
        webcams = room.services.get("webcams")
        if isinstance(webcams, Webcams):
            with suppress(NotFound):
                return webcams.snapshot_url(name)
    return None


def _octoprint(ground: Ground) -> Room | None:
    settings = ground.document.settings_or_none("octoprint_compat", OctoPrintSettings.from_section)
    if settings is None:
        return None
    octoprint = OctoPrint(settings, ground.printer, OwnApi(ground.registry), instance=str(ground.paths.root))
    return Room("octoprint_compat", octoprint_endpoints(octoprint), {"octoprint": octoprint})


_ROOMS: tuple[Callable[[Ground], Room | None], ...] = (
    _server,
    _machine,
    _proc_stats,
    _database,
    _webcams,
    _spoolman,
    _notifiers,
    _octoprint,
)


# --- life


async def run_app(app: App, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until `app.stop` is given. Nesting is the order of the end: front, rooms, Klipper, store.

    `task_status.started` gets the addresses that the front listens on.
    """
    supervise = app.supervisor.supervise
    logger.info("trio_moon %s", __version__)
    for problem in app.problems:
        logger.warning("%s", problem.as_line())
    async with trio.open_nursery() as ground:
        await ground.start(supervise, "ground", "store", app.database)
        await ground.start(supervise, "ground", "jobs", app.jobs)
        async with trio.open_nursery() as rooms:
            for room in app.rooms:
                for name, service in room.services.items():
                    await rooms.start(supervise, "rooms", name, service)
            await ground.start(supervise, "ground", "klipper", app.printer)
            async with trio.open_nursery() as front:
                addresses = await front.start(supervise, "front", "web", app.front)
                logger.info("listening on %s", ", ".join(addresses))
                task_status.started(addresses)
                await app.stop.asked.wait()
                front.cancel_scope.cancel()
            rooms.cancel_scope.cancel()
        ground.cancel_scope.cancel()
    logger.info("ended")
