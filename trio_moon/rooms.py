"""The rooms of the house: each function furnishes one, or returns None when it isn't configured.

What not everybody configures is imported where it is furnished: a room that nobody uses costs no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import trio
from msgspec import Struct, field

from trio_moon.config.document import Document
from trio_moon.features.access import Access
from trio_moon.features.access import endpoints as access_endpoints
from trio_moon.features.agents import Agents
from trio_moon.features.agents import endpoints as agents_endpoints
from trio_moon.features.database import UserDatabase, instance_id
from trio_moon.features.database import endpoints as database_endpoints
from trio_moon.features.files import Files
from trio_moon.features.history import SCHEMA as HISTORY_SCHEMA
from trio_moon.features.history import Auxiliary, History, JobBook
from trio_moon.features.history import endpoints as history_endpoints
from trio_moon.features.job_queue import SCHEMA as JOB_QUEUE_SCHEMA
from trio_moon.features.job_queue import JobQueue, JobQueueSettings, QueueBook
from trio_moon.features.job_queue import endpoints as job_queue_endpoints
from trio_moon.features.machine import Machine, MachineSettings, ProcStats, machine_endpoints, proc_stats_endpoints
from trio_moon.features.server import (
    ApiDocument,
    ConsoleStore,
    DataStoreSettings,
    Server,
    Surroundings,
    TemperatureStore,
)
from trio_moon.features.server import endpoints as server_endpoints
from trio_moon.features.webcams import Webcams
from trio_moon.features.webcams import endpoints as webcams_endpoints
from trio_moon.kit.notices import Notices
from trio_moon.kit.supervise import Service, Supervisor
from trio_moon.kit.topics import Topic
from trio_moon.logbook import Logbook
from trio_moon.model.errors import NotFound
from trio_moon.model.events import SpoolmanAlert
from trio_moon.model.paths import DataPaths
from trio_moon.printer.job_tracker import JobTracker
from trio_moon.printer.printer import Printer
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.endpoint import Endpoint
from trio_moon.rpc.registry import Registry
from trio_moon.store.database import Database
from trio_moon.store.namespaces import Namespaces


class Options(Struct, frozen=True):
    """What the command line decides."""

    debug: bool = False
    logbook: Logbook | None = None
    troubles: tuple[str, ...] = ()
    """What went wrong on the way here, for `server.info`: folders that can't be made, a log that can't be written."""


class StopSign(Struct):
    """How the service is asked to end, and what should happen afterwards."""

    asked: trio.Event = field(default_factory=trio.Event)
    restart: bool = False

    def stop(self, *, restart: bool = False) -> None:
        """Ask for the end; with `restart` the program begins anew afterwards."""
        self.restart = self.restart or restart
        self.asked.set()


class Ground(Struct, frozen=True):
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
    webcams: Webcams
    access: Access
    agents: Agents
    alerts: Topic[SpoolmanAlert]
    """What the user should hear of spools and of Spoolman."""
    stop: StopSign
    klippy_socket: Path
    route_prefix: str
    """What stands before every path of the API."""
    rooms: list[Room]
    """Every room of the house, once all of them are furnished."""


class Room(Struct, frozen=True):
    """One feature, furnished: its name in `server.info`, its part of the API, its services."""

    component: str
    endpoints: Iterable[Endpoint] = ()
    services: dict[str, Service] = field(default_factory=dict)


# --- rooms that every house has


def _access(ground: Ground) -> Room:
    return Room("authorization", access_endpoints(ground.access), {"access": ground.access})


def _files(ground: Ground) -> Room:
    ground.notices.add_source(ground.files.warnings)
    return Room("file_manager", ground.files.endpoints(), ground.files.services())


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
            agent_comes=ground.agents.admit,
        )
    )
    temperatures = TemperatureStore(ground.printer, settings.temperature_store_size)
    console = ConsoleStore(ground.printer.console, settings.gcode_store_size)
    services: dict[str, Service] = {"temperatures": temperatures, "console": console}
    document = ApiDocument(ground.registry, ground.route_prefix)
    table = (*server_endpoints(server, temperatures, console), *document.endpoints())
    return Room("data_store", table, services)


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
    ground.database.adopt_copies(ground.paths.database_backups)

    async def identity() -> dict[str, object]:
        return {"instance_id": await trio.to_thread.run_sync(instance_id, ground.paths.root)}

    database = UserDatabase(
        ground.namespaces,
        ground.database,
        ground.paths.database / "trio_moon.db",
        ground.paths.database_backups,
        views={"moonraker": identity, "gcode_metadata": ground.files.all_metadata},
        written={"webcams": ground.webcams.reread},
    )
    return Room("database", database_endpoints(database))


def _webcams(ground: Ground) -> Room:
    return Room("webcam", webcams_endpoints(ground.webcams), {"webcams": ground.webcams})


def _history(ground: Ground) -> Room:
    ground.document.section("history")  # older versions of Moonraker wanted it written; it has no options
    ground.database.adopt(HISTORY_SCHEMA)
    history = History(JobBook(ground.database), ground.jobs, ground.files, ground.paths.gcodes, ground.audience)
    if ground.document.has("spoolman"):
        spools = Auxiliary("spoolman", "spool_ids", "Spool IDs used", None, lambda: _spools_of_job(ground))
        history.add_auxiliary(spools)
    return Room("history", history_endpoints(history), {"history": history})


def _spools_of_job(ground: Ground) -> list[int | None]:
    """The spools that the present job has used so far."""
    from trio_moon.features.spoolman import Spoolman

    for room in ground.rooms:
        spoolman = room.services.get("spoolman")
        if isinstance(spoolman, Spoolman):
            return spoolman.jobs.spool_ids()
    return []


def _job_queue(ground: Ground) -> Room:
    settings = JobQueueSettings()
    with ground.document.guard("job_queue"):
        settings = JobQueueSettings.from_section(ground.document.section_or_empty("job_queue"))
    ground.database.adopt(JOB_QUEUE_SCHEMA)
    book = QueueBook(ground.database)
    queue = JobQueue(settings, book, ground.printer, ground.jobs, ground.files, ground.audience)
    ground.files.queue_late_prints_in(queue)
    return Room("job_queue", job_queue_endpoints(queue), {"job queue": queue})


# --- rooms that have to be configured


def _spoolman(ground: Ground) -> Room | None:
    if not ground.document.has("spoolman"):
        return None
    from trio_moon.features.spoolman import SCHEMA, Spoolman, SpoolmanSettings, endpoints

    settings = ground.document.settings_or_none("spoolman", SpoolmanSettings.from_section)
    if settings is None:
        return None
    ground.database.adopt(SCHEMA)
    spoolman = Spoolman(
        settings,
        ground.printer,
        ground.database,
        ground.audience,
        ground.jobs,
        ground.files.metadata_of,
        ground.klippy_socket,
        ground.alerts,
    )
    ground.notices.add_source(spoolman.warnings)
    return Room("spoolman", endpoints(spoolman), {"spoolman": spoolman})


def _notifiers(ground: Ground) -> Room | None:
    if not ground.document.sections("notifier"):
        return None
    from trio_moon.config.renderer import Renderer
    from trio_moon.features.notifiers import (
        SCHEMA,
        AppriseCourier,
        Composer,
        Notifier,
        Notifiers,
        Pictures,
        Undelivered,
        endpoints,
        read_settings,
    )

    configured = read_settings(ground.document)
    if not configured:
        return None
    ground.database.adopt(SCHEMA)
    renderer = Renderer()
    pictures = Pictures(ground.paths.root, lambda name: _snapshot_url(ground.webcams, name))
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
    room = Notifiers(each, ground.printer, ground.jobs, undelivered, [ground.alerts])
    services: dict[str, Service] = {"templates": renderer, "notifiers": room}
    services |= {f"notifier {notifier.name}": notifier for notifier in each}
    return Room("notifier", endpoints(room, debug=ground.options.debug), services)


def _snapshot_url(webcams: Webcams, name: str) -> str | None:
    """Where a camera's picture is fetched; None if there is no such camera."""
    with suppress(NotFound):
        return webcams.snapshot_url(name)
    return None


def _agents(ground: Ground) -> Room:
    return Room("extensions", agents_endpoints(ground.agents))


def _octoprint(ground: Ground) -> Room | None:
    if not ground.document.has("octoprint_compat"):
        return None
    from trio_moon.features.octoprint import OctoPrint, OctoPrintSettings, OwnApi, endpoints

    settings = ground.document.settings_or_none("octoprint_compat", OctoPrintSettings.from_section)
    if settings is None:
        return None
    octoprint = OctoPrint(
        settings, ground.printer, OwnApi(ground.registry), ground.files.print_later, str(ground.paths.root)
    )
    return Room("octoprint_compat", endpoints(octoprint), {"octoprint": octoprint})


ROOMS: tuple[Callable[[Ground], Room | None], ...] = (
    _access,
    _files,
    _server,
    _machine,
    _proc_stats,
    _database,
    _webcams,
    _history,
    _job_queue,
    _spoolman,
    _notifiers,
    _agents,
    _octoprint,
)
"""In the order in which they are furnished and started."""
