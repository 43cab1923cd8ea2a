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
from trio_moon.kit.status_box import Status, StatusView
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import KlippyRefused, PeerError
from trio_moon.model.events import KlippyConnected, KlippyEvent, KlippyLost, KlippyReady, KlippyShutdown

logger = logging.getLogger(__name__)

QUERY_TIMEOUT = 1.0
"""A choice of spool doesn't wait longer for a silent Klipper."""
SUBSCRIBE_TIMEOUT = 2.5
E_AXIS = 3
USUALLY_AHEAD = 2.0
"""Seconds that commands run ahead of the printer."""
NEWS_OF_STOP = 0.5
"""Seconds in which we hear that the printer was stopped."""
TOLD_WITHIN = USUALLY_AHEAD + 1.0
"""Seconds within which commands are done and moves are told; what isn't then is asked for."""
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
        self._began_anew = False
        self._behind = trio.Event()
        """More was commanded than was told ..."""
        self._still_at = math.inf
        """... and at this time (Trio's clock) it should have been told, unless still more is commanded."""
        self._listening: set[str] = set()
        self.source = "position" if source == "position" else "motion"
        self.extruder = "extruder"
        """The active one, as far as we know."""
        printer.need({"toolhead": frozenset(TOOLHEAD_FIELDS)})
        printer.mirror.observe(self._on_status)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow Klipper's lives until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_up)
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

    def _follow(self, event: KlippyEvent) -> None:
        match event:
            case KlippyConnected(_, state):
                self._measuring = self._source_open = False
                self._began_anew = state not in ("ready", "shutdown")
            case KlippyReady() | KlippyShutdown():
                self._begin_measuring()
            case KlippyLost():
                self._measuring = self._source_open = False

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
        elif self._began_anew or _differ(state.session, session) or (moment and moment.print_time < state.print_time):
            logger.info("Klipper began anew: its extruders count from 0")
            self._ledger.begin_session(session, complete=True)
            self._on_session()
        elif session != state.session:
            state.session = session
            self._ledger.dirty = True
        self._began_anew = False
        if moment is not None:
            if first or self.source == "position":
                self._ledger.observe(moment.extruder, moment.position_mm)
            self._ledger.pass_time(moment.print_time)
            self._activate(moment.extruder)

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
                for name in await self._extruders():
                    await self._listen_to(name)
                await self._catch_up()
                self._expect_moves()
                self.source, self._source_open = "motion", True
        except KlippyRefused as error:
            if self._wanted_source == "motion":
                logger.warning("Klipper refuses to tell its moves: %s", error)
            self.source, self._source_open = "position", True
            self._observe_position()
        except PeerError as error:
            logger.info("Klipper doesn't tell its moves yet: %s", error)

    async def _keep_up(self) -> None:
        """Moves that were told to nobody, or not yet, show in where the printer stands when it has come to rest."""
        while True:
            await self._behind.wait()
            while trio.current_time() < self._still_at:  # noqa: ASYNC110 - it moves on while something moves
                await trio.sleep_until(self._still_at)
            self._behind = trio.Event()
            if self._source_open and self.source == "motion":
                asked = False
                with trio.move_on_after(SUBSCRIBE_TIMEOUT), suppress(PeerError):
                    await self._catch_up()
                    asked = True
                if not asked:
                    self._expect_moves()  # Klipper is slow to answer: once more

    def _expect_moves(self) -> None:
        self._still_at = trio.current_time() + TOLD_WITHIN
        self._behind.set()

    async def _catch_up(self) -> None:
        """Count what the printer has surely done: not what it was commanded to do before somebody stopped it."""
        objects = {"toolhead": [*TOOLHEAD_FIELDS, "estimated_print_time"], "motion_report": ["live_position"]}
        status, _ = await self._printer.query(objects)
        toolhead = status.get("toolhead", {})
        live = _moment(
            {**toolhead, "position": status.get("motion_report", {}).get("live_position"), "extra_axes": None}
        )
        if live is not None:
            self._ledger.observe(live.extruder, live.position_mm)
        moment, now = _moment(toolhead), toolhead.get("estimated_print_time")
        if moment is None or self._printer.state != "ready":
            return
        if isinstance(now, (int, float)) and now > 0:
            done = now - moment.print_time > NEWS_OF_STOP
        else:
            done = self._still_at <= trio.current_time()  # a host that writes to a file has no clock
        if done:
            self._ledger.observe(moment.extruder, moment.position_mm)
        elif self._is_behind(moment):
            self._expect_moves()

    def _is_behind(self, moment: Moment) -> bool:
        return moment.position_mm > self._ledger.state.marks.get(moment.extruder, 0.0)

    async def _extruders(self) -> list[str]:
        status, _ = await self._printer.query({"motion_report": ["trapq"]})
        told = status.get("motion_report", {}).get("trapq")
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
        toolhead = self._printer.mirror.get("toolhead")
        if self.source == "position":
            self._observe_position()
        elif not changes["toolhead"].keys().isdisjoint(("position", "print_time")):
            moment = _moment(toolhead)
            if moment is not None and self._is_behind(moment):
                self._expect_moves()
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


def _differ(one: Session, other: Session) -> bool:
    """Whether these are surely two lives of Klipper; what isn't known of one of them proves nothing."""
    pairs = ((one.process_id, other.process_id), (one.socket, other.socket))
    return any(a and b and a != b for a, b in pairs)


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


def _parse_move(row: Any) -> Move | None:
    try:
        time, duration, velocity, acceleration, (start, *_), (direction, *_) = row
        end = start + direction * (velocity + 0.5 * acceleration * duration) * duration
        return Move(float(time), float(start), float(end))
    except (TypeError, ValueError):
        return None
