"""Motion: moves as trapezoids, and the history that `dump_trapq` tells.

Like the real host, the commanded position runs up to two seconds ahead of the printer; the last moves wait in
the look-ahead before they become history, each as a whole; a shutdown forgets what waits there. What is history
is told, shown and counted to its end, also what of it the hardware of a stopped printer wouldn't do any more.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import trio

from trio_moon.testing.klipper_clock import PrintClock
from trio_moon.testing.klipper_gcode import KlipperError
from trio_moon.testing.klipper_truth import FilamentTruth

BUFFER_AHEAD = 2.0  # how far commands may run ahead of the printer
START_DELAY = 0.25  # the first move after a stop begins this much later
LOOK_AHEAD = 0.25  # a move becomes certain when this much has been planned behind it ...
BACKGROUND_FLUSH = 0.4  # ... or when the printer comes this near to its beginning
HISTORY_KEPT = 30.0
FEEDER = "manual_stepper feeder"
FEEDER_ACCEL = 500.0

Vector = tuple[float, float, float]


class Segment(NamedTuple):
    """A piece of a move with constant acceleration, as `dump_trapq` tells it."""

    time: float
    duration: float
    start_velocity: float
    acceleration: float
    start: Vector
    direction: Vector

    def at(self, elapsed: float) -> Vector:
        """The position that many seconds after the segment's start."""
        distance = (self.start_velocity + 0.5 * self.acceleration * elapsed) * elapsed
        return (
            self.start[0] + self.direction[0] * distance,
            self.start[1] + self.direction[1] * distance,
            self.start[2] + self.direction[2] * distance,
        )


def trapezoid(
    time: float,
    distance: float,
    velocity: float,
    acceleration: float,
    start: Vector,
    direction: Vector,
    ratio: float,
) -> Iterator[Segment]:
    """From rest to rest over `distance`; `ratio` scales velocities for an extruder that goes along."""
    ramp = min(velocity**2 / (2 * acceleration), distance / 2)
    cruise_v = math.sqrt(2 * acceleration * ramp)
    ramp_t = cruise_v / acceleration
    cruise_t = (distance - 2 * ramp) / cruise_v
    phases = ((ramp_t, 0.0, acceleration), (cruise_t, cruise_v, 0.0), (ramp_t, cruise_v, -acceleration))
    for duration, start_v, accel in phases:
        if duration <= 0:
            continue
        segment = Segment(time, duration, start_v * ratio, accel * ratio, start, direction)
        yield segment
        time += duration
        start = segment.at(duration)


class MotionQueue:
    """The moves of the toolhead or of one extruder: first planned, then certain, then history for 30 s."""

    def __init__(self, clock: PrintClock, on_certain: Callable[[Segment], None] = lambda segment: None) -> None:
        self._clock = clock
        self._on_certain = on_certain
        self._planned: deque[list[Segment]] = deque()  # a list for each move
        self._history: deque[tuple[float, Segment]] = deque()  # with the clock's time when it became certain
        self._told = 0  # how many of the history's newest a subscriber has not seen yet

    def plan(self, segments: Iterator[Segment]) -> None:
        """Append a move in its pieces."""
        self._planned.append(list(segments))

    def settle(self, print_time: float) -> None:
        """Let planned moves become certain as time and further moves allow; forget the oldest."""
        soon = self._clock.now() + BACKGROUND_FLUSH
        now = trio.current_time()
        while self._planned:
            first, last = self._planned[0][0], self._planned[0][-1]
            if first.time > soon and last.time + last.duration > print_time - LOOK_AHEAD:
                break
            for segment in self._planned.popleft():
                self._history.append((now, segment))
                self._told += 1
                self._on_certain(segment)
        while len(self._history) > 1 and self._history[0][0] < now - HISTORY_KEPT:
            self._history.popleft()
        self._told = min(self._told, len(self._history))

    def mark(self, time: float, position: Vector) -> None:
        """Note that the position was set without a move (homing does)."""
        self._planned.append([Segment(time, 0.0, 0.0, 0.0, position, (0.0, 0.0, 0.0))])

    def take_news(self) -> list[Segment]:
        """What no batch has told yet: at the first subscription the whole history, later what came since."""
        news = [self._history[index][1] for index in range(-self._told, 0)]
        self._told = 0
        return news

    def drop_planned(self) -> None:
        """A shutdown: what waits in the look-ahead never happens."""
        self._planned.clear()

    def at(self, print_time: float) -> tuple[Vector, float] | None:
        """Position and velocity at a moment, or None before the first move."""
        planned = (segment for move in reversed(self._planned) for segment in reversed(move))
        for segment in chain(planned, (segment for _, segment in reversed(self._history))):
            if segment.time <= print_time:
                elapsed = min(segment.duration, print_time - segment.time)
                return segment.at(elapsed), segment.start_velocity + segment.acceleration * elapsed
        return None


@dataclass(frozen=True)
class Limits:
    """The machine: what its `[printer]`, `[stepper_*]` and `[extruder]` sections say."""

    max_velocity: float = 300.0
    max_accel: float = 3000.0
    axis_minimum: Vector = (0.0, 0.0, 0.0)
    axis_maximum: Vector = (200.0, 200.0, 200.0)
    endstops: Vector = (0.0, 0.0, 0.5)
    homing_speed: float = 50.0
    nozzle_diameter: float = 0.4
    filament_diameter: float = 1.75
    max_extrude_only_distance: float = 500.0

    @property
    def filament_area(self) -> float:
        """Cross section of the filament in mm^2."""
        return math.pi * (self.filament_diameter / 2) ** 2

    @property
    def max_extrude_ratio(self) -> float:
        """How much filament a millimetre of path may take."""
        return 4 * self.nozzle_diameter**2 / self.filament_area


class Toolhead:
    """Positions and moves of one life of the host."""

    def __init__(
        self,
        clock: PrintClock,
        limits: Limits,
        extruders: Sequence[str],
        truth: FilamentTruth,
        may_extrude: Callable[[str], bool],
        *,
        has_feeder: bool = False,
    ) -> None:
        """With `has_feeder` there is a manual stepper, whose moves newer Klipper tells beside the extruders'."""
        self.clock = clock
        self.limits = limits
        self.position = [0.0, 0.0, 0.0, 0.0]
        self.homed_axes = ""
        self.extruder = extruders[0]
        self.extruder_positions = dict.fromkeys(extruders, 0.0)
        self.pressure_advance = dict.fromkeys(extruders, 0.0)
        self.print_time = 0.0
        self.last_sync = -math.inf  # when the printer last left its rest, on Trio's clock
        self.halted = False
        self._may_extrude = may_extrude
        self._truth = truth
        self.motion_queues: dict[str, str | None] = dict.fromkeys(extruders)  # None: its own, and never another's
        self.queues = {"toolhead": MotionQueue(clock)}
        for name in extruders:
            self.queues[name] = MotionQueue(clock, self._teller(truth, name))
        if has_feeder:
            self.queues[FEEDER] = MotionQueue(clock)
        self.feeder_mm = 0.0

    @staticmethod
    def _teller(truth: FilamentTruth, name: str) -> Callable[[Segment], None]:
        return lambda segment: truth.note(name, segment.at(segment.duration)[0])

    def move(self, target: Sequence[float], speed: float) -> None:
        """Plan a straight move to x, y, z, e; refused like Klipper refuses it."""
        deltas = [end - start for end, start in zip(target, self.position, strict=True)]
        path = math.dist(target[:3], self.position[:3])
        distance = path or abs(deltas[3])
        if not distance:
            return
        ratio = deltas[3] / distance
        if path:
            self._check_reach(target, deltas)
        velocity, accel = min(speed, self.limits.max_velocity), self.limits.max_accel
        if deltas[3]:
            velocity, accel = self._check_extrusion(deltas, distance, velocity, accel)
        begin = self.sync()
        if path:
            direction = (deltas[0] / path, deltas[1] / path, deltas[2] / path)
            start = (self.position[0], self.position[1], self.position[2])
            self.queues["toolhead"].plan(trapezoid(begin, path, velocity, accel, start, direction, 1.0))
        if deltas[3]:
            advance = self.pressure_advance[self.extruder] if ratio > 0 and (deltas[0] or deltas[1]) else 0.0
            start = (self.position[3], 0.0, 0.0)
            along = (1.0, advance, 0.0)
            self.queues[self.extruder].plan(trapezoid(begin, distance, velocity, accel, start, along, ratio))
        ramp = min(velocity / accel, math.sqrt(distance / accel))
        self.print_time = begin + 2 * ramp + max(0.0, distance - accel * ramp**2) / velocity
        self.position[:] = target
        self.extruder_positions[self.extruder] = target[3]

    def feed(self, target_mm: float, speed: float) -> None:
        """Plan a move of the feeder."""
        distance, begin = abs(target_mm - self.feeder_mm), self.sync()
        along = (math.copysign(1.0, target_mm - self.feeder_mm), 0.0, 0.0)
        start = (self.feeder_mm, 0.0, 0.0)
        if distance:
            pieces = tuple(trapezoid(begin, distance, speed, FEEDER_ACCEL, start, along, 1.0))
            self.queues[FEEDER].plan(iter(pieces))
            self.print_time = pieces[-1].time + pieces[-1].duration
            self.feeder_mm = target_mm

    def _check_reach(self, target: Sequence[float], deltas: Sequence[float]) -> None:
        place = f"{target[0]:.3f} {target[1]:.3f} {target[2]:.3f} [{target[3]:.3f}]"
        for axis, low, high, end, delta in zip(
            "xyz", self.limits.axis_minimum, self.limits.axis_maximum, target, deltas, strict=False
        ):
            if delta and axis not in self.homed_axes:
                raise KlipperError(f"Must home axis first: {place}")
            if delta and not low <= end <= high:
                raise KlipperError(f"Move out of range: {place}")

    def _check_extrusion(
        self, deltas: Sequence[float], distance: float, velocity: float, accel: float
    ) -> tuple[float, float]:
        if not self._may_extrude(self.extruder):
            raise KlipperError("Extrude below minimum temp\nSee the 'min_extrude_temp' config option for details")
        limits, ratio = self.limits, deltas[3] / distance
        if not (deltas[0] or deltas[1]) or ratio < 0:
            if abs(deltas[3]) > limits.max_extrude_only_distance:
                raise KlipperError(
                    f"Extrude only move too long ({deltas[3]:.3f}mm vs "
                    f"{limits.max_extrude_only_distance:.3f}mm)\n"
                    "See the 'max_extrude_only_distance' config option for details"
                )
            slower = limits.max_extrude_ratio / abs(ratio)
            return min(velocity, limits.max_velocity * slower), min(accel, limits.max_accel * slower)
        if ratio > limits.max_extrude_ratio and deltas[3] > limits.nozzle_diameter * limits.max_extrude_ratio:
            area, allowed = ratio * limits.filament_area, limits.max_extrude_ratio * limits.filament_area
            raise KlipperError(
                f"Move exceeds maximum extrusion ({area:.3f}mm^2 vs {allowed:.3f}mm^2)\n"
                "See the 'max_extrude_cross_section' config option for details"
            )
        return velocity, accel

    def sync(self) -> float:
        """The moment when the next move begins; after a rest a little later than now."""
        earliest = self.clock.now() + START_DELAY
        if self.print_time < earliest - START_DELAY:
            self.print_time = earliest
            self.last_sync = trio.current_time()
        return self.print_time

    def dwell(self, seconds: float) -> None:
        """Let the printer stand still for a while."""
        self.print_time = self.sync() + max(0.0, seconds)

    def set_position(self, axis: int, value: float) -> None:
        """Say where an axis is, without moving it."""
        self.position[axis] = value
        self.queues["toolhead"].mark(self.print_time, (self.position[0], self.position[1], self.position[2]))

    def activate(self, extruder: str) -> None:
        """Make an extruder the active one; it goes on from its own position."""
        self.extruder = extruder
        self.position[3] = self.extruder_positions[extruder]

    def synchronise(self, extruder: str, queue: str | None) -> None:
        """Let an extruder's stepper make the moves of this queue from now on, or none."""
        for each in self.queues.values():
            each.settle(math.inf)
        self.motion_queues[extruder] = queue
        self._truth.moved_by[extruder] = queue

    def settle(self) -> None:
        """Bring the history up to now."""
        for queue in self.queues.values():
            queue.settle(self.print_time)

    def halt(self) -> None:
        """Shutdown: nothing that is not certain yet will happen."""
        self.settle()
        self.halted = True
        for queue in self.queues.values():
            queue.drop_planned()
        self.clock.wake()

    async def keep_pace(self) -> None:
        """Wait while the commands are too far ahead of the printer."""
        if self.print_time - self.clock.now() > BUFFER_AHEAD:
            self.settle()
            await self.clock.sleep_until(self.print_time - BUFFER_AHEAD, lambda: self.halted)

    async def wait_moves(self) -> None:
        """Wait until everything commanded has been done."""
        await self.clock.sleep_until(self.print_time, lambda: self.halted)
        self.settle()
