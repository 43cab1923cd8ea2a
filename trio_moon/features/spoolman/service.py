"""The room's state: which spool feeds which tool, what is pending, and the tasks that keep it true."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import trio

from trio_moon.features.spoolman.absence import AbsenceWatch
from trio_moon.features.spoolman.checks import MetadataOf, PrintCheck
from trio_moon.features.spoolman.client import SpoolmanClient
from trio_moon.features.spoolman.courier import Courier
from trio_moon.features.spoolman.evidence import Witness
from trio_moon.features.spoolman.jobs import JobKeeper
from trio_moon.features.spoolman.journal import Journal, Store
from trio_moon.features.spoolman.ledger import Ledger, Moment, Tools, spool_for, tool_of
from trio_moon.features.spoolman.live import LiveLink
from trio_moon.features.spoolman.lookout import Lookout
from trio_moon.features.spoolman.macro import SpoolMacro
from trio_moon.features.spoolman.motion import FilamentMeter, Klipper
from trio_moon.features.spoolman.orders import REMOTE_METHOD, Orders
from trio_moon.features.spoolman.reporter import Reporter
from trio_moon.features.spoolman.settings import SpoolmanSettings
from trio_moon.features.spoolman.shelf import Shelf
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.json_codec import Raw
from trio_moon.kit.periodic import periodic
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import Conflict, MoonError, NoSpace, NotFound
from trio_moon.model.events import SpoolmanAlert, SpoolSelected
from trio_moon.model.job_state import text_of
from trio_moon.printer.job_tracker import JobNews

logger = logging.getLogger(__name__)

SAVE_EVERY = 1.0
"""Seconds at most until what Klipper has told is on disk: it tells each move once."""
LAST_COMMIT = 0.5
"""Seconds that the end of the service may wait for the disk."""


class Printer(Klipper, Protocol):
    """Klipper, as far as this room needs it."""

    def offer(self, name: str, listener: Callable[[dict[str, object]], None]) -> None: ...

    def say(self, text: str) -> None: ...

    async def run_gcode(self, script: str) -> Raw: ...

    async def request(self, method: str, params: object = None, *, deadline: float | None = ...) -> Raw: ...

    before_print: list[Callable[[str], Awaitable[None]]]


class Audience(Protocol):
    """Everybody who is connected."""

    def announce_after_answer(self, method: str, *params: object) -> None: ...


class Spoolman:
    """Measures filament, charges it to spools, and tells everybody which spool is in use."""

    def __init__(
        self,
        settings: SpoolmanSettings,
        printer: Printer,
        database: Store,
        audience: Audience,
        jobs: JobNews,
        metadata_of: MetadataOf,
        klippy_socket: Path | None = None,
        alerts: Topic[SpoolmanAlert] | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = Ledger()
        self.client = SpoolmanClient(settings)
        self.shelf = Shelf(self.client, on_put=self._on_shelf, on_gone=self._not_found)
        self.journal = Journal(database, self.shelf.price)
        self.alerts = alerts or Topic[SpoolmanAlert]()
        self.selected: Topic[SpoolSelected] = Topic()
        self._printer = printer
        self._audience = audience
        self._witness = Witness(self.ledger)
        courier = Courier(
            self.ledger,
            self._witness,
            self.journal,
            self.client,
            on_spool=self.shelf.put,
            on_gone=self._spool_is_gone,
        )
        self.reporter = Reporter(self.ledger, self._witness, self.journal, courier, every=settings.sync_rate)
        self._live = LiveLink(self.client.peer, settings.headers, self, self.client.is_healthy)
        self._absence = AbsenceWatch(self._live.state, self.alerts)
        self.meter = FilamentMeter(
            printer,
            self.ledger,
            klippy_socket,
            source=settings.accounting,
            on_extruder=self._extruder_changed,
            save_soon=self._save_soon,
        )
        self._save_now = trio.Event()
        self._loaded = trio.Event()
        self._changing = trio.Lock()
        self._announced: int | None = None
        self._orders = Orders(self.choose, self.meter, printer.say)
        printer.offer(REMOTE_METHOD, self._orders.take)
        self.check = PrintCheck(self, metadata_of, printer.say, settings.check_before_print)
        printer.before_print.append(self.check.guard)
        pause = self._pause if "pause" in settings.low_filament_action else None
        self._lookout = Lookout(
            self, settings.low_filament, pause, printer.say, lambda: text_of(jobs.stats, "state") == "printing"
        )
        self.jobs = JobKeeper(self, jobs, self.check, self._lookout)
        self._macro = None if settings.spool_macro is None else SpoolMacro(settings.spool_macro, printer, self._in_use)

    # --- what is known

    @property
    def connected(self) -> bool:
        """Whether Spoolman's websocket is there."""
        return self._live.state.connected

    @property
    def tools(self) -> Tools:
        """The spool of each tool that has (or had) one of its own."""
        return self.ledger.state.tools

    @property
    def active_tool(self) -> int:
        """The tool whose spool is charged now."""
        tool = tool_of(self.meter.extruder)
        return tool if set(self.tools) - {0} else 0

    @property
    def active_spool(self) -> int | None:
        """The spool that is charged now."""
        return spool_for(self.tools, tool_of(self.meter.extruder))

    def vitals(self) -> Mapping[str, object]:
        return {
            "spoolman": "connected" if self.connected else self._live.state.reason,
            "reports": self.reporter.away_because or "ok",
            "accounting": self.meter.source,
            "orders": self._orders.waiting,
            "journal": self.journal.broken or "ok",
        }

    def warnings(self) -> list[str]:
        """Sentences for the printer's owner."""
        found = list(self.journal.warnings)
        if self.journal.broken:
            found.append(f"The filament journal can't be written: {self.journal.broken}")
        for spool_id, parked in self.reporter.parked.items():
            found.append(f"Spoolman refuses usage of spool {spool_id}, which is kept: {parked.reason}")
        for spool_id, mm in self.ledger.state.orphaned.items():
            what = "used of" if mm > 0 else "too much charged to"
            found.append(f"{abs(mm):.1f} mm were {what} spool {spool_id}, which Spoolman doesn't know any more")
        return found

    # --- choosing

    async def choose(self, tool: int, spool_id: int | None, told: Moment | None = None) -> None:
        """From now on `tool` takes its filament from this spool; the change is on disk when this returns.

        With `told`, from the printer's call on, before which it had told that. Raises Conflict when another tool has
        that spool.
        """
        await self._loaded.wait()
        async with self._changing:
            if self.tools.get(tool) == spool_id and (tool in self.tools or (spool_id is None and tool == 0)):
                return
            await self._set_tools({**self.tools, tool: spool_id}, told)

    async def choose_all(self, tools: Tools) -> None:
        """Give each tool its spool at once. With tool 0 alone, its spool counts for every extruder again."""
        await self._loaded.wait()
        async with self._changing:
            await self._set_tools(tools)

    async def _set_tools(self, tools: Tools, told: Moment | None = None) -> None:
        _check_tools(tools)
        moment = await (self.meter.moment_of_call(told) if told else self.meter.moment())
        before = dict(self.tools)
        self.ledger.set_tools(tools, moment)
        self._announced = self.active_spool
        self._look_at_tools()
        try:
            await self.journal.commit(self.ledger)
        finally:  # and nothing that waits behind it: the answer to the call comes first
            changed = [tool for tool in {**before, **tools} if before.get(tool) != tools.get(tool)]
            self._tell_changed(sorted(changed), tools)

    def _tell_changed(self, changed: list[int], tools: Tools) -> None:
        """Tell of each tool's spool; the last that frontends hear of is the one in use."""
        for tool in changed:
            spool_id = tools.get(tool)
            logger.info("tool %d: %s", tool, "no spool" if spool_id is None else f"spool {spool_id}")
            self._tell_selected(tool, spool_id)
        if changed and (self.active_tool, self.active_spool) != (changed[-1], tools.get(changed[-1])):
            self._tell_selected(self.active_tool, self.active_spool)

    def _tell_selected(self, tool: int, spool_id: int | None) -> None:
        self.selected.publish(SpoolSelected(tool, spool_id))
        if self._macro is not None:
            self._macro.update()
        self._audience.announce_after_answer("notify_active_spool_set", {"spool_id": spool_id, "tool": tool})

    def _extruder_changed(self) -> None:
        if self._loaded.is_set() and self.active_spool != self._announced:
            self._announced = self.active_spool
            self._tell_selected(self.active_tool, self.active_spool)

    # --- usage that nobody can report

    async def assign_orphaned(self, spool_id: int, to_spool_id: int | None) -> None:
        """Give the usage of a spool that is gone to another one, or to nobody."""
        await self._loaded.wait()
        if spool_id not in self.ledger.state.orphaned:
            raise NotFound(f"there is no orphaned usage of spool {spool_id}")
        self.ledger.assign_orphaned(spool_id, to_spool_id)
        await self.journal.commit(self.ledger)
        self.reporter.wake()

    async def _spool_is_gone(self, spool_id: int, reason: str) -> None:
        async with self._changing:
            amount = self.ledger.orphan(spool_id)
            spool, is_set = self.shelf.get(spool_id), spool_id in self.tools.values()
            known = spool is not None or is_set
            self.shelf.remove(spool_id)
            self.reporter.forget(spool_id)
            if is_set:
                logger.info("spool %d is gone: %s", spool_id, reason)
                kept = {tool: None if each == spool_id else each for tool, each in self.tools.items()}
                await self._set_tools(kept)
        if not known and not amount:
            return  # it was told before
        words = f"{spool.label if spool else f'spool {spool_id}'} is not in Spoolman any more"
        if is_set:
            words += "; choose another one for the printer"
        if amount > 0:
            words += f"; {amount:.1f} mm of it are kept to be assigned"
        self.alerts.publish(SpoolmanAlert("spool_gone", words, spool_id))

    # --- Spoolman's news (LiveLink's Listener)

    def spoolman_connected(self) -> None:
        self._witness.news_begin()
        self.reporter.note_return()
        self._look_at_tools()
        self._tell_connection()

    def spoolman_lost(self, reason: str) -> None:
        self._witness.news_end()
        self._tell_connection()

    def spool_changed(self, spool: Spool) -> None:
        self._witness.told(spool.id, spool.used_mm, time.time())
        self.reporter.note_change(spool.id)
        if spool.id in self.shelf or spool.id in self.tools.values():
            self.shelf.put(spool)

    def spool_deleted(self, spool_id: int) -> None:
        self.shelf.look_at(spool_id)

    def _tell_connection(self) -> None:
        self._absence.link_changed()
        self._audience.announce_after_answer("notify_spoolman_status_changed", {"spoolman_connected": self.connected})

    # --- the shelf's news

    def _look_at_tools(self) -> None:
        self.shelf.look_at(*(spool_id for spool_id in self.tools.values() if spool_id is not None))

    def _on_shelf(self, spool: Spool) -> None:
        if self._macro is not None and spool.id == self.active_spool:
            self._macro.update()

    async def _not_found(self, spool_id: int, reason: str) -> None:
        if self.ledger.open_intent(spool_id) is not None:
            return  # the report's outcome comes first, and tells the same
        if spool_id in self.tools.values() or spool_id in self.ledger.state.pending:
            try:
                await self._spool_is_gone(spool_id, reason)
            except MoonError as error:  # the disk is full; what was decided holds in memory
                logger.debug("not saved: %s", error)

    def _in_use(self) -> tuple[int, int | None, Spool | None]:
        spool_id = self.active_spool
        return self.active_tool, spool_id, self.shelf.get(spool_id) if spool_id is not None else None

    async def _pause(self) -> None:
        await self._printer.run_gcode("PAUSE")

    # --- life

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read the journal, then measure and report until cancelled; what was measured is on disk at the end."""
        if not self._loaded.is_set():
            self.ledger.state = await self.journal.load()
            self.ledger.last_settled = next(iter(await self.journal.reports(1)), None)
            self._announced = self.active_spool
            self._loaded.set()
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.meter.run)
                nursery.start_soon(self._orders.run)
                nursery.start_soon(self.shelf.run)
                nursery.start_soon(self._save)
                nursery.start_soon(periodic, min(self.settings.sync_rate, SAVE_EVERY), self._save_on_beat)
                nursery.start_soon(self.reporter.run)
                nursery.start_soon(self._live.run)
                nursery.start_soon(self._absence.run)
                nursery.start_soon(self._lookout.run)
                nursery.start_soon(self.jobs.run)
                if self._macro is not None:
                    nursery.start_soon(self._macro.run)
                task_status.started()
        finally:
            with trio.move_on_after(LAST_COMMIT, shield=True), suppress(NoSpace):  # the journal has said so
                await self.journal.commit(self.ledger)

    def _save_soon(self) -> None:
        self._save_now.set()

    def _save_on_beat(self) -> None:
        if self.journal.is_behind(self.ledger):
            self._save_now.set()

    async def _save(self) -> None:
        """Write down what was measured before anybody can be killed, and see to it that it lasts."""
        sync_at = 0.0
        while True:
            await self._save_now.wait()
            self._save_now = trio.Event()
            durable = trio.current_time() >= sync_at
            try:
                await self.journal.commit(self.ledger, durable=durable)
                if durable:
                    sync_at = trio.current_time() + self.settings.sync_rate - SAVE_EVERY
            except MoonError as error:
                logger.debug("not saved: %s", error)


def _check_tools(tools: Tools) -> None:
    holders: dict[int, int] = {}
    for tool, spool_id in tools.items():
        if spool_id is None:
            continue
        if spool_id in holders:
            raise Conflict(f"spool {spool_id} is already on tool {holders[spool_id]}; take it off before tool {tool}")
        holders[spool_id] = tool
