"""The map of the product: builds every part, connects it, and opens the nurseries. Read this first.

    run_app                     an arrow of time: what is opened first is closed last
    ├─ ground   store           SQLite behind one worker thread
    │           jobs            what becomes of the present print
    │           klipper         connect, identify, subscribe, read for ever
    ├─ rooms    …               one function each in `rooms.py`
    └─ front    web             HTTP, websockets and the unix socket

A part gets its neighbours as constructor arguments, here and nowhere else.
"""

from __future__ import annotations

import logging
from functools import partial

import trio

from trio_moon import __version__
from trio_moon.config.document import Document
from trio_moon.features.access import SCHEMA as ACCESS_SCHEMA
from trio_moon.features.access import Access, AccessSettings
from trio_moon.features.agents import Agents
from trio_moon.features.database import instance_id
from trio_moon.features.files import SCHEMA as FILES_SCHEMA
from trio_moon.features.files import Files, FilesSettings
from trio_moon.features.webcams import Webcam, Webcams
from trio_moon.kit.notices import Notices
from trio_moon.kit.supervise import Supervisor
from trio_moon.kit.topics import Topic
from trio_moon.model.paths import DataPaths
from trio_moon.printer.endpoints import PrinterCalls
from trio_moon.printer.endpoints import endpoints as printer_endpoints
from trio_moon.printer.job_tracker import JobTracker
from trio_moon.printer.printer import Printer
from trio_moon.rooms import ROOMS, Ground, Options, Room, StopSign
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Session
from trio_moon.rpc.jsonrpc import JsonRpc
from trio_moon.rpc.registry import Registry
from trio_moon.store.database import Database
from trio_moon.store.namespaces import SCHEMA as NAMESPACES_SCHEMA
from trio_moon.store.namespaces import Namespaces
from trio_moon.web.front import Front
from trio_moon.web.settings import FrontSettings

__all__ = ["App", "Options", "run_app"]

logger = logging.getLogger(__name__)

MOST_PROBLEMS_TOLD = 100
"""In the log and on frontends: a file that isn't a configuration at all, caught by an [include], has thousands."""


class App:
    """Everything, built and connected but not yet running."""

    def __init__(self, document: Document, paths: DataPaths, options: Options) -> None:
        self.document = document
        self._options = options
        self.stop = StopSign()
        self.notices = Notices()
        self.supervisor = Supervisor()
        self.audience = Audience()
        self.registry = Registry()
        self.database = Database(paths.database / "trio_moon.db", (NAMESPACES_SCHEMA, ACCESS_SCHEMA, FILES_SCHEMA))
        front = FrontSettings.from_document(document, paths.certs)
        server = document.section_or_empty("server")
        own = paths.comms / "klippy.sock"  # where no other printer's Klipper can be, whatever an unusable path meant
        klippy_socket = document.usable(server, lambda: server.path("klippy_uds_address", own), own)
        self.printer = Printer(klippy_socket, self.audience)
        self.jobs = JobTracker(self.printer)
        namespaces = Namespaces(self.database)
        agents = Agents(self.printer, self.audience)

        def session_ended(session: Session) -> None:
            self.printer.forget(session)
            agents.forget(session)

        access = Access(
            AccessSettings.from_section(document.section_or_empty("authorization"), document.problems.append),
            namespaces,
            self.audience,
            rights_ended=session_ended,
        )
        self.rooms: list[Room] = []
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
            files=_files(document, paths, self.printer, self.database, self.audience, front.max_upload_size),
            webcams=Webcams(
                document.settings_of_kind("webcam", Webcam.from_section),
                namespaces,
                self.audience,
                partial(instance_id, paths.root),
            ),
            access=access,
            agents=agents,
            alerts=Topic(),
            stop=self.stop,
            klippy_socket=klippy_socket,
            route_prefix=front.route_prefix,
            rooms=self.rooms,
        )
        self.registry.add(printer_endpoints(self.printer))
        self.registry.fall_back(PrinterCalls(self.printer).forward)
        self.rooms += [room for furnish in ROOMS if (room := furnish(ground)) is not None]
        for room in self.rooms:
            self.registry.add(room.endpoints)
        self.front = Front(
            front,
            self.registry,
            JsonRpc(self.registry),
            self.audience,
            access.guard,
            unix_socket=paths.comms / "moonraker.sock",
            klippy_socket=klippy_socket,
            session_ended=session_ended,
        )
        self.problems = [*document.problems, *document.unused()]
        """What is wrong with the configuration, known once every room has taken its settings."""
        self.told_problems = [problem.as_line() for problem in self.problems[:MOST_PROBLEMS_TOLD]]
        if len(self.problems) > MOST_PROBLEMS_TOLD:
            self.told_problems.append(f"{len(self.problems)} problems in all: `trio-moon check` shows them")
        self._gather_notices()

    def _gather_notices(self) -> None:
        self.notices.add_source(lambda: self.told_problems)
        self.notices.add_source(lambda: self._options.troubles)
        self.notices.add_source(lambda: self.database.warnings)
        self.notices.add_source(self.front.warnings)
        self.notices.add_source(
            lambda: [f"{record.name} keeps failing: {record.last_error}" for record in self.supervisor.failed()]
        )


def _files(
    document: Document, paths: DataPaths, printer: Printer, database: Database, audience: Audience, largest: int
) -> Files:
    # until the section has been read without a mistake, the configuration is closed
    settings = FilesSettings(max_upload_bytes=largest, config_writable=False)
    with document.guard("file_manager"):
        section = document.section_or_empty("file_manager")
        settings = FilesSettings.from_section(section, max_upload_bytes=largest)
    secrets = document.secrets_path
    return Files(settings, paths, printer, database, audience, reserved=(secrets,) if secrets else ())


# --- life


async def run_app(app: App, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until `app.stop` is given. Nesting is the order of the end: front, rooms, Klipper, store.

    `task_status.started` gets the addresses that the front listens on.
    """
    supervise = app.supervisor.supervise
    logger.info("trio_moon %s", __version__)
    for line in app.told_problems:
        logger.warning("%s", line)
    async with trio.open_nursery() as ground:
        await ground.start(supervise, "ground", "store", app.database)
        await ground.start(supervise, "ground", "jobs", app.jobs)
        async with trio.open_nursery() as rooms:
            for room in app.rooms:
                start = partial(supervise, vital=room.component == "authorization")  # nobody gets in before it is ready
                for name, service in room.services.items():
                    await rooms.start(start, "rooms", name, service)
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
