"""Where the millimetres come from: Klipper's executed moves, or its commanded position where it doesn't tell them."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import trio
from msgspec.structs import replace

from trio_moon.features.spoolman.ledger import Ledger, Moment, Move, Session
from trio_moon.features.spoolman.lives import AWAKE, Lives, identify
from trio_moon.features.spoolman.positions import number, parse_executed, parse_moment, parse_move
from trio_moon.features.spoolman.promises import Done, Promises
from trio_moon.kit.periodic import next_beat
from trio_moon.kit.status_box import Status, StatusView
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import KlippyRefused, PeerError
from trio_moon.model.events import ConsoleLine, KlippyConnected, KlippyEvent, KlippyLost, KlippyReady, KlippyShutdown

logger = logging.getLogger(__name__)

QUERY_TIMEOUT = 1.0
"""A choice of spool doesn't wait longer for a silent Klipper."""
SUBSCRIBE_TIMEOUT = 1.5
ASK_AGAIN = 0.5
"""Seconds until a Klipper that didn't answer is asked again."""
STANDING_MM = 1e-4
"""An extruder that is so near to where it was commanded to go is there: Klipper computes the two differently."""
LOOK_EVERY = 1.0
"""Seconds between looks at whether what was commanded has been done."""
EXTRUDER = re.compile(r"extruder\d*")
"""Klipper tells the moves of the toolhead and of manual steppers, too."""
EXTRUDERS = {f"extruder{tool or ''}": tool for tool in range(10)}
"""Those that are watched for moving together, with their tools."""
SYNCHRONISED = re.compile(r"// Extruder '(\w+)' now syncing with '(\w*)'")
"""Klipper says so on the console at once; its state shows it up to a quarter of a second later, behind moves."""
TOOLHEAD_FIELDS = ("extruder", "position", "print_time", "extra_axes")


class Mirror(Protocol):
    """What the printer has told of its objects."""

    def get(self, name: str) -> dict[str, object]: ...

    def observe(self, observer: Callable[[StatusView, float], None]) -> None: ...


class Klipper(Protocol):
    """The printer, as far as measuring needs it."""

    @property
    def mirror(self) -> Mirror: ...

    @property
    def events(self) -> Topic[KlippyEvent]: ...

    @property
    def console(self) -> Topic[ConsoleLine]: ...

    @property
    def state(self) -> str: ...

    @property
    def info(self) -> dict[str, object]: ...

    def need(self, objects: dict[str, frozenset[str] | None]) -> None: ...

    def listen(self, method: str, listener: Callable[[dict[str, object]], None]) -> None: ...

    async def ask(self, method: str, params: object = None, *, deadline: float | None = ...) -> dict[str, object]: ...

    async def query(self, objects: Mapping[str, list[str] | None]) -> tuple[Status, float]: ...


class FilamentMeter:
    """Feeds the ledger from Klipper, through its restarts and ours."""

    def __init__(
        self,
        printer: Klipper,
        ledger: Ledger,
        socket_path: Path | None,
        *,
        source: str,
        on_extruder: Callable[[], None],
        save_soon: Callable[[], None],
    ) -> None:
        """`on_extruder` is called when another extruder is active.

        `save_soon` is called when the ledger holds what Klipper may never tell again.
        """
        self._printer = printer
        self._ledger = ledger
        self._socket_path = socket_path
        self._on_extruder = on_extruder
        self._save_soon = save_soon
        self._wanted_source = source
        self._measuring = False
        """Whether the life of Klipper is known, to which positions belong."""
        self._source_open = self._stopped = False
        self._clock: float | None = math.nan
        """The printer's at the last look; None for one that has no clock: a Klipper without hardware."""
        self._lives = Lives()
        self._promises = Promises()
        self._calls = 0
        self._held: list[Callable[[], None]] = []
        """What Klipper told and isn't counted yet, because a call of its own waits."""
        self._listening: set[str] = set()
        self._subscribed: set[str] = set()
        """The extruders whose moves are told on the present connection."""
        self.source = "position" if source == "position" else "motion"
        self.extruder = "extruder"
        """The active one, as far as we know."""
        self._told: Moment | None = None
        """Where the printer stood when it last told, since we know this life."""
        self._queues: dict[str, object] = {}
        """Whose moves an extruder makes; None for its own, when it was never told otherwise."""
        synchronised = dict.fromkeys(EXTRUDERS, frozenset({"motion_queue"}))
        printer.need({"toolhead": frozenset(TOOLHEAD_FIELDS), "motion_report": frozenset({"trapq"}), **synchronised})
        printer.mirror.observe(self._on_status)
        printer.console.observe(self._on_console)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Measure until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._follow_klipper)
            nursery.start_soon(self._look_at_promises)
            task_status.started()

    async def _follow_klipper(self, *, task_status: trio.TaskStatus[None]) -> None:
        while True:
            with self._printer.events.subscribe() as news:
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                self._close_source()
                if self._identify() != self._ledger.state.session:
                    self._measuring = False  # Klipper went, and perhaps came, while nobody listened
                self._begin_measuring()
                with suppress(trio.EndOfChannel):
                    while True:
                        if self._measuring and not self._source_open:
                            await self._open_source()
                        pause = ASK_AGAIN if self._measuring and not self._source_open else math.inf
                        with trio.move_on_after(pause):
                            self._follow(await news.receive())

    def _follow(self, event: KlippyEvent) -> None:
        match event:
            case KlippyConnected(state=state):
                self._measuring = self._stopped = False
                self._close_source()
                self._lives.connected(state)
            case KlippyReady():
                self._begin_measuring()
            case KlippyShutdown():
                self._stopped = True
                self._begin_measuring()
            case KlippyLost():
                now = trio.current_time()
                self._count_held()
                if self._source_open and self.source == "motion":
                    self._count(self._promises.at_the_end(now, clock=self._clock, stopped=self._stopped))
                self._measuring = False
                self._close_source()
                self._lives.lost(now)
                self._save_soon()

    def _begin_measuring(self) -> None:
        """Klipper has told where it stands: is this the life we know?"""
        if self._measuring or self._printer.state not in AWAKE:
            return
        moment = parse_moment(self._printer.mirror.get("toolhead"))
        if moment is None:
            logger.warning("Klipper tells no usable position of its extruder")
        self._measuring = True
        self._enter_life(moment)
        self._told = None
        self._note_queues({name: self._printer.mirror.get(name).get("motion_queue") for name in EXTRUDERS})
        self._told = moment

    def begin_call(self) -> Moment | None:
        """Klipper calls us: where it stood when it last told, a quarter of a second ago at most; None when it hasn't.

        What it tells until `end_call` is counted then: it may do at once what the call is to change the spool for.
        """
        self._calls += 1
        self._begin_measuring()
        moment = parse_moment(self._printer.mirror.get("toolhead")) if self._measuring else None
        return moment and self._promised(moment)

    def end_call(self) -> None:
        """What Klipper called for is done, or won't be."""
        self._calls -= 1
        if not self._calls:
            self._count_held()

    async def moment_of_call(self, told: Moment) -> Moment:
        """Where the printer stood when it called us just now, having told `told`.

        It answers up to a quarter of a second later, and may have been commanded more by then. That isn't done yet, as
        Klipper plans that far ahead: only a printer that stands still was where it is now.
        """
        with trio.move_on_after(QUERY_TIMEOUT), suppress(PeerError):
            status, _ = await self._printer.query({"toolhead": [*TOOLHEAD_FIELDS], "motion_report": ["live_position"]})
            commanded, done = parse_moment(status.get("toolhead", {})), parse_executed(status)
            if commanded is not None and done is not None and commanded.position_mm - done.position_mm < STANDING_MM:
                return self._promised(commanded)
        return told

    async def moment(self) -> Moment | None:
        """Where the printer stands now; None when it can't tell."""
        self._begin_measuring()
        with trio.move_on_after(QUERY_TIMEOUT), suppress(PeerError):
            if self._measuring:
                status, _ = await self._printer.query({"toolhead": list(TOOLHEAD_FIELDS)})
                moment = parse_moment(status.get("toolhead", {}))
                return moment and self._promised(moment)
        return None

    def _promised(self, moment: Moment) -> Moment:
        if self.source == "position":
            return moment
        return replace(moment, promised=self._promises.upto(moment))

    def _enter_life(self, moment: Moment | None) -> None:
        session = self._identify()
        state = self._ledger.state
        first = state.session is None
        if self._lives.is_another(state, session, moment, trio.current_time()):
            if not first:
                logger.info("Klipper began anew: its extruders count from 0")
            complete = not first or self._lives.began_anew or self._has_given_nothing(moment)
            self._ledger.begin_session(session, complete=complete, met=moment.print_time if moment else 0.0)
            self._promises.forget()
            self._save_soon()
        elif state.session is not None and state.session != (session := state.session.known_by(session)):
            state.session = session
            self._ledger.dirty = True
        self._lives.entered()
        if moment is not None:
            self._promises.note(moment, trio.current_time())
            if first or self.source == "position":
                self._ledger.observe(moment.extruder, moment.position_mm)
            self._ledger.pass_time(moment.print_time)
            self._activate(moment.extruder)

    def _identify(self) -> Session:
        return identify(self._printer.info.get("process_id"), self._socket_path)

    def _has_given_nothing(self, moment: Moment | None) -> bool:
        """Whether no extruder has ever moved in this life. Where an idle one stands, nobody tells."""
        alone = len(self._extruders()) == 1
        return moment is not None and moment.position_mm <= 0 and (alone or moment.print_time == 0)

    async def _open_source(self) -> None:
        """Have the moves told, or be content with positions where Klipper doesn't know how to tell moves."""
        if self._wanted_source == "position":
            self._source_open = True
            return
        try:
            with trio.move_on_after(SUBSCRIBE_TIMEOUT):
                for name in self._extruders():
                    if name not in self._subscribed:  # a slow Klipper gets there in several attempts
                        await self._listen_to(name)
                await self._look()
                self.source, self._source_open = "motion", True
        except KlippyRefused as error:
            if self._wanted_source == "motion":
                logger.warning("Klipper refuses to tell its moves: %s", error)
            self.source, self._source_open = "position", True
            moment = parse_moment(self._printer.mirror.get("toolhead"))
            if moment is not None:
                self._observe_position(moment)
        except PeerError as error:
            logger.info("Klipper doesn't tell its moves yet: %s", error)

    def _close_source(self) -> None:
        self._source_open = False
        self._subscribed.clear()

    async def _look_at_promises(self) -> None:
        while True:
            await next_beat(LOOK_EVERY, self._lacks_moves)
            with trio.move_on_after(QUERY_TIMEOUT), suppress(PeerError):
                await self._look()

    def _lacks_moves(self) -> bool:
        if self._calls or not self._source_open or self.source == "position":
            return False
        return bool(self._promises.lacking(self._ledger))

    async def _look(self) -> None:
        """See where the printer is: moves were perhaps told to nobody, between two connections."""
        toolhead = [*TOOLHEAD_FIELDS, "estimated_print_time"]
        objects = {"toolhead": toolhead, "motion_report": ["live_position"], "webhooks": ["state"]}
        status, _ = await self._printer.query(objects)
        now, stopped = trio.current_time(), status.get("webhooks", {}).get("state") != "ready"
        self._clock = number(status.get("toolhead", {}).get("estimated_print_time")) or None
        self._count(self._promises.kept(now, clock=self._clock, stopped=stopped))
        executed = parse_executed(status)
        if executed is not None:
            self._promises.saw(replace(executed, print_time=self._clock or math.inf), now)

    def _count(self, done: list[Done]) -> None:
        for moment, at in done:
            self._ledger.observe(moment.extruder, moment.position_mm, at)

    def _extruders(self) -> list[str]:
        told = self._printer.mirror.get("motion_report").get("trapq")
        names = [name for name in told if isinstance(name, str)] if isinstance(told, (list, tuple)) else []
        return [name for name in names if EXTRUDER.fullmatch(name)] or ["extruder"]

    async def _listen_to(self, extruder: str) -> None:
        method = f"spoolman_moves_{extruder}"
        if extruder not in self._listening:
            self._listening.add(extruder)
            self._printer.listen(method, lambda params: self._on_moves(extruder, params))
        params = {"name": extruder, "response_template": {"method": method}}
        await self._printer.ask("motion_report/dump_trapq", params)
        self._subscribed.add(extruder)

    # --- inside the reader: no waiting

    def _on_moves(self, extruder: str, params: Mapping[str, object]) -> None:
        data = params.get("data")
        if self._measuring and isinstance(data, list):
            moves = [move for move in map(parse_move, data) if move is not None]
            self._count_in_turn(partial(self._count_moves, extruder, moves))

    def _count_moves(self, extruder: str, moves: list[Move]) -> None:
        self._ledger.move(extruder, moves)
        if extruder != self.extruder:
            self._save_soon()  # nobody can ask where an extruder stands that isn't the active one

    def _count_in_turn(self, count: Callable[[], None]) -> None:
        """Now, or when what Klipper calls for is done."""
        self._held.append(count)
        if not self._calls:
            self._count_held()

    def _count_held(self) -> None:
        held, self._held = self._held, []
        for count in held:
            count()

    def _on_status(self, changes: StatusView, eventtime: float) -> None:
        if not self._measuring:
            return
        shown = EXTRUDERS.keys() & changes.keys()
        if queues := {name: changes[name]["motion_queue"] for name in shown if "motion_queue" in changes[name]}:
            self._note_queues(queues)
        if "toolhead" not in changes:
            return
        toolhead = self._printer.mirror.get("toolhead")
        moment = parse_moment(toolhead)
        if moment is not None:
            self._told = moment
            self._promises.note(moment, trio.current_time())
            if self.source == "position":
                self._count_in_turn(partial(self._observe_position, moment))
        extruder = toolhead.get("extruder")
        if isinstance(extruder, str) and extruder:
            self._activate(extruder)

    def _on_console(self, line: ConsoleLine) -> None:
        if line.type != "response":
            return  # what a client wrote
        self._lives.heard(line.message, trio.current_time())
        if self._measuring and (said := SYNCHRONISED.fullmatch(line.message)):
            self._note_queues({said[1]: said[2]})  # at once: the moves may come in the same read

    def _note_queues(self, queues: Mapping[str, object]) -> None:
        """Whose moves the extruders make: one that is synchronised uses filament when another is told to.

        What came after Klipper last told of the toolhead counts in the new way: macros synchronise, then purge.
        """
        self._queues |= queues
        moved_by = {tool: EXTRUDERS.get(str(self._queues.get(name)), tool) for name, tool in EXTRUDERS.items()}
        drives = {by: [tool for tool in moved_by if moved_by[tool] == by] for by in moved_by}
        drives = {by: tools for by, tools in drives.items() if tools != [by]}
        if drives != self._ledger.state.drives:
            self._ledger.set_drives(drives, self._told and self._promised(self._told))
            self._save_soon()

    def _observe_position(self, moment: Moment) -> None:
        self._ledger.observe(moment.extruder, moment.position_mm)
        self._ledger.pass_time(moment.print_time)

    def _activate(self, extruder: str) -> None:
        if extruder != self.extruder:
            self.extruder = extruder
            self._on_extruder()
