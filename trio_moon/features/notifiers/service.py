"""Everything that can happen, told to every notifier that may care; and the calls of the API."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

import trio
from msgspec import Struct

from trio_moon.features.notifiers.milestones import Milestones
from trio_moon.features.notifiers.news import REMOTE_ACTION, News
from trio_moon.features.notifiers.notifier import Notifier
from trio_moon.features.notifiers.undelivered import Undelivered
from trio_moon.kit.status_box import StatusView
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import NotFound, TooMany
from trio_moon.model.events import KlippyEvent, KlippyLost, KlippyReady, KlippyShutdown, SpoolmanAlert
from trio_moon.model.job_state import JobEvent, thaw
from trio_moon.printer.job_tracker import JobTracker
from trio_moon.printer.printer import Printer
from trio_moon.rpc.binding import NoParams
from trio_moon.rpc.caller import Caller

logger = logging.getLogger(__name__)

WARM_UP_AFTER = 2.0
"""Seconds after the start until Apprise is loaded: the start itself is for Klipper and the frontends."""
TEST_PAUSE = 5.0
"""Seconds between two tests of one notifier."""
SAMPLE_STATS: dict[str, object] = {
    "filename": "",
    "total_duration": 0.0,
    "print_duration": 0.0,
    "filament_used": 0.0,
    "state": "standby",
    "message": "",
    "info": {"total_layer": None, "current_layer": None},
}


class WhichNotifier(Struct, frozen=True):
    """`name`: as in the section's head."""

    name: str


class Notifiers:
    """Listens to the printer and to the other rooms on behalf of all notifiers."""

    def __init__(
        self,
        notifiers: Sequence[Notifier],
        printer: Printer,
        jobs: JobTracker,
        undelivered: Undelivered,
        alerts: Sequence[Topic[SpoolmanAlert]] = (),
    ) -> None:
        self._notifiers = {notifier.name: notifier for notifier in notifiers}
        self._printer = printer
        self._jobs = jobs
        self._undelivered = undelivered
        self._alerts = alerts
        self._spoolman_lost = False
        self._tested_at: dict[str, float] = {}
        self._milestones = {
            notifier.name: Milestones(s.progress_steps, s.layers, "first_layer" in s.events)
            for notifier in notifiers
            if (s := notifier.settings).progress_steps or s.layers or "first_layer" in s.events
        }
        printer.offer("notify", self._on_remote_call)
        if self._milestones:
            printer.need({"virtual_sdcard": frozenset({"progress"})})
            printer.mirror.observe(self._on_status)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Pass on what happens until cancelled."""
        await self._undelivered.forget_others(self._notifiers)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._jobs.events.follow, self._on_job)
            await nursery.start(self._printer.events.follow, self._on_klippy)
            for topic in self._alerts:
                await nursery.start(topic.follow, self._on_alert)
            task_status.started()
            await trio.sleep(WARM_UP_AFTER)
            for notifier in self._notifiers.values():
                await notifier.check()

    # --- what happens

    def _on_job(self, event: JobEvent) -> None:
        self._tell(_news_of_job(event))

    def _on_klippy(self, event: KlippyEvent) -> None:
        told = _news_of_klippy(event)
        if told is not None:
            self._tell(self._with_stats(*told))

    def _on_alert(self, alert: SpoolmanAlert) -> None:
        if alert.name != "spoolman_back" or self._spoolman_lost:  # its first connection is no return
            self._tell(self._with_stats(alert.name, alert.message))
        if alert.name in ("spoolman_lost", "spoolman_back"):
            self._spoolman_lost = alert.name == "spoolman_lost"

    def _on_remote_call(self, params: Mapping[str, object]) -> None:
        """A macro called `notify`. Inside Klipper's reader."""
        name, message = str(params.get("name", "")), params.get("message")
        notifier = self._notifiers.get(name)
        if notifier is None:
            known = ", ".join(self._notifiers)
            self._printer.say(f"!! notify: there is no notifier '{name:.60}', only {known}")
            return
        notifier.hear(News(REMOTE_ACTION, (), "" if message is None else str(message)))

    def _on_status(self, changes: StatusView, eventtime: float) -> None:
        """Inside Klipper's reader."""
        if not self._jobs.job_open:
            return
        progress = self._printer.mirror.get("virtual_sdcard").get("progress")
        info = self._printer.mirror.get("print_stats").get("info")
        layer, total = (info.get("current_layer"), info.get("total_layer")) if isinstance(info, dict) else (None, None)
        for name, milestones in self._milestones.items():
            reached = milestones.reached(
                progress * 100 if isinstance(progress, (int, float)) else 0.0,
                layer if isinstance(layer, int) else None,
                total if isinstance(total, int) else None,
            )
            for event_name, message in reached:
                self._notifiers[name].hear(self._with_stats(event_name, message))

    def _with_stats(self, event_name: str, message: str) -> News:
        stats = thaw(self._jobs.stats)
        return News(event_name, (stats, stats), message)

    def _tell(self, news: News) -> None:
        for notifier in self._notifiers.values():
            notifier.hear(news)

    # --- calls

    def list_notifiers(self, params: NoParams, caller: Caller) -> dict[str, object]:
        """Every notifier as it was configured, in the configuration's order."""
        return {"notifiers": [dict(notifier.settings.raw) for notifier in self._notifiers.values()]}

    def status(self, params: NoParams, caller: Caller) -> dict[str, object]:
        """What became of every notifier's messages."""
        return {"notifiers": [notifier.as_wire() for notifier in self._notifiers.values()]}

    async def test(self, params: WhichNotifier, caller: Caller) -> dict[str, object]:
        """Send a test message at once, past the queue, and tell what the service really answered."""
        return await self._test(params.name, pause=TEST_PAUSE)

    async def debug_test(self, params: WhichNotifier, caller: Caller) -> dict[str, object]:
        """The same as often as one likes, told as Moonraker does."""
        return {"status": "success", "stats": (await self._test(params.name, pause=0))["stats"]}

    async def _test(self, name: str, *, pause: float) -> dict[str, object]:
        """NotFound for unknown names, TooMany when the last test is less than `pause` ago."""
        notifier = self._notifiers.get(name)
        if notifier is None:
            raise NotFound(f"Notifier '{name:.100}' not found")
        now = trio.current_time()
        wait = self._tested_at.get(name, -pause) + pause - now
        if wait > 0:
            raise TooMany(f"notifier '{name}' was tested just now: wait {wait:.0f} s")
        self._tested_at[name] = now
        stats = {**SAMPLE_STATS, **thaw(self._jobs.stats), "filename": "notifier_test.gcode"}
        event_name = notifier.settings.example_event
        args = () if event_name == REMOTE_ACTION else (stats, stats)
        news = News(event_name, args, f"Test of notifier {name}" if event_name == REMOTE_ACTION else "")
        letter, problems = await notifier.compose(news)
        began = time.monotonic()
        answer = await notifier.deliver(news, letter)
        return {
            "status": "success" if answer.delivered else "error",
            "stats": stats,
            "event_name": event_name,
            "title": letter.title,
            "body": letter.body,
            "pictures": [picture.name for picture in letter.pictures],
            "problems": list(problems),
            "answer": "delivered" if answer.delivered else answer.reason,
            "took": round(time.monotonic() - began, 3),
        }


def _news_of_job(event: JobEvent) -> News:
    return News(event.name, (thaw(event.previous), thaw(event.stats)))


def _news_of_klippy(event: KlippyEvent) -> tuple[str, str] | None:
    match event:
        case KlippyShutdown(message):
            reason = message.strip().partition("\n")[0]  # what Klipper advises behind it would fill a push message
            return "klippy_shutdown", f"Klipper has shut down: {reason}"
        case KlippyLost(reason):
            return "klippy_disconnected", f"Klipper is disconnected: {reason}"
        case KlippyReady():
            return "klippy_ready", "Klipper is ready"
        case _:
            return None
