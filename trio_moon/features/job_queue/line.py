"""The state of the queue, and what each wish and each news of the printer means to it. Pure.

What stopped a print holds `load_on_startup` back until somebody starts the queue or a print: an emergency stop, a
fault, a cancel, a print that was cut off, a start of the host. Only a printer that was switched off while idle is
expected to go on when it comes back.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from trio_moon.features.job_queue.job import QueuedJob
from trio_moon.features.job_queue.settings import JobQueueSettings

PAUSED, READY, LOADING, STARTING = "paused", "ready", "loading", "starting"

STATE_CHANGED = "state_changed"
JOBS_ADDED = "jobs_added"
JOBS_REMOVED = "jobs_removed"
JOB_LOADED = "job_loaded"

START_DELAY = 0.01
STARTUP_DELAY = 1.0
"""Seconds from Klipper's `ready` to the print that `load_on_startup` starts."""
SWITCHED_OFF = "Lost communication with MCU"
"""How Klipper's message begins when an idle printer was switched off, which is no fault."""

Jobs = tuple[QueuedJob, ...]


class Load(Struct, frozen=True):
    """The next job shall be loaded, after a while and perhaps with the transition's G-code."""

    after: float
    transition: bool = False


class Memory(Struct, frozen=True):
    """What of the state must survive us."""

    ready: bool = False
    pause_requested: bool = False
    held: str = ""
    under_way: bool = False
    boot: str = ""


class Line:
    """The queue's state machine. `tell(action, queue_changed)` hears of every change, in order."""

    def __init__(self, settings: JobQueueSettings, tell: Callable[[str, bool], None]) -> None:
        self._automatic = settings.automatic
        self._load_on_startup = settings.load_on_startup
        self._delay = settings.transition_delay
        self._tell = tell
        self._boot = ""
        self._pause_requested = False
        self._under_way = False
        self._completed_early = False
        self.state = PAUSED
        self.jobs: Jobs = ()
        self.held = ""
        """Why `load_on_startup` loads nothing at present; "" when it may."""

    def begin(self, memory: Memory, jobs: Jobs, boot: str, *, doubt: bool) -> None:
        """Take up what was remembered. `boot` names this start of the host; with a `doubt` a start was cut off."""
        self.jobs, self._boot = jobs, boot
        self.state = READY if memory.ready else PAUSED
        self._pause_requested, self._under_way, self.held = memory.pause_requested, memory.under_way, memory.held
        if doubt:
            self.held = self.held or "the start of a job was cut off"
        if jobs and memory.boot != boot:
            self.held = self.held or "the host has started anew"

    @property
    def memory(self) -> Memory:
        """What should be remembered now."""
        ready = self.state == READY
        return Memory(ready, self._pause_requested, self.held, self._under_way, self._boot)

    @property
    def is_loading(self) -> bool:
        """Whether the next print is on its way."""
        return self.state in (LOADING, STARTING)

    # --- what is in it

    def added(self, jobs: Jobs, *, at_work: bool) -> None:
        """Jobs were added; while something is printed an automatic queue gets ready for them."""
        self.jobs = jobs
        self._tell(JOBS_ADDED, True)
        if self._automatic and not self._pause_requested and at_work and self.state == PAUSED:
            self._enter(READY)

    def removed(self, jobs: Jobs) -> None:
        """Jobs were removed."""
        self.jobs = jobs
        self._tell(JOBS_REMOVED, True)

    def rearranged(self, jobs: Jobs) -> None:
        """The order, or a name, is another. Moonraker has no word for that: frontends look at the queue."""
        self.jobs = jobs
        self._tell(STATE_CHANGED, True)

    # --- what people wish

    def pause(self) -> None:
        """Load nothing until somebody says so."""
        self._enter(PAUSED)
        self._pause_requested = True

    def start(self, *, at_work: bool, connected: bool) -> Load | None:
        """Load the next job now, or (if automatic) after the present print."""
        self._pause_requested, self.held = False, ""
        if self.is_loading:
            return None
        if self.jobs and connected and not at_work:
            self._enter(LOADING)
            return Load(START_DELAY)
        self._enter(READY if self.jobs and self._automatic else PAUSED)
        return None

    # --- what becomes of the job that is loaded

    def starting(self) -> bool:
        """Klipper is about to be asked; False if that is no longer wanted."""
        if not self.is_loading:
            return False
        self._completed_early = False
        self._enter(STARTING)
        return True

    def loaded(self, jobs: Jobs) -> Load | None:
        """The print has begun, and its job is none of the waiting ones any more."""
        self.jobs = jobs
        if self.state == STARTING:
            self.state = READY if jobs and self._automatic else PAUSED
        self._tell(JOB_LOADED, True)
        return self.job_completed() if self._completed_early else None

    def found_loaded(self, jobs: Jobs, *, at_work: bool) -> None:
        """A start whose answer we didn't hear has happened."""
        self.jobs = jobs
        if at_work:
            self.job_goes_on()
            if self.state == PAUSED and jobs and self._automatic and not self._pause_requested:
                self.state = READY
        self._tell(JOB_LOADED, True)

    def failed(self) -> None:
        """The job can't be loaded: somebody has to look."""
        self._enter(PAUSED)

    # --- what the printer does

    def job_goes_on(self) -> None:
        """A print has begun, or goes on: whoever did that has looked at the printer."""
        self.held, self._under_way = "", True

    def job_completed(self) -> Load | None:
        """The print is done."""
        self._under_way = False
        self._completed_early = self.state == STARTING  # a print of a moment, while its start is written down
        if not (self._automatic and self.state == READY and self.jobs):
            return None
        self._enter(LOADING)
        return Load(self._delay, transition=True)

    def job_aborted(self, reason: str) -> None:
        """The print has failed or was cancelled."""
        self.held, self._under_way = reason, False
        if self.jobs:
            self._enter(PAUSED)

    def klippy_stopped(self, message: str) -> None:
        """Klipper has shut the machine down."""
        if self._under_way or not message.startswith(SWITCHED_OFF):
            self.held = message.strip().partition("\n")[0] or "Klipper was shut down"
        self._enter(PAUSED)

    def klippy_lost(self) -> None:
        """Klipper is gone; a print may go on without us."""
        if self.is_loading:
            self._enter(PAUSED)

    def klippy_ready(self, print_state: object, *, at_work: bool, came_up: bool) -> Load | None:
        """Klipper is ready; with `came_up` it became so before our eyes."""
        if at_work:
            self.job_goes_on()
            return None
        if self._under_way and print_state != "complete":
            self.held = self.held or "the last print was cut off"
        self._under_way = False
        if self.is_loading:
            return None
        if self._load_on_startup and came_up and self.jobs and not self.held:
            self._enter(LOADING)
            return Load(STARTUP_DELAY)
        self._enter(PAUSED)
        return None

    @property
    def holds_back(self) -> bool:
        """Whether `load_on_startup` would have loaded a job now, but for what happened."""
        return bool(self._load_on_startup and self.jobs and self.held)

    def _enter(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._tell(STATE_CHANGED, False)
