"""What the parts of the emulation share: the printer's state, its heaters, and the file that a client selected."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import trio

from trio_moon.features.octoprint.heaters import by_octoprint_name, reading
from trio_moon.features.octoprint.own_api import OwnApi
from trio_moon.features.octoprint.settings import OctoPrintSettings
from trio_moon.features.octoprint.states import PrinterState
from trio_moon.kit.status_box import StatusView
from trio_moon.model.errors import Conflict, PeerError
from trio_moon.model.events import KlippyReady
from trio_moon.printer.printer import Printer

NEEDED = ("print_stats", "virtual_sdcard", "heaters", "toolhead")
HEATER_FIELDS = frozenset({"temperature", "target"})


class OctoPrint:
    """One printer, seen as OctoPrint sees it."""

    def __init__(
        self,
        settings: OctoPrintSettings,
        printer: Printer,
        own: OwnApi,
        print_later: Callable[[str, str | None], Awaitable[bool]],
        instance: str,
    ) -> None:
        """`print_later` queues a file if that is configured. `instance` tells printers on the same machine apart."""
        self.settings = settings
        self.printer = printer
        self.own = own
        self.print_later = print_later
        self.unique_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{uuid.getnode()} {instance}"))
        self.selected: str | None = None
        """The file (below `gcodes`) that a client has selected and nobody has printed yet."""
        self._on_the_way: str | None = None
        self._job_news = trio.Event()
        printer.need(dict.fromkeys(NEEDED))
        printer.mirror.observe(self._note_job_news)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Whenever Klipper is ready, see to it that its heaters are told of."""
        task_status.started()
        while True:
            with self.printer.events.subscribe() as events:
                self._need_heaters()
                async for event in events:
                    if isinstance(event, KlippyReady):
                        self._need_heaters()

    def _need_heaters(self) -> None:
        self.printer.need(dict.fromkeys(self.heaters().values(), HEATER_FIELDS))

    @property
    def state(self) -> PrinterState:
        """The state at this moment."""
        return PrinterState.of(self.printer.state, self.print_stats.get("state"), self._on_the_way)

    @property
    def facts(self) -> tuple[int, str, str | None]:
        """Changes whenever the state or a temperature may have."""
        return self.printer.mirror.changes, self.printer.state, self._on_the_way

    @property
    def print_stats(self) -> Mapping[str, object]:
        return self.printer.mirror.get("print_stats")

    def _note_job_news(self, changes: StatusView, eventtime: float) -> None:
        if "state" in changes.get("print_stats", ()):
            if self.state.at_work:
                self.selected = None  # whoever started the print has chosen another file
            self._job_news.set()
            self._job_news = trio.Event()

    async def job_leaves(self, state: object) -> None:
        """Wait until Klipper tells another `print_stats.state` than this."""
        while self.print_stats.get("state") == state:
            await self._job_news.wait()

    def check_operational(self) -> None:
        """Conflict unless Klipper is ready."""
        state = self.state
        if not state.operational:
            raise Conflict(f"the printer is not operational: {state.text}")

    def check_idle(self) -> None:
        """Conflict unless Klipper is ready and prints nothing."""
        self.check_operational()
        if self.state.at_work:
            raise Conflict("the printer is at work")

    @contextmanager
    def on_the_way(self, text: str) -> Iterator[None]:
        """While a wish is carried out, its name is the state: `Cancelling` …"""
        self._on_the_way = text
        try:
            yield
        finally:
            self._on_the_way = None

    def heaters(self) -> dict[str, str]:
        """Klipper's names of heaters by OctoPrint's; and of a sensor in the chamber, if no heater is there."""
        known = self.printer.mirror.get("heaters")
        names = [*_names(known.get("available_heaters")), *filter(_is_chamber, _names(known.get("available_sensors")))]
        return by_octoprint_name(names)

    @property
    def heaters_told(self) -> bool:
        """Whether Klipper tells of every heater by itself, as it does but for the first second."""
        return all("temperature" in self.printer.mirror.get(klipper) for klipper in self.heaters().values())

    async def temperatures(self) -> dict[str, object]:
        """Every heater's present reading. In the first second Klipper doesn't tell of them yet: it is asked."""
        heaters = self.heaters()
        known = {klipper: self.printer.mirror.get(klipper) for klipper in heaters.values()}
        unknown = [klipper for klipper, fields in known.items() if "temperature" not in fields]
        if unknown:
            with suppress(PeerError):
                asked, _ = await self.printer.query(dict.fromkeys(unknown, sorted(HEATER_FIELDS)))
                known.update(asked)
        return {name: reading(known[klipper]) for name, klipper in heaters.items() if "temperature" in known[klipper]}

    async def run_gcode(self, script: str) -> None:
        """Run G-code on a printer that is operational; Klipper's refusal is told."""
        self.check_operational()
        await self.printer.run_gcode(script)


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []


def _is_chamber(name: str) -> bool:
    return "chamber" in name.lower()
