"""The Klipper peer as the rest of the house sees it: its state, its calls, its news."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import trio

from trio_moon import __version__
from trio_moon.kit.connect import LinkState, Pauses, PeerLost, keep_connected
from trio_moon.kit.json_codec import Raw, decode
from trio_moon.kit.pending import Pending
from trio_moon.kit.status_box import Status
from trio_moon.kit.topics import Topic
from trio_moon.model.errors import BadParams, KlippyAway, MoonError, PeerError
from trio_moon.model.events import ConsoleLine, KlippyConnected, KlippyEvent, KlippyLost, KlippyReady, KlippyShutdown
from trio_moon.printer.calls import CALL_TIMEOUT, Calls
from trio_moon.printer.codec import ABSENT, STATUS_METHOD, Message, StatusMessage, StatusUpdate
from trio_moon.printer.link import KlippyLink, open_link
from trio_moon.printer.questions import Questions
from trio_moon.printer.status_feed import StatusFeed, parse_status
from trio_moon.printer.subscriptions import Wanted
from trio_moon.rpc.audience import Audience
from trio_moon.rpc.caller import Session

logger = logging.getLogger(__name__)

RECONNECT_PAUSES = Pauses(first=0.1, longest=0.5)
GREETING_TIMEOUT = 1.5
"""Seconds in which Klipper must say who it is; after that the connection is tried anew."""
INTRODUCTION_TIMEOUT = 10.0
"""The same for all that follows until our subscriptions exist."""
STATE_POLL = Pauses(first=0.1, longest=1.0)
"""How often to ask for the state while Klipper is starting or stands in an error."""
CONSOLE_BUFFER = 4096
STOPPED = "// Klipper state: Shutdown"
"""Klipper says so on the console as soon as it has stopped the machine."""
STOP_IS_SHOWN = 1.0
"""Seconds until its state shows it; a restart may come first."""

_WE_ARE = {"program": "trio_moon", "version": __version__}

Params = dict[str, object]
Listener = Callable[[Params], None]


class Printer:
    """Connects to Klipper for ever, mirrors its objects, and carries calls to it."""

    def __init__(self, socket_path: Path, audience: Audience) -> None:
        self._socket_path = socket_path
        self._audience = audience
        self._link: KlippyLink | None = None
        self._link_state = LinkState()
        self._calls = Calls(lambda: self.away_because)
        self._questions = Questions(self._calls.begin)
        self._feed = StatusFeed(self._calls, self._watch_webhooks)
        self._remote_methods: set[str] = set()
        self._told_of_nonsense = False
        self._stopped_at = -math.inf
        self._listeners: dict[str, Callable[[Raw], None]] = {
            STATUS_METHOD: lambda params: self._feed.receive(parse_status(params))  # one that needed a lenient look
        }
        self.listen("process_gcode_response", self._on_gcode_response)
        self.mirror = self._feed.mirror
        self.subscriptions = self._feed.subscriptions
        self.events: Topic[KlippyEvent] = Topic()
        self.console: Topic[ConsoleLine] = Topic(CONSOLE_BUFFER)
        self.state = "disconnected"
        """`disconnected`, `startup`, `ready`, `error` or `shutdown`, as `server.info` says it."""
        self.state_message = ""
        self.info: dict[str, object] = {}
        """Klipper's last answer to `info`; {} while it is away."""
        self.endpoints: frozenset[str] = frozenset()
        """The requests that Klipper offers; empty while it is away."""
        self.before_print: list[Callable[[str], Awaitable[None]]] = []
        """Asked with the file's name before a print is started; each may refuse by raising a MoonError."""
        self.asked_by = ""
        """Who has asked for the print that is about to begin; "" if nobody has asked us."""

    # --- what rooms may ask for, before the service runs

    def need(self, objects: Wanted) -> None:
        """Keep these objects in the mirror whether or not a client wants them."""
        self._feed.need(objects)

    def listen(self, method: str, listener: Listener) -> None:
        """Call `listener` with the parameters of each message of this method. It runs inside the reader: no waiting."""

        def decoded(params: Raw) -> None:
            value = decode(params) if params != ABSENT else {}
            listener(value if isinstance(value, dict) else {})

        self._listeners[method] = decoded

    def offer(self, name: str, listener: Listener) -> None:
        """Offer a remote method that Klipper's macros may call (`action_call_remote_method`)."""
        self._remote_methods.add(name)
        self.listen(name, listener)

    # --- what rooms may do at any time

    def offer_more(self, name: str, listener: Listener) -> None:
        """Offer a remote method while the service runs: `register` it then. BadParams if there is one of that name."""
        if name in self._listeners:
            raise BadParams(f"Remote method ({name}) already registered")
        self.offer(name, listener)

    async def register(self, name: str) -> None:
        """Tell Klipper of a remote method; if it is away, it is told when it comes."""
        with suppress(KlippyAway):
            await self._register(name)

    def withdraw(self, name: str) -> None:
        """Offer a remote method no longer; Klipper forgets it when it is restarted."""
        self._remote_methods.discard(name)
        self._listeners.pop(name, None)

    @property
    def connected(self) -> bool:
        """Whether Klipper's socket is open and has answered."""
        return self.state != "disconnected"

    @property
    def away_because(self) -> str:
        """Why Klipper is disconnected; "" while it is there."""
        return self._link_state.reason

    def vitals(self) -> Mapping[str, object]:
        return {
            "klippy_state": self.state,
            "reason": self._link_state.reason,
            "waiting_calls": self._calls.waiting,
            "unsent": self._link.unsent if self._link else 0,
            "subscribers": len(self.subscriptions),
        }

    async def request(self, method: str, params: object = None, *, deadline: float | None = CALL_TIMEOUT) -> Raw:
        """Ask Klipper to do something; the result is undecoded JSON. See Calls.request for the errors."""
        self._questions.forget()
        try:
            return await self._calls.request(method, params, deadline=deadline)
        finally:
            self._questions.forget()

    def question(self, method: str, params: object = None) -> Pending[Raw]:
        """Ask Klipper for what it knows (`objects/query` …), without waiting. See Calls.begin for the errors."""
        return self._questions.ask(method, params)

    async def ask(self, method: str, params: object = None, *, deadline: float | None = CALL_TIMEOUT) -> Params:
        """Ask Klipper and decode its answer, which must be an object."""
        value = decode(await self.request(method, params, deadline=deadline))
        if not isinstance(value, dict):
            raise PeerError(f"Klipper answered {method} with no object")
        return value

    async def query(self, objects: Mapping[str, list[str] | None]) -> tuple[Status, float]:
        """The state of some objects at this moment, and Klipper's event time."""
        answer = await self._calls.request("objects/query", {"objects": objects})
        update = parse_status(answer)
        return update.status, update.eventtime

    async def run_gcode(self, script: str) -> Raw:
        """Run G-code and wait for its end, however long that takes. A cancelled caller leaves, the printer goes on."""
        self.console.publish(ConsoleLine(script, time.time(), "command"))
        return await self.request("gcode/script", {"script": script}, deadline=None)

    async def start_print(self, filename: str, user: str | None = None) -> Raw:
        """Start printing a file of the `gcodes` root, once everybody in `before_print` agrees.

        Every start that goes through us comes here; `user` has asked for it. BadParams for a name that G-code can't
        carry.
        """
        name = filename.lstrip("/")
        if not name or any(ord(char) < 32 for char in name):
            raise BadParams(f"{filename!r:.80} can't be the name of a file to print")
        for ask in self.before_print:
            await ask(name)
        quoted = name.replace("\\", r"\\").replace('"', r"\"")
        self.asked_by = user or ""
        try:
            return await self.run_gcode(f'SDCARD_PRINT_FILE FILENAME="{quoted}"')
        except MoonError:
            self.asked_by = ""
            raise

    def say(self, text: str) -> None:
        """Show a line on the console of every frontend, as Klipper would: `// text`, or `!! text` for an error."""
        self._on_gcode_response({"response": text})

    def session(self, connection_id: int) -> Session | None:
        """The connected client of this id, if it may hear anything."""
        for session in self._audience:
            if session.connection_id == connection_id and (session.caller is None or session.caller.authorized):
                return session
        return None

    async def subscribe(self, session: Session, wanted: Wanted) -> StatusUpdate:
        """`session` hears of these objects from now on; returns their whole present state.

        What Klipper doesn't have is told as Klipper does: an object as {}, a field as None.
        """
        if not self.connected:
            raise KlippyAway(f"Klipper is not connected: {self.away_because}")
        self.subscriptions.set(session, wanted)
        try:
            await self._feed.cover_wishes()
        except BaseException:
            self.subscriptions.drop(session)
            raise
        known = self.mirror.pick(wanted)
        whole = {name: {**dict.fromkeys(fields or ()), **known.get(name, {})} for name, fields in wanted.items()}
        return StatusUpdate(whole, self.mirror.eventtime)

    def forget(self, session: Session) -> None:
        """A client has left: its wishes end with it."""
        self.subscriptions.drop(session)
        self._feed.wishes_changed()

    # --- life

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Stay connected to Klipper for ever."""
        task_status.started()
        await keep_connected(
            self._session, link=self._link_state, pauses=RECONNECT_PAUSES, logger=logger, peer="Klipper"
        )

    async def _session(self, connected: Callable[[], None]) -> None:
        self._link = link = await open_link(self._socket_path)
        self._told_of_nonsense = False
        reason = "trio_moon is stopping"
        try:
            async with trio.open_nursery() as nursery:
                self._calls.connect(link.send)
                nursery.start_soon(link.write_all)
                nursery.start_soon(self._calls.watch_deadlines)
                nursery.start_soon(self._accompany, connected)
                nursery.start_soon(link.read_all, self._handle)  # a task of its own: it wakes most often
        except* PeerLost as lost:
            reason = str(lost.exceptions[0])
        finally:
            self._leave(reason)
            link.close()
        raise PeerLost(reason)

    def _leave(self, reason: str) -> None:
        was_connected = self.connected
        if self.state == "ready" and time.monotonic() - self._stopped_at < STOP_IS_SHOWN:
            self._note_shutdown("Klipper was shut down, and restarted at once")
        self._stopped_at = -math.inf
        self._link = None
        self._calls.disconnect(reason)
        self._questions.forget()
        self.state, self.state_message, self.info = "disconnected", reason, {}
        self.endpoints = frozenset()
        self._feed.clear()
        if was_connected:
            self.events.publish(KlippyLost(reason))
            self._audience.announce("notify_klippy_disconnected")

    async def _accompany(self, connected: Callable[[], None]) -> None:
        """Greet Klipper, wait until it is ready, then keep our subscription what the clients wish."""
        try:
            with trio.fail_after(GREETING_TIMEOUT):
                self.info = await self.ask("info", {"client_info": _WE_ARE}, deadline=None)
            connected()
            with trio.fail_after(INTRODUCTION_TIMEOUT):
                await self._introduce()
            await self._become_ready()
        except MoonError as error:
            raise PeerLost(error.message) from error
        except trio.TooSlowError:
            raise PeerLost("Klipper accepts connections and does not answer") from None
        while True:
            await self._feed.wait_wishes_changed()
            await trio.sleep(1)  # clients that reload a page leave and return: wait for the new wish
            try:
                await self._feed.cover_wishes()
            except MoonError as error:
                logger.warning("Klipper refused our subscription: %s", error)

    async def _introduce(self) -> None:
        offered = (await self.ask("list_endpoints")).get("endpoints")
        self.endpoints = frozenset(map(str, offered)) if isinstance(offered, list) else frozenset()
        for name in sorted(self._remote_methods):
            await self._register(name)
        await self.request("gcode/subscribe_output", {"response_template": {"method": "process_gcode_response"}})
        self._take_state()
        process_id = self.info.get("process_id")
        told = str(self.info.get("state", "startup"))
        self.events.publish(KlippyConnected(process_id if isinstance(process_id, int) else 0, told))

    async def _register(self, name: str) -> None:
        template = {"method": name}
        await self.request("register_remote_method", {"response_template": template, "remote_method": name})

    async def _become_ready(self) -> None:
        asked = 0
        while self.info.get("state") not in ("ready", "shutdown"):
            asked += 1
            await trio.sleep(STATE_POLL(asked))
            self.info = await self.ask("info", deadline=INTRODUCTION_TIMEOUT)
            self._take_state()
        with trio.fail_after(INTRODUCTION_TIMEOUT):
            await self._feed.cover_wishes()
        shut_down = self.mirror.get("webhooks").get("state") == "shutdown"  # it may have come after `info`
        if self.info.get("state") == "ready" and not shut_down:
            self.state = "ready"
            process_id = self.info.get("process_id")
            self.events.publish(KlippyReady(process_id if isinstance(process_id, int) else 0))
            self._audience.announce("notify_klippy_ready")
        else:
            self._note_shutdown()

    def _take_state(self) -> None:
        """`ready` is said only once our subscriptions exist: a print started before that would go unseen."""
        state = str(self.info.get("state", "startup"))
        was = self.state
        self.state = "startup" if state == "ready" else state
        self.state_message = str(self.info.get("state_message", ""))
        if self.state != was:
            logger.info("Klipper: %s (%s)", state, " ".join(self.state_message.split()))

    # --- messages, inside the reader

    def _handle(self, message: Message | StatusMessage) -> None:
        if not isinstance(message, Message) or message.method is not None:
            self._questions.forget()
        try:
            if isinstance(message, StatusMessage):
                self._feed.receive(message.params)
            elif message.method is None:
                self._calls.settle(message)
            elif (listener := self._listeners.get(message.method)) is not None:
                listener(message.params)
            else:
                logger.info("Klipper called %.80r, which nobody offers", message.method)
        except PeerError as error:
            if not self._told_of_nonsense:  # it may come many times a second
                logger.warning("skipped: %s", error)
            self._told_of_nonsense = True
        except Exception:
            logger.exception("a message of Klipper's could not be handled")

    def _watch_webhooks(self, changes: Status) -> None:
        webhooks = changes.get("webhooks")
        if webhooks is not None and webhooks.get("state") == "shutdown" and self.state == "ready":
            self._note_shutdown()

    def _note_shutdown(self, message: str = "") -> None:
        message = message or str(self.mirror.get("webhooks").get("state_message") or self.info.get("state_message", ""))
        self.state, self.state_message = "shutdown", message
        logger.info("Klipper: shutdown (%s)", " ".join(message.split()))
        self.events.publish(KlippyShutdown(message))
        self._audience.announce("notify_klippy_shutdown")

    def _on_gcode_response(self, params: Params) -> None:
        text = str(params.get("response", ""))
        if text == STOPPED:
            self._stopped_at = time.monotonic()
        self.console.publish(ConsoleLine(text, time.time(), "response"))
        self._audience.announce("notify_gcode_response", text)
