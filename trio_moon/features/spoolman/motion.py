"""Where the millimetres come from: Klipper's executed moves, or its commanded position where it doesn't tell them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import trio

from trio_moon.features.spoolman.ledger import Ledger, Moment, Move, Session
from trio_moon.kit.periodic import periodic
from trio_moon.kit.status_box import Status, StatusView
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import KlippyRefused, PeerError
from trio_moon.model.events import ConsoleLine, KlippyConnected, KlippyEvent, KlippyLost, KlippyReady, KlippyShutdown

logger = logging.getLogger(__name__)

QUERY_TIMEOUT = 1.0
"""A choice of spool doesn't wait longer for a silent Klipper."""
SUBSCRIBE_TIMEOUT = 2.5
E_AXIS = 3
LOOK_EVERY = 1.0
"""Seconds between looks at whether what was commanded has been done."""
RESTART_TAKES = 1.0
"""Klipper waits so long between its lives."""
RETRACTION_MM = 10.0
FAREWELL = "// Klipper state: Disconnect"
"""What Klipper says on the console before it restarts."""
ASK_AGAIN = 2.0
"""Seconds until a Klipper that didn't answer is asked again."""
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
        on_session: Callable[[], None],
    ) -> None:
        """`on_extruder` is called when another extruder is active, `on_session` when Klipper has begun anew."""
        self._printer = printer
        self._ledger = ledger
        self._socket_path = socket_path
        self._on_extruder = on_extruder
        self._on_session = on_session
        self._wanted_source = source
        self._measuring = False
        self._source_open = False
        self._began_anew = self._said_farewell = False
        self._promises: dict[str, Moment] = {}
        """Where each extruder was commanded to go last; it has been there unless the printer was stopped."""
        self._doubted: dict[str, Moment] = {}
        self._lost_at = -math.inf
        self._said_farewell = False
        self._listening: set[str] = set()
        self.source = "position" if source == "position" else "motion"
        self.extruder = "extruder"
        """The active one, as far as we know."""
        printer.need({"toolhead": frozenset(TOOLHEAD_FIELDS), "motion_report": frozenset({"trapq"})})
        printer.mirror.observe(self._on_status)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Measure until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._follow_klipper)
            nursery.start_soon(periodic, LOOK_EVERY, self._look_at_promises)
            nursery.start_soon(self._hear_farewells)
            task_status.started()

    async def _follow_klipper(self, *, task_status: trio.TaskStatus[None]) -> None:
        while True:
            with self._printer.events.subscribe() as news:
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                self._source_open = False
                self._begin_measuring()
                with suppress(trio.EndOfChannel):
                    while True:
                        if self._measuring and not self._source_open:
                            await self._open_source()
                        pause = ASK_AGAIN if self._measuring and not self._source_open else math.inf
                        with trio.move_on_after(pause):
                            self._follow(await news.receive())

    async def _hear_farewells(self) -> None:
        while True:
            with self._printer.console.subscribe() as lines:
                async for line in lines:
                    self._said_farewell = self._said_farewell or line.message == FAREWELL

    def _follow(self, event: KlippyEvent) -> None:
        match event:
            case KlippyConnected(_, state):
                self._measuring = self._source_open = False
                self._began_anew = state not in ("ready", "shutdown")
            case KlippyReady() | KlippyShutdown():
                self._begin_measuring()
            case KlippyLost():
                self._measuring = self._source_open = False
                self._lost_at = trio.current_time()

    def _begin_measuring(self) -> None:
        """Klipper has told where it stands: is this the life we know?"""
        if self._measuring or self._printer.state not in ("ready", "shutdown"):
            return
        moment = _moment(self._printer.mirror.get("toolhead"))
        if moment is None:
            logger.warning("Klipper tells no usable position of its extruder")
        self._measuring = True
        self._enter_session(moment)

    async def moment(self) -> Moment | None:
        """Where the printer stands now; None when it can't tell."""
        self._begin_measuring()
        with trio.move_on_after(QUERY_TIMEOUT), suppress(PeerError):
            if self._measuring:
                status, _ = await self._printer.query({"toolhead": list(TOOLHEAD_FIELDS)})
                moment = _moment(status.get("toolhead", {}))
                return replace(moment, promised=self.source == "motion") if moment else None
        return None

    def _enter_session(self, moment: Moment | None) -> None:
        process_id = self._printer.info.get("process_id")
        session = Session(process_id if isinstance(process_id, int) else 0, self._socket_identity())
        state = self._ledger.state
        first = state.session is None
        if state.session is None:
            self._ledger.begin_session(session, complete=self._began_anew or not (moment and moment.position_mm > 0))
            self._on_session()
        elif self._began_anew or self._said_farewell or self._is_another(state.session, session, moment):
            logger.info("Klipper began anew: its extruders count from 0")
            self._ledger.begin_session(session, complete=True)
            self._on_session()
        elif session != state.session:
            state.session = session
            self._ledger.dirty = True
        self._began_anew = False
        self._promises.clear()
        if moment is not None:
            self._promises[moment.extruder] = moment
            if first or self.source == "position":
                self._ledger.observe(moment.extruder, moment.position_mm)
            self._ledger.pass_time(moment.print_time)
            self._activate(moment.extruder)

    def _is_another(self, known: Session, session: Session, moment: Moment | None) -> bool:
        """Whether these are two lives of Klipper; what isn't known of one of them proves nothing."""
        if known.process_id and session.process_id and known.process_id != session.process_id:
            return True
        if moment is not None and moment.print_time < self._ledger.state.print_time:
            return True
        if not known.socket or not session.socket or known.socket == session.socket:
            return False
        # another file: another life, unless somebody between us and Klipper has just made it anew
        last = self._ledger.state.positions.get(moment.extruder, 0.0) if moment else math.inf
        goes_on = moment is not None and moment.position_mm >= last - RETRACTION_MM
        return not goes_on or trio.current_time() - self._lost_at > RESTART_TAKES

    def _socket_identity(self) -> str:
        try:
            stat = self._socket_path.stat() if self._socket_path else None
        except OSError:
            return ""
        return str(stat.st_mtime_ns) if stat else ""  # not ctime: somebody may change the socket's owner or mode

    async def _open_source(self) -> None:
        """Have the moves told, or be content with positions where Klipper doesn't know how to tell moves."""
        if self._wanted_source == "position":
            self._source_open = True
            return
        try:
            with trio.move_on_after(SUBSCRIBE_TIMEOUT):
                for name in self._extruders():
                    await self._listen_to(name)
                await self._catch_up()
                self.source, self._source_open = "motion", True
        except KlippyRefused as error:
            if self._wanted_source == "motion":
                logger.warning("Klipper refuses to tell its moves: %s", error)
            self.source, self._source_open = "position", True
            self._observe_position()
        except PeerError as error:
            logger.info("Klipper doesn't tell its moves yet: %s", error)

    async def _catch_up(self) -> Status:
        """Count where the printer is now: moves were perhaps told to nobody, between two connections."""
        objects = {"toolhead": None, "motion_report": ["live_position"], "webhooks": ["state"]}
        status, _ = await self._printer.query(objects)
        live = {"position": status.get("motion_report", {}).get("live_position"), "extra_axes": None}
        moment = _moment({**status.get("toolhead", {}), **live})
        if moment is not None:
            self._ledger.observe(moment.extruder, moment.position_mm)
        return status

    async def _look_at_promises(self) -> None:
        """Moves are told late, and those around a lost connection never: what was commanded and done counts too."""
        lacking = {name: m for name, m in self._promises.items() if self._ledger.lacks(name, m.position_mm)}
        doubted, self._doubted = self._doubted, lacking
        if not lacking or not self._source_open or self.source == "position":
            return
        with trio.move_on_after(QUERY_TIMEOUT), suppress(PeerError):
            status = await self._catch_up()
            done: Any = status.get("toolhead", {}).get("estimated_print_time")
            stopped = status.get("webhooks", {}).get("state") != "ready"
            for name, moment in lacking.items():
                still = doubted.get(name) == moment
                if self._promises.get(name) is not moment:
                    continue  # it went on, or Klipper began anew while we asked
                if stopped and still:
                    del self._promises[name]  # what wasn't done by now never will be
                # a Klipper without hardware has no clock and shows 0: what stays so for a while is done
                elif not stopped and (done >= moment.print_time if _is_clock(done) else still):
                    self._ledger.observe(name, moment.position_mm)

    def _extruders(self) -> list[str]:
        told = self._printer.mirror.get("motion_report").get("trapq")
        names = [name for name in told if isinstance(name, str)] if isinstance(told, (list, tuple)) else []
        return [name for name in names if name != "toolhead"] or ["extruder"]

    async def _listen_to(self, extruder: str) -> None:
        method = f"spoolman_moves_{extruder}"
        if extruder not in self._listening:
            self._listening.add(extruder)
            self._printer.listen(method, lambda params: self._on_moves(extruder, params))
        params = {"name": extruder, "response_template": {"method": method}}
        await self._printer.ask("motion_report/dump_trapq", params)

    # --- inside the reader: no waiting

    def _on_moves(self, extruder: str, params: Mapping[str, object]) -> None:
        data = params.get("data")
        if self._measuring and isinstance(data, list):
            self._ledger.move(extruder, [move for move in map(_parse_move, data) if move is not None])

    def _on_status(self, changes: StatusView, eventtime: float) -> None:
        if "toolhead" not in changes or not self._measuring:
            return
        if self.source == "position":
            self._observe_position()
        toolhead = self._printer.mirror.get("toolhead")
        moment = _moment(toolhead)
        if moment is not None:
            self._promises[moment.extruder] = moment
        extruder = toolhead.get("extruder")
        if isinstance(extruder, str) and extruder:
            self._activate(extruder)

    def _observe_position(self) -> None:
        moment = _moment(self._printer.mirror.get("toolhead"))
        if moment is not None:
            if moment.print_time < self._ledger.state.print_time:
                self._enter_session(moment)
            self._ledger.observe(moment.extruder, moment.position_mm)
            self._ledger.pass_time(moment.print_time)

    def _activate(self, extruder: str) -> None:
        if extruder != self.extruder:
            self.extruder = extruder
            self._on_extruder()


def _moment(toolhead: Mapping[str, Any]) -> Moment | None:
    """The position that is the active extruder's; None when the fields don't make sense."""
    position, extruder, print_time = toolhead.get("position"), toolhead.get("extruder"), toolhead.get("print_time")
    axes = toolhead.get("extra_axes")
    axis = axes.get(extruder, E_AXIS) if isinstance(axes, Mapping) else E_AXIS
    if not isinstance(position, (list, tuple)) or not isinstance(axis, int) or not 0 <= axis < len(position):
        return None
    e, time = position[axis], print_time if isinstance(print_time, (int, float)) else 0.0
    if not isinstance(extruder, str) or not extruder or not isinstance(e, (int, float)):
        return None
    try:
        return Moment(float(time), extruder, float(e))
    except OverflowError:
        return None


def _is_clock(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0


def _parse_move(row: Any) -> Move | None:
    try:
        time, duration, velocity, acceleration, (start, *_), (direction, *_) = row
        end = start + direction * (velocity + 0.5 * acceleration * duration) * duration
        return Move(float(time), float(start), float(end))
    except (TypeError, ValueError):
        return None
