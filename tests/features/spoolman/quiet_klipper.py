"""A Klipper that tells just what a test says, so that each moment can be chosen, and one that prints by the second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import trio

from trio_moon.kit.status_box import Status, StatusView
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import KlippyAway, KlippyRefused
from trio_moon.model.events import ConsoleLine, KlippyConnected, KlippyEvent, KlippyLost, KlippyReady, KlippyShutdown
from trio_moon.printer.mirror import Observer, PrinterMirror

EXTRUDERS = ("extruder", "extruder1")
Listener = Callable[[dict[str, object]], None]


class LoudMirror(PrinterMirror):
    """The real one only logs an observer's error."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Exception] = []

    def observe(self, observer: Observer) -> None:
        def loudly(changes: StatusView, eventtime: float) -> None:
            try:
                observer(changes, eventtime)
            except Exception as error:
                self.errors.append(error)
                raise

        super().observe(loudly)


class QuietKlipper:
    """A Klipper with two extruders that has no life of its own."""

    def __init__(self) -> None:
        self.mirror = LoudMirror()
        self.events: Topic[KlippyEvent] = Topic()
        self.console: Topic[ConsoleLine] = Topic()
        self.state = "disconnected"
        self.info: dict[str, object] = {}
        self.commanded = dict.fromkeys(EXTRUDERS, 0.0)
        self.extruder = "extruder"
        self.print_time: Any = 0.0
        self.clock = 0.0
        """What it says as `estimated_print_time`."""
        self.live_mm = 0.0
        self.tells_moves = True
        self.answers = True
        self.asked: list[str] = []
        self.queues: dict[str, dict[str, object]] = {name: {"motion_queue": None} for name in EXTRUDERS}
        self._listeners: dict[str, Listener] = {}

    def need(self, objects: dict[str, frozenset[str] | None]) -> None:
        assert "estimated_print_time" not in (objects["toolhead"] or ()), "it changes with each update"

    def listen(self, method: str, listener: Listener) -> None:
        self._listeners[method] = listener

    async def ask(self, method: str, params: object = None, *, deadline: float | None = None) -> dict[str, object]:
        assert isinstance(params, dict)
        await self._answer()
        if not self.tells_moves:
            raise KlippyRefused(f"webhooks: No registered callback for path '{method}'")
        self.asked.append(params["name"])
        return {}

    async def query(self, objects: Mapping[str, list[str] | None]) -> tuple[Status, float]:
        await self._answer()
        live: list[object] = [0.0, 0.0, 0.0, self.live_mm]
        return {
            "toolhead": {**self._toolhead(), "estimated_print_time": self.clock},
            "motion_report": {"live_position": live},
            "webhooks": {"state": self.state},
        }, 0.0

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.state == "disconnected":
            raise KlippyAway("Klipper is not connected")
        if not self.answers:
            await trio.sleep_forever()

    def _toolhead(self) -> dict[str, object]:
        position = [0.0, 0.0, 0.0, self.commanded[self.extruder]]
        return {"extruder": self.extruder, "position": position, "print_time": self.print_time, "extra_axes": None}

    # --- what a test lets it do

    async def connect(self, state: str = "ready", process_id: int = 1) -> None:
        """It is there, and told how it stands."""
        self.info = {"process_id": process_id}
        self.events.publish(KlippyConnected(process_id, state))
        self.state = "shutdown" if state == "shutdown" else "ready"
        queues = ["toolhead", "manual_stepper gate", *EXTRUDERS]
        self.mirror.merge({"toolhead": self._toolhead(), "motion_report": {"trapq": queues}, **self.queues}, 0.0)
        self.events.publish(KlippyShutdown("") if state == "shutdown" else KlippyReady(process_id))
        await trio.testing.wait_all_tasks_blocked()

    async def lose(self) -> None:
        """The connection ends."""
        self.state = "disconnected"
        self.mirror.clear()
        self.events.publish(KlippyLost("cut"))
        await trio.testing.wait_all_tasks_blocked()

    def command(self, mm: float, extruder: str = "extruder", seconds: float = 1.0) -> None:
        """Plan a move, without telling anybody."""
        self.extruder = extruder
        self.commanded[extruder] += mm
        self.print_time += seconds

    def tell_status(self) -> None:
        """The update that comes four times a second."""
        self.mirror.merge({"toolhead": self._toolhead()}, 0.0)

    def tell_queue(self, extruder: str, queue: str | None) -> None:
        """Whose moves an extruder's stepper makes."""
        self.queues[extruder] = {"motion_queue": queue}
        self.mirror.merge({extruder: self.queues[extruder]}, 0.0)

    def tell_move(self, start: float, end: float, extruder: str = "extruder", time: float = 0.0) -> None:
        """A batch with one executed move."""
        self.tell_rows(extruder, [time, 1.0, end - start, 0.0, [start, 0.0, 0.0], [1.0, 0.04, 0.0]])

    def tell_rows(self, extruder: str, *rows: object) -> None:
        self._listeners[f"spoolman_moves_{extruder}"]({"data": list(rows)})


@dataclass
class Step:
    """A second of one extruder's way."""

    extruder: str
    time: float
    start_mm: float
    end_mm: float


class PrintingKlipper(QuietKlipper):
    """Does each planned step in its second, tells it when a test lets it, and knows how much was really extruded."""

    def __init__(self) -> None:
        super().__init__()
        self.process_id = 1
        self._introduced: set[str] = set()
        self.extruded_mm = 0.0
        """The truth, over all lives."""
        self._begin_life()

    def _begin_life(self) -> None:
        self.commanded = dict.fromkeys(EXTRUDERS, 0.0)
        self.extruder = EXTRUDERS[0]
        self.print_time = self.clock = self.live_mm = self._flushed = 0.0
        self._planned: list[Step] = []
        self._untold: list[Step] = []
        self._highest = dict.fromkeys(EXTRUDERS, 0.0)

    def plan(self, *lengths_mm: float, flushed: bool = True) -> None:
        """The active extruder is to go forth and back by these lengths, a second each; the status says so.

        Unless `flushed` the steps wait in the look-ahead: the position contains them, the print time doesn't.
        """
        self.print_time = max(self.print_time, self.clock)
        for length in lengths_mm:
            start, time = self.commanded[self.extruder], self.print_time
            self.command(length, self.extruder)
            self._planned.append(Step(self.extruder, time, start, start + length))
        if flushed:
            self._flushed = self.print_time
        if self.state == "ready":
            self.tell_status()

    def pass_time(self, seconds: float) -> None:
        """The steps of these seconds are done. What Klipper shows as live position stays what it was."""
        self.clock += seconds
        if self.clock >= self._flushed:
            self._flushed = self.print_time
        while self._planned and self._planned[0].time + 1.0 <= self.clock:
            step = self._planned.pop(0)
            self._untold.append(step)
            self.extruded_mm += max(0.0, step.end_mm - self._highest[step.extruder])
            self._highest[step.extruder] = max(self._highest[step.extruder], step.end_mm)

    def refresh_live_position(self) -> None:
        """It is computed four times a second, for the extruder that is active then."""
        waiting = [step.start_mm for step in self._planned if step.extruder == self.extruder]
        self.live_mm = waiting[0] if waiting else self.commanded[self.extruder]

    def finish(self) -> None:
        """All that is planned is done."""
        self.pass_time(max(0.0, self.print_time - self.clock))
        self.refresh_live_position()

    def tell_steps(self, *extruders: str) -> None:
        """Batches with what these extruders did and nobody was told yet."""
        steps = [step for step in self._untold if step.extruder in extruders]
        self._untold = [step for step in self._untold if step.extruder not in extruders]
        for step in steps if self.tells_moves else ():
            self.tell_move(step.start_mm, step.end_mm, step.extruder, step.time)

    def lose_steps(self) -> None:
        """What the active extruder did was told to a connection that had just ended."""
        self._untold = [step for step in self._untold if step.extruder != self.extruder]

    def activate(self, extruder: str) -> None:
        """A tool change; it flushes the look-ahead."""
        self.extruder = extruder
        self._flushed = self.print_time
        if self.state == "ready":
            self.tell_status()

    def _toolhead(self) -> dict[str, object]:
        return {**super()._toolhead(), "print_time": self._flushed}

    def go_on(self, extruder: str, mm: float, seconds: float) -> None:
        """What happens while nobody listens."""
        self.activate(extruder)
        self.plan(mm)
        self.pass_time(seconds)

    def stop(self) -> None:
        """An emergency stop: what is planned never happens."""
        self.refresh_live_position()
        self._planned.clear()
        self.state = "shutdown"
        self.events.publish(KlippyShutdown("M112"))

    def begin_anew(self, *, another_process: bool) -> None:
        """RESTART, or a new process: extruders stand at 0 again. What was told to nobody never will be."""
        self.process_id += another_process
        self._begin_life()

    def meet_another(self) -> None:
        """Who listened is dead."""
        self.state = "disconnected"
        self.mirror = LoudMirror()
        self._listeners.clear()

    async def come_back(self, state: str = "ready") -> None:
        """The connection is there again."""
        self._introduced.clear()
        await self.connect(state, self.process_id)

    async def ask(self, method: str, params: object = None, *, deadline: float | None = None) -> dict[str, object]:
        answer = await super().ask(method, params, deadline=deadline)
        if self.asked[-1] not in self._introduced:
            self._introduced.add(self.asked[-1])
            self.tell_steps(self.asked[-1])  # what was done while nobody listened
        return answer
