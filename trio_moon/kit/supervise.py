"""The nursery tree's keeper: a service that ends by its own bug is restarted with a growing pause, and seen."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import trio
from msgspec import Struct, field

from trio_moon.kit.connect import Pauses

logger = logging.getLogger(__name__)

RESTART_PAUSES = Pauses(first=0.5, longest=30.0)
FAILURES_UNTIL_FAILED = 5
STEADY_AFTER = 60.0
"""A service that has run this long has recovered: its failures are forgotten."""


class Service(Protocol):
    """Something with a life of its own: `__init__` does no I/O, `run` lives until cancelled.

    `task_status.started()` means "my methods can answer", never "my peer is connected".
    """

    async def run(self, *, task_status: trio.TaskStatus[object]) -> object: ...


@runtime_checkable
class HasVitals(Protocol):
    """A service may tell more of itself: queue lengths, whether its peer is there."""

    def vitals(self) -> Mapping[str, object]: ...


class ServiceRecord(Struct):
    """One leaf of the nursery tree as `server.supervisor` shows it. Times are Unix seconds."""

    name: str
    branch: str
    service: Service
    state: str = "starting"
    since: float = field(default_factory=time.time)
    restarts: int = 0
    failures: int = 0
    last_error: str | None = None

    def enter(self, state: str) -> None:
        """Change the state and note the time."""
        if state != self.state:
            self.state, self.since = state, time.time()

    @property
    def broken(self) -> bool:
        """It failed again and again, and hasn't yet run long enough to be believed."""
        steady = self.state == "running" and time.time() - self.since > STEADY_AFTER
        return self.failures >= FAILURES_UNTIL_FAILED and not steady

    def as_wire(self) -> dict[str, object]:
        return {
            "name": self.name,
            "branch": self.branch,
            "state": "failed" if self.broken else self.state,
            "since": self.since,
            "restarts": self.restarts,
            "last_error": self.last_error,
            "vitals": dict(self.service.vitals()) if isinstance(self.service, HasVitals) else {},
        }


class Supervisor:
    """Starts services, restarts what breaks, and keeps the record that the outside world sees."""

    def __init__(self) -> None:
        self._records: dict[str, ServiceRecord] = {}

    @property
    def records(self) -> tuple[ServiceRecord, ...]:
        """Every service that was started, in that order."""
        return tuple(self._records.values())

    def failed(self) -> tuple[ServiceRecord, ...]:
        """The services that broke again and again."""
        return tuple(record for record in self._records.values() if record.broken)

    async def supervise(
        self,
        branch: str,
        name: str,
        service: Service,
        *,
        vital: bool = True,
        task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run `service` until cancelled.

        If it is `vital`, an error before it first said `started()` passes: a taken port must stop the program. The
        others are tried again later: what is damaged in one room's books mustn't keep the printer away.
        """
        record = self._records[name] = ServiceRecord(name, branch, service)
        launched = False

        def announce(value: object) -> None:
            nonlocal launched
            record.enter("running")
            if not launched:
                launched = True
                task_status.started(value)

        try:
            while True:
                began = trio.current_time()
                try:
                    await _run_once(service, announce)
                    error: BaseException = RuntimeError("the service ended without being asked to")
                except Exception as caught:
                    if not launched and vital:
                        raise
                    error = caught
                if not launched:
                    launched = True
                    task_status.started(None)
                if trio.current_time() - began > STEADY_AFTER:
                    record.failures = 0
                await _recover(record, error)
        finally:
            record.enter("stopped")


async def _run_once(service: Service, announce: _Announce) -> None:
    try:
        async with trio.open_nursery() as nursery:
            announce(await nursery.start(service.run))
    except BaseExceptionGroup as group:
        cancelled, errors = group.split(trio.Cancelled)
        if cancelled is None:
            raise
        if errors is not None:  # we are being cancelled: the error can't be mended any more, but it is told
            logger.error("failed while stopping", exc_info=errors)
        raise cancelled from None


class _Announce(Protocol):
    def __call__(self, value: object) -> None: ...


async def _recover(record: ServiceRecord, error: BaseException) -> None:
    record.failures += 1
    record.last_error = describe_error(error)
    record.enter("restarting")
    pause = RESTART_PAUSES(record.failures)
    logger.error("%s broke, restart in %.1f s", record.name, pause, exc_info=error)
    await trio.sleep(pause)
    record.restarts += 1


def innermost(error: BaseException) -> BaseException:
    """What groups of one are about."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def describe_error(error: BaseException) -> str:
    """The innermost reason in one line."""
    error = innermost(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
