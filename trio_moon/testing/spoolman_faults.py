"""What can go wrong with a Spoolman, each on a switch.

Put one in place with `MockSpoolman.fault(method, path, fault)`; it strikes matching requests until `times`
are struck or it is cleared. The names say when the ledger changes:

    HangBeforeApply, HangAfterApply         never answers
    AnswerLate, ApplyLate, ApplyAfterLeaving
    ResetBeforeApply, ResetAfterApply       TCP reset
    CutHalfway, Drip                        the answer comes in part, or a byte at a time
    AnswerInstead                           Spoolman answers something else
    GatewayAnswer, Redirect                 somebody before Spoolman answers
    Garbage, NotHttp, WrongContentType, HugeBody

They may strike websocket handshakes (method "WS") as well, where nothing is applied. Those below strike a
websocket that was accepted:

    Mute, GarbageFrames, NonJsonText, CloseAtOnce, ResetOnceOpen, PingWhileClosing

A fault of your own: subclass Fault and write `strike`, or LiveFault and `begin` or `play`.
"""

import fnmatch
from dataclasses import dataclass, field, replace

import trio

from trio_moon.testing.spoolman_live import LiveSocket
from trio_moon.testing.spoolman_messages import Answer, Request
from trio_moon.testing.spoolman_wire import Exchange

GARBAGE = b'{"id": 1, \x00\xff\xfe <html>'
RESERVED_FRAMES = b"\xf3\x7f\xff\xff" + b"\x83\x05moony"
GATEWAY_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr>nginx</body></html>"


@dataclass(kw_only=True, eq=False)
class Fault:
    """Something that goes wrong with matching requests; this one itself lets them pass."""

    times: int | None = None
    """It strikes so many requests and is then spent; None: until cleared."""
    skip: int = 0
    """It lets so many matching requests pass first."""
    struck: int = field(default=0, init=False)
    """How many requests it has struck."""
    _news: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot, init=False, repr=False)

    async def strike(self, exchange: Exchange) -> None:
        """Deal with a request in place of the server."""
        await exchange.reply(exchange.apply())

    async def wait_struck(self, count: int = 1) -> None:
        """Wait until it has struck so many requests (counted when it begins to strike)."""
        while self.struck < count:
            await self._news.park()

    def claim(self) -> bool:
        """Whether it strikes now; counts."""
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        self.struck += 1
        self._news.unpark_all()
        return True


@dataclass(frozen=True)
class FaultRule:
    """A fault and the requests it is meant for."""

    method: str
    path: str
    fault: Fault

    def strikes(self, request: Request) -> bool:
        fits = self.method in ("*", request.method) and fnmatch.fnmatchcase(request.path, self.path)
        return fits and self.fault.claim()


@dataclass(kw_only=True, eq=False)
class HangBeforeApply(Fault):
    """Takes the request, does nothing and never answers."""

    async def strike(self, exchange: Exchange) -> None:
        await exchange.client_left()


@dataclass(kw_only=True, eq=False)
class HangAfterApply(Fault):
    """Does what was asked and never answers."""

    async def strike(self, exchange: Exchange) -> None:
        exchange.apply()
        await exchange.client_left()


@dataclass(kw_only=True, eq=False)
class AnswerLate(Fault):
    """Does what was asked at once and answers later."""

    seconds: float

    async def strike(self, exchange: Exchange) -> None:
        answer = exchange.apply()
        await trio.sleep(self.seconds)
        await exchange.reply(answer)


@dataclass(kw_only=True, eq=False)
class ApplyLate(Fault):
    """Does what was asked later, whether or not the client still waits, and then answers."""

    seconds: float

    async def strike(self, exchange: Exchange) -> None:
        await trio.sleep(self.seconds)
        await exchange.reply(exchange.apply())


@dataclass(kw_only=True, eq=False)
class ApplyAfterLeaving(Fault):
    """Does what was asked only after the client has given up, and so many seconds more."""

    seconds: float = 0.0

    async def strike(self, exchange: Exchange) -> None:
        await exchange.client_left()
        await trio.sleep(self.seconds)
        exchange.apply()


@dataclass(kw_only=True, eq=False)
class ResetBeforeApply(Fault):
    """Resets the connection and does nothing."""

    async def strike(self, exchange: Exchange) -> None:
        exchange.reset()


@dataclass(kw_only=True, eq=False)
class ResetAfterApply(Fault):
    """Does what was asked and resets the connection."""

    async def strike(self, exchange: Exchange) -> None:
        exchange.apply()
        exchange.reset()


@dataclass(kw_only=True, eq=False)
class CutHalfway(Fault):
    """Does what was asked and hangs up in the middle of the answer."""

    async def strike(self, exchange: Exchange) -> None:
        data = exchange.encode(exchange.apply())
        await exchange.send(data[: max(1, len(data) - len(data) // 4)])


@dataclass(kw_only=True, eq=False)
class Drip(Fault):
    """Does what was asked and answers a byte at a time."""

    pause: float = 1.0
    """Seconds between two bytes."""

    async def strike(self, exchange: Exchange) -> None:
        for byte in exchange.encode(exchange.apply()):
            await exchange.send(bytes((byte,)))
            await trio.sleep(self.pause)
        exchange.finished = True


@dataclass(kw_only=True, eq=False)
class AnswerInstead(Fault):
    """Answers with this, whatever was asked: `AnswerInstead(answer=Answer.of_json({"message": "No."}, 400))`."""

    answer: Answer
    applied: bool = False

    async def strike(self, exchange: Exchange) -> None:
        if self.applied:
            exchange.apply()
        await exchange.reply(self.answer)


@dataclass(kw_only=True, eq=False)
class GatewayAnswer(Fault):
    """A gateway answers with a page of its own."""

    status: int
    retry_after: int | str | None = None
    applied: bool = False
    """Spoolman had done what was asked before the gateway lost patience."""
    headers: tuple[tuple[str, str], ...] = ()

    async def strike(self, exchange: Exchange) -> None:
        if self.applied:
            exchange.apply()
        page = GATEWAY_PAGE.format(f"{self.status} Gateway")
        headers = self.headers
        if self.retry_after is not None:
            headers += (("retry-after", str(self.retry_after)),)
        await exchange.reply(gateway_page(self.status, page, headers))


def gateway_page(status: int, page: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer that didn't come from Spoolman."""
    return Answer(status=status, body=page.encode(), content_type="text/html", headers=headers)


@dataclass(kw_only=True, eq=False)
class Redirect(Fault):
    """Sends the client elsewhere and does nothing."""

    location: str
    """Where to; the request's path is not appended."""
    status: int = 307

    async def strike(self, exchange: Exchange) -> None:
        await exchange.reply(gateway_page(self.status, "", (("location", self.location),)))


@dataclass(kw_only=True, eq=False)
class Garbage(Fault):
    """Answers 200 with a body that isn't what it says."""

    body: bytes = GARBAGE
    content_type: str = "application/json"
    applied: bool = True

    async def strike(self, exchange: Exchange) -> None:
        if self.applied:
            exchange.apply()
        await exchange.reply(Answer(body=self.body, content_type=self.content_type))


@dataclass(kw_only=True, eq=False)
class NotHttp(Fault):
    """Answers with bytes that aren't HTTP."""

    data: bytes = b"\x15\x03\x01 SSH-2.0-OpenSSH_9.2\r\n\r\n"
    applied: bool = True

    async def strike(self, exchange: Exchange) -> None:
        if self.applied:
            exchange.apply()
        await exchange.send(self.data)


@dataclass(kw_only=True, eq=False)
class WrongContentType(Fault):
    """Does what was asked and answers rightly, under a wrong content type (None: under none)."""

    content_type: str | None = "text/html"

    async def strike(self, exchange: Exchange) -> None:
        await exchange.reply(replace(exchange.apply(), content_type=self.content_type))


@dataclass(kw_only=True, eq=False)
class HugeBody(Fault):
    """Does what was asked and answers with far too much (valid JSON, if the client takes all of it)."""

    size_bytes: int = 64 * 1024 * 1024

    async def strike(self, exchange: Exchange) -> None:
        exchange.apply()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {self.size_bytes}\r\n\r\n"
        await exchange.send(head.encode() + b'"')
        left = self.size_bytes - 2
        while left > 0:
            chunk = min(left, 65536)
            await exchange.send(b"x" * chunk)
            left -= chunk
        await exchange.send(b'"')


@dataclass(kw_only=True, eq=False)
class LiveFault(Fault):
    """Something that goes wrong with a websocket after the handshake."""

    def begin(self, live: LiveSocket) -> None:
        """Spoil this websocket before the client's first word is read."""

    async def play(self, live: LiveSocket) -> None:
        """Spoil this websocket while it is served."""


@dataclass(kw_only=True, eq=False)
class Mute(LiveFault):
    """The connection stays, and nothing comes any more: no events, no pings, no pongs."""

    after: float = 0.0

    def begin(self, live: LiveSocket) -> None:
        if self.after <= 0:
            live.mute()

    async def play(self, live: LiveSocket) -> None:
        await trio.sleep(self.after)
        live.mute()


@dataclass(kw_only=True, eq=False)
class GarbageFrames(LiveFault):
    """Sends bytes that aren't websocket frames."""

    data: bytes = RESERVED_FRAMES

    def begin(self, live: LiveSocket) -> None:
        live.send_raw(self.data)


@dataclass(kw_only=True, eq=False)
class NonJsonText(LiveFault):
    """Sends text messages that aren't Spoolman's."""

    texts: tuple[str, ...] = ("{", "null", "[1]", '"x"', '{"resource": "spool"}', "")

    def begin(self, live: LiveSocket) -> None:
        for text in self.texts:
            live.send_text(text)


@dataclass(kw_only=True, eq=False)
class CloseAtOnce(LiveFault):
    """Closes each websocket as soon as it is open."""

    code: int = 1011

    def begin(self, live: LiveSocket) -> None:
        live.close(self.code)


@dataclass(kw_only=True, eq=False)
class ResetOnceOpen(LiveFault):
    """Resets the connection, so many seconds after the handshake."""

    after: float = 0.0

    async def play(self, live: LiveSocket) -> None:
        await trio.sleep(self.after)
        live.reset()


@dataclass(kw_only=True, eq=False)
class PingWhileClosing(LiveFault):
    """Answers the client's close with pings first."""

    pings: int = 2

    def begin(self, live: LiveSocket) -> None:
        live.pings_while_closing = self.pings
