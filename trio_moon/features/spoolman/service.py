"""The room's state: which spool feeds which tool, what is pending, and the tasks that keep it true."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import trio

from trio_moon.features.spoolman.checks import MetadataOf, PrintCheck
from trio_moon.features.spoolman.client import Away, Missing, SpoolmanClient
from trio_moon.features.spoolman.evidence import Witness
from trio_moon.features.spoolman.jobs import JobKeeper, JobNews
from trio_moon.features.spoolman.journal import Journal, Store
from trio_moon.features.spoolman.ledger import Ledger, Tools, spool_for, tool_of
from trio_moon.features.spoolman.live import LiveLink
from trio_moon.features.spoolman.lookout import Lookout
from trio_moon.features.spoolman.macro import SpoolMacro
from trio_moon.features.spoolman.motion import FilamentMeter, Klipper
from trio_moon.features.spoolman.reporter import Reporter
from trio_moon.features.spoolman.settings import SpoolmanSettings
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.json_codec import Raw
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import BadParams, Conflict, MoonError, NotFound
from trio_moon.model.events import SpoolmanAlert, SpoolSelected

logger = logging.getLogger(__name__)

REMOTE_METHOD = "spoolman_set_active_spool"
MAX_ORDERS = 256
AWAY_FOR = 30.0
"""Seconds after which a user hears that Spoolman is away; a restart of it is not worth a message."""
SAVE_EVERY = 1.0
"""Seconds at most until what Klipper has told is on disk: it tells each move once."""
LAST_COMMIT = 0.5
"""Seconds that the end of the service may wait for the disk."""
MAX_TOOL = 98
LARGEST_ID = 2**63 - 1


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
        self.journal = Journal(database, self._price)
        self.client = SpoolmanClient(settings)
        self.alerts = alerts or Topic[SpoolmanAlert]()
        self.selected: Topic[SpoolSelected] = Topic()
        self.shelf: dict[int, Spool] = {}
        """Spools as Spoolman showed them last."""
        self._printer = printer
        self._audience = audience
        self._witness = Witness(self.ledger)
        self.reporter = Reporter(
            self.ledger,
            self._witness,
            self.journal,
            self.client,
            every=settings.sync_rate,
            on_spool=self._put_on_shelf,
            on_gone=self._spool_is_gone,
        )
        self._live = LiveLink(self.client.peer, settings.headers, self, self.client.is_healthy)
        self.meter = FilamentMeter(
            printer,
            self.ledger,
            klippy_socket,
            source=settings.accounting,
            on_extruder=self._extruder_changed,
            save_soon=self._save_soon,
        )
        self._save_now = trio.Event()
        self._link_changed = trio.Event()
        self._loaded = trio.Event()
        self._changing = trio.Lock()
        self._announced: int | None = None
        self._to_look_at: set[int] = set()
        self._look = trio.Event()
        self._send_orders, self._receive_orders = trio.open_memory_channel[dict[str, object]](MAX_ORDERS)
        printer.offer(REMOTE_METHOD, self._on_remote_call)
        self.check = PrintCheck(self, metadata_of, printer.say, settings.check_before_print)
        printer.before_print.append(self.check.guard)
        pause = self._pause if "pause" in settings.low_filament_action else None
        self._lookout = Lookout(self, settings.low_filament, pause, printer.say)
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
            "orders": self._send_orders.statistics().current_buffer_used,
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
            found.append(f"{mm:.1f} mm were used of spool {spool_id}, which Spoolman doesn't know any more")
        return found

    # --- choosing

    async def choose(self, tool: int, spool_id: int | None) -> None:
        """From now on `tool` takes its filament from this spool; the change is on disk when this returns.

        Raises Conflict when another tool has that spool.
        """
        await self._loaded.wait()
        async with self._changing:
            if self.tools.get(tool) == spool_id and (tool in self.tools or (spool_id is None and tool == 0)):
                return
            await self._set_tools({**self.tools, tool: spool_id})

    async def choose_all(self, tools: Tools) -> None:
        """Give each tool its spool at once. With tool 0 alone, its spool counts for every extruder again."""
        await self._loaded.wait()
        async with self._changing:
            await self._set_tools(tools)

    async def _set_tools(self, tools: Tools) -> None:
        _check_tools(tools)
        moment = await self.meter.moment()
        before = dict(self.tools)
        self.ledger.set_tools(tools, moment)
        self._announced = self.active_spool
        self.look_at(*(spool_id for spool_id in tools.values() if spool_id is not None))
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

    def _on_remote_call(self, params: dict[str, object]) -> None:
        try:
            self._send_orders.send_nowait(params)
        except trio.WouldBlock:
            logger.error("%s was called too often: a call was dropped", REMOTE_METHOD)

    async def _obey(self) -> None:
        async for params in self._receive_orders:
            try:
                tool = parse_number(params.get("tool", 0), "tool", 0, MAX_TOOL)
                await self.choose(tool, parse_macro_spool(params.get("spool_id")))
            except MoonError as error:
                logger.warning("%s: %s", REMOTE_METHOD, error)
                self._printer.say(f"!! {REMOTE_METHOD}: {error}")

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
            self.shelf.pop(spool_id, None)
            self.reporter.forget(spool_id)
            if spool_id in self.tools.values():
                logger.info("spool %d is gone: %s", spool_id, reason)
                kept = {tool: None if spool == spool_id else spool for tool, spool in self.tools.items()}
                await self._set_tools(kept)
        kept_words = f" {amount:.1f} mm of it are kept to be assigned." if amount > 0 else ""
        self.alerts.publish(
            SpoolmanAlert("spool_gone", f"Spool {spool_id} is not in Spoolman any more.{kept_words}", spool_id)
        )

    # --- Spoolman's news (LiveLink's Listener)

    def spoolman_connected(self) -> None:
        self._witness.news_begin()
        self.reporter.note_return()
        self.look_at(*(spool_id for spool_id in self.tools.values() if spool_id is not None))
        self._tell_connection()

    def spoolman_lost(self, reason: str) -> None:
        self._witness.news_end()
        self._tell_connection()

    def spool_changed(self, spool: Spool) -> None:
        self._witness.told(spool.id, spool.used_mm, time.time())
        self.reporter.note_change(spool.id)
        if spool.id in self.shelf or spool.id in self.tools.values():
            self._put_on_shelf(spool)

    def spool_deleted(self, spool_id: int) -> None:
        self.look_at(spool_id)

    def _tell_connection(self) -> None:
        self._link_changed.set()
        self._audience.announce_after_answer("notify_spoolman_status_changed", {"spoolman_connected": self.connected})

    async def _watch_absence(self) -> None:
        told = False
        while True:
            self._link_changed = trio.Event()
            with trio.move_on_after(math.inf if self.connected or told else AWAY_FOR) as waiting:
                await self._link_changed.wait()
            if waiting.cancelled_caught:
                told = True
                message = f"Spoolman is away ({self._live.state.reason}); usage is kept until it returns."
                self.alerts.publish(SpoolmanAlert("spoolman_lost", message))
            elif told and self.connected:
                told = False
                self.alerts.publish(SpoolmanAlert("spoolman_back", "Spoolman is back; kept usage is reported."))

    # --- the shelf

    def look_at(self, *spool_ids: int) -> None:
        """Read these spools from Spoolman soon, and see whether they are still there."""
        if spool_ids:
            self._to_look_at.update(spool_ids)
            self._look.set()

    async def _keep_shelf(self) -> None:
        while True:
            await self._look.wait()
            self._look, spool_ids, self._to_look_at = trio.Event(), self._to_look_at, set()
            for spool_id in spool_ids:
                found = await self.client.read_spool(spool_id)
                if isinstance(found, Missing):
                    await trio.sleep(0.5)
                    found = await self.client.read_spool(spool_id)
                if isinstance(found, Spool):
                    self._put_on_shelf(found)
                elif isinstance(found, Missing) and (
                    spool_id in self.tools.values() or spool_id in self.ledger.state.pending
                ):
                    await self._spool_is_gone(spool_id, found.reason)

    def _put_on_shelf(self, spool: Spool) -> None:
        self.shelf[spool.id] = spool
        if self._macro is not None and spool.id == self.active_spool:
            self._macro.update()

    async def refresh(self, spool_ids: Sequence[int]) -> Away | None:
        """Read these spools now; Away as soon as Spoolman doesn't answer."""
        for spool_id in spool_ids:
            found = await self.client.read_spool(spool_id)
            if isinstance(found, Away):
                return found
            if isinstance(found, Spool):
                self._put_on_shelf(found)
        return None

    def _price(self, spool_id: int) -> tuple[float | None, float | None]:
        spool = self.shelf.get(spool_id)
        return (None, None) if spool is None else (spool.grams_per_mm, spool.cost_per_mm)

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
                nursery.start_soon(self._obey)
                nursery.start_soon(self._keep_shelf)
                nursery.start_soon(self._save)
                nursery.start_soon(self.reporter.run)
                nursery.start_soon(self._live.run)
                nursery.start_soon(self._watch_absence)
                nursery.start_soon(self._lookout.run)
                nursery.start_soon(self.jobs.run)
                if self._macro is not None:
                    nursery.start_soon(self._macro.run)
                task_status.started()
        finally:
            with trio.move_on_after(LAST_COMMIT, shield=True):
                await self.journal.commit(self.ledger)

    def _save_soon(self) -> None:
        self._save_now.set()

    async def _save(self) -> None:
        """Write down what was measured before anybody can be killed, and see to it that it lasts."""
        sync_at = 0.0
        while True:
            with trio.move_on_after(min(self.settings.sync_rate, SAVE_EVERY)):
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


def parse_number(value: object, name: str, least: int, most: int) -> int:
    """A whole number, or its digits in a string; BadParams with a sentence otherwise."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()) if len(value) < 25 else -1
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise BadParams(f"argument '{name}': {value!r:.60} is not a whole number from {least}")
    return value


def parse_macro_spool(value: object) -> int | None:
    """What macros say for a spool: a number or its digits; 0, nothing and None mean no spool."""
    if value is None or (value == 0 and value is not False) or (isinstance(value, str) and value.strip() in ("", "0")):
        return None
    return parse_number(value, "spool_id", 1, LARGEST_ID)
