"""One `[notifier]`: its own queue, its own worker. Nothing that happens here delays another notifier."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import trio
from msgspec import Struct

from trio_moon.config.problems import TemplateFailed
from trio_moon.config.renderer import NoRenderer
from trio_moon.features.notifiers.composer import Composer
from trio_moon.features.notifiers.courier import Answer, Courier
from trio_moon.features.notifiers.news import Letter, News
from trio_moon.features.notifiers.outbox import Message, Outbox
from trio_moon.features.notifiers.settings import JOB_EVENTS, NotifierSettings
from trio_moon.features.notifiers.undelivered import Remembers
from trio_moon.kit.connect import Pauses
from trio_moon.kit.notices import Notices

logger = logging.getLogger(__name__)

RETRY_PAUSES = Pauses(first=1.0, longest=30.0, jitter=0.1)
PARTING_GRACE = 0.3
"""Seconds that an attempt may still take when the service ends: a message that just made it isn't sent again."""
INBOX = 200
CLOCK_CHECK = 60.0
"""Seconds after which quiet hours look at the clock again: it may have been set."""


class Tally(Struct):
    """What became of a notifier's messages since the start."""

    sent: int = 0
    failed: int = 0
    suppressed: int = 0
    last_error: str | None = None
    last_error_time: float | None = None
    last_success: float | None = None


class Notifier:
    """Takes news at once, delivers them in order, and says which it had to give up."""

    def __init__(
        self,
        settings: NotifierSettings,
        composer: Composer,
        courier: Courier,
        undelivered: Remembers,
        notices: Notices,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self._composer = composer
        self._courier = courier
        self._undelivered = undelivered
        self._notices = notices
        self._wall_clock = wall_clock
        self._outbox = Outbox()
        self._send_news, self._receive_news = trio.open_memory_channel[News](INBOX)
        self._told_at: dict[str, float] = {}
        self._tally = Tally()

    @property
    def name(self) -> str:
        return self.settings.name

    def vitals(self) -> Mapping[str, object]:
        return {"queued": len(self._outbox), "sent": self._tally.sent, "failed": self._tally.failed}

    def as_wire(self) -> dict[str, object]:
        """Its entry in `server.notifiers.status`."""
        head, tally = self._outbox.head, self._tally
        return {
            "name": self.name,
            "queued": len(self._outbox) + self._receive_news.statistics().current_buffer_used,
            "attempts": head.attempts if head else 0,
            "sent": tally.sent,
            "failed": tally.failed,
            "suppressed": tally.suppressed,
            "last_error": tally.last_error,
            "last_error_time": tally.last_error_time,
            "last_success": tally.last_success,
        }

    def hear(self, news: News) -> None:
        """Something happened that may concern this notifier. Never waits."""
        try:
            self._send_news.send_nowait(news)
        except trio.WouldBlock:
            self._note_given_up(news, "too much happened at once")

    async def deliver(self, news: News, letter: Letter) -> Answer:
        """One attempt, within the configured timeout."""
        try:
            url = await self._composer.address(news)
        except TemplateFailed as error:
            return Answer(False, (f"url: {error}",), hopeless=not isinstance(error, NoRenderer))
        with trio.move_on_after(self.settings.timeout):
            return await self._courier.deliver(url, letter, self.settings.body_format)
        return Answer(False, (f"no answer within {self.settings.timeout:g} s",))

    async def check(self) -> None:
        """Warn if Apprise can't use the address; loads Apprise, so that the first message needn't wait for that."""
        key = f"notifier {self.name} url"
        self._notices.withdraw(key)
        try:
            url = await self._composer.address(News(self.settings.example_event))
        except TemplateFailed as error:
            if "secret" in str(error):  # else it may need what only an event knows
                self._notices.post(key, f"[notifier {self.name}] option 'url': {error}")
            return
        if not await self._courier.understands(url):
            self._notices.post(key, f"[notifier {self.name}] option 'url': Apprise can't use this address")

    async def compose(self, news: News) -> tuple[Letter, tuple[str, ...]]:
        """The letter about `news`, and what went wrong with it."""
        return await self._composer.compose(news)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver what an earlier run left, then whatever is heard, until cancelled."""
        self._outbox.clear()
        async with trio.open_nursery() as nursery:
            for row, news, letter in await self._undelivered.waiting(self.name):
                await self._enqueue(Message(news, row, self._expiry(news), letter=letter), nursery)
            nursery.start_soon(self._deliver_all)
            task_status.started()
            async for news in self._receive_news:
                await self._take(news, nursery)

    # --- news come in

    async def _take(self, news: News, nursery: trio.Nursery) -> None:
        if await self._settle_pause(news) or not self._wanted(news):
            return
        row = await self._undelivered.add(self.name, news)
        message = Message(news, row, self._expiry(news))
        if news.event_name == "paused":
            message.not_before = trio.current_time() + self.settings.pause_debounce
        await self._enqueue(message, nursery)

    async def _settle_pause(self, news: News) -> bool:
        """A pause that ended before it was told is not told; whether the news was only its end."""
        if news.event_name not in JOB_EVENTS:
            return False
        for message in self._outbox:
            if (
                message.news.event_name == "paused"
                and message.not_before > trio.current_time()
                and not message.attempts
            ):
                self._told_at.pop("paused", None)
                await self._drop(message)
                return news.event_name == "resumed"
        return False

    def _wanted(self, news: News) -> bool:
        name, now = news.event_name, trio.current_time()
        if not self.settings.wants(name):
            return False
        if now - self._told_at.get(name, -self.settings.min_interval) < self.settings.min_interval:
            self._tally.suppressed += 1
            return False
        self._told_at[name] = now
        return True

    def _expiry(self, news: News) -> float:
        """The end of its useful life on Trio's clock. Quiet hours don't count; nor does a clock that was set back."""
        quiet_hours, now = self.settings.quiet_hours, self._wall_clock()
        quiet_until = quiet_hours.until(news.at) if quiet_hours is not None else None
        age = max(now - news.at, 0.0) if quiet_until is None else now - quiet_until
        return trio.current_time() + self.settings.max_age - age

    async def _enqueue(self, message: Message, nursery: trio.Nursery) -> None:
        if message.letter is None:
            nursery.start_soon(self._write, message)
        else:
            message.written.set()
        victim = self._outbox.put(message)
        if victim is not None:
            await self._give_up(victim, "too many messages were waiting; the newest are kept")

    async def _write(self, message: Message) -> None:
        """The letter is written when it happens, whatever hangs before it in the queue: pictures show that moment."""
        try:
            message.letter, problems = await self.compose(message.news)
        except Exception:  # our own mistake: it would come again at each restart, as long as the message waits
            logger.exception("notifier %s: the message about %s can't be written", self.name, message.news.event_name)
            message.letter, problems = Letter("", message.news.event_name), ("it could not be written: see the log",)
        key = f"notifier {self.name} letter"
        self._notices.withdraw(key)
        for problem in problems:
            sentence = f"[notifier {self.name}] {message.news.event_name}: {problem}"
            logger.warning("%s", sentence)
            self._notices.post(key, sentence)
        message.written.set()

    # --- letters go out

    async def _deliver_all(self) -> None:
        while True:
            message = self._outbox.head
            pause = self._pause_before(message)
            if message is None or pause > 0:
                with trio.move_on_after(pause):
                    await self._outbox.changed()
            elif trio.current_time() >= message.expires:
                await self._give_up(message, message.last_error or f"older than {self.settings.max_age:g} s")
            else:
                await self._attempt(message)

    def _pause_before(self, message: Message | None) -> float:
        if message is None:
            return CLOCK_CHECK
        quiet_hours, now = self.settings.quiet_hours, self._wall_clock()
        quiet_until = quiet_hours.until(now) if quiet_hours is not None else None
        quiet = min(max(quiet_until - now, 0.1), CLOCK_CHECK) if quiet_until is not None else 0.0
        return max(message.not_before - trio.current_time(), quiet)

    async def _attempt(self, message: Message) -> None:
        self._outbox.in_delivery = message
        await message.written.wait()
        async with _parting_grace():
            if message.letter is None or message.letter.blank:
                await self._drop(message)
            else:
                answer = await self.deliver(message.news, message.letter)
                await self._settle(message, message.letter, answer)
        self._outbox.in_delivery = None

    async def _settle(self, message: Message, letter: Letter, answer: Answer) -> None:
        message.attempts += 1
        if answer.delivered:
            self._tally.sent += 1
            self._tally.last_success = self._wall_clock()
            self._outbox.remove(message)
            await self._undelivered.remove(message.row)
            return
        message.last_error = answer.reason
        self._note_error(answer.reason)
        retries = self.settings.retries
        if answer.hopeless or (retries is not None and message.attempts > retries):
            await self._give_up(message, answer.reason)
            return
        pause = RETRY_PAUSES(message.attempts)
        message.not_before = min(trio.current_time() + pause, message.expires)
        if message.attempts == 1:
            logger.info("notifier %s: %s not delivered yet (%s)", self.name, message.news.event_name, answer.reason)
            await self._undelivered.keep_letter(message.row, letter)

    async def _drop(self, message: Message) -> None:
        self._tally.suppressed += 1
        self._outbox.remove(message)
        await self._undelivered.remove(message.row)

    async def _give_up(self, message: Message, reason: str) -> None:
        self._outbox.remove(message)
        self._note_given_up(message.news, reason)
        await self._undelivered.remove(message.row)

    def _note_error(self, reason: str) -> None:
        self._tally.last_error, self._tally.last_error_time = reason, self._wall_clock()

    def _note_given_up(self, news: News, reason: str) -> None:
        self._tally.failed += 1
        self._note_error(reason)
        so_far = f" ({self._tally.failed} given up so far)" if self._tally.failed > 1 else ""
        sentence = f"[notifier {self.name}] the message about '{news.event_name}' was given up: {reason}{so_far}"
        logger.warning("%s", sentence)
        self._notices.post(f"notifier {self.name}", sentence)


@asynccontextmanager
async def _parting_grace() -> AsyncIterator[None]:
    """When we are cancelled, what is inside the block gets a moment more to end by itself."""

    async def watch(shield: trio.CancelScope) -> None:
        try:
            await trio.sleep_forever()
        finally:
            shield.deadline = min(shield.deadline, trio.current_time() + PARTING_GRACE)

    async with trio.open_nursery() as nursery:
        with trio.CancelScope(shield=True) as shield:
            nursery.start_soon(watch, shield)
            yield
        nursery.cancel_scope.cancel()
