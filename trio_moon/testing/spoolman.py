"""MockSpoolman: an honest little Spoolman 0.26.1 with an exact ledger and switchable faults.

It speaks Spoolman's HTTP API and its websockets on a real port. A test looks into its ledger and breaks it:

    async def test_usage_is_reported_once(nursery):
        spoolman = MockSpoolman()
        spool = spoolman.add_spool()
        await nursery.start(spoolman.run)
        ...                                                     # use spoolman.url
        with spoolman.fault("PUT", "/spool/*/use", HangAfterApply(times=1)) as fault:
            ...
            await fault.wait_struck()
        assert spool.used_length == pytest.approx(12.5, abs=1e-6)
        assert [use.used_mm for use in spoolman.uses] == [12.5]
        await spoolman.go_away()                                # connection refused
        await spoolman.come_back()                              # on the same port, with the same ledger

Paths in faults are those below /api/v1 with shell wildcards; the method "WS" means websocket handshakes,
"*" any method. The faults stand in `spoolman_faults`. tests/peers compares the mock with the real Spoolman.
"""

import base64
import math
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from ssl import SSLContext

import trio

from trio_moon.testing.spoolman_api import SpoolmanApi
from trio_moon.testing.spoolman_connection import Connection
from trio_moon.testing.spoolman_faults import Fault, FaultRule, gateway_page
from trio_moon.testing.spoolman_items import Filament, Json, Spool, Vendor, wire_time
from trio_moon.testing.spoolman_live import LiveSocket
from trio_moon.testing.spoolman_messages import API_ROOT, Answer, Request, compact_json
from trio_moon.testing.spoolman_store import SpoolStore, Use

BACKLOG = 128
KEPT_REQUESTS = 10_000
PING_EVERY = 20.0
PONG_WITHIN = 20.0
KEEP_ALIVE = 5.0
PLA_DENSITY = 1.24
DIAMETER_MM = 1.75
FULL_SPOOL_G = 1000.0


class MockSpoolman:
    """A Spoolman for tests and demos; `run` serves it until cancelled."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        base_path: str = "",
        basic_auth: tuple[str, str] | None = None,
        required_headers: Mapping[str, str] | None = None,
        tls: SSLContext | None = None,
        ping_every: float = PING_EVERY,
        pong_within: float = PONG_WITHIN,
        keep_alive: float = KEEP_ALIVE,
    ) -> None:
        self.host = host
        self.port = port
        """The port; known once `run` has started where 0 (any free one) was asked for."""
        self.base_path = base_path.rstrip("/")
        self.basic_auth = basic_auth
        """User and password that a gateway before Spoolman asks for; may be changed at any time."""
        self.required_headers = dict(required_headers or {})
        """Headers without which the gateway refuses; may be changed at any time."""
        self.tls = tls
        self.ping_every = ping_every
        self.pong_within = pong_within
        self.keep_alive = keep_alive
        """An idle HTTP connection is closed after so many seconds, as the real one's server does."""
        self.requests: list[Request] = []
        """The requests that arrived (the newest thousands of them), in order, handshakes included."""
        self.live: list[LiveSocket] = []
        """The websockets that are open now."""
        self._store = SpoolStore(self._publish)
        self._api = SpoolmanApi(self._store)
        self._rules: list[FaultRule] = []
        self._wanted = trio.Event()
        self._wanted.set()
        self._listening = trio.Event()
        self._away = trio.Event()
        self._away.set()
        self._serving = trio.CancelScope()
        self._news = trio.lowlevel.ParkingLot()

    # addresses

    @property
    def url(self) -> str:
        """What stands behind `server:` in the [spoolman] section."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{self.host}:{self.port}{self.base_path}"

    @property
    def api_url(self) -> str:
        """The root of the API."""
        return self.url + API_ROOT

    # the ledger

    @property
    def spools(self) -> dict[int, Spool]:
        """The spools by id, live: `spoolman.spools[1].used_length`."""
        return self._store.spools

    @property
    def filaments(self) -> dict[int, Filament]:
        """The filaments by id."""
        return self._store.filaments

    @property
    def vendors(self) -> dict[int, Vendor]:
        """The vendors by id."""
        return self._store.vendors

    @property
    def uses(self) -> list[Use]:
        """Every applied use of every spool, in order, whoever asked and whether or not it was answered."""
        return self._store.uses

    def used_mm(self, spool_id: int) -> float:
        """The sum of all applied uses of a spool, as they were asked for."""
        return math.fsum(use.used_mm for use in self.uses if use.spool_id == spool_id)

    async def wait_uses(self, count: int) -> None:
        """Wait until so many uses have been applied."""
        await self.wait_until(lambda: len(self.uses) >= count)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until this holds; it is looked at after each request, change and coming or going of a websocket.

        For example `await spoolman.wait_until(lambda: len(spoolman.live) == 1)`.
        """
        while not condition():
            await self._news.park()

    def add_vendor(self, name: str = "Moonshot", *, empty_spool_weight: float | None = None) -> Vendor:
        """A new vendor; websockets hear of it."""
        return self._store.add_vendor({"name": name, "empty_spool_weight": empty_spool_weight})

    def add_filament(
        self,
        name: str = "Galaxy Black",
        *,
        material: str = "PLA",
        density: float = PLA_DENSITY,
        diameter: float = DIAMETER_MM,
        weight: float | None = FULL_SPOOL_G,
        vendor: Vendor | None = None,
        **more: object,
    ) -> Filament:
        """A new filament, PLA of 1.75 mm unless told otherwise; `more` are Spoolman's other fields."""
        values: Json = {"name": name, "material": material, "density": density, "diameter": diameter}
        vendor_id = None if vendor is None else vendor.id
        return self._store.add_filament(values | {"weight": weight, "vendor_id": vendor_id} | more)

    def add_spool(self, filament: Filament | None = None, **more: object) -> Spool:
        """A new full spool, of a new filament unless told otherwise; `more` are Spoolman's other fields."""
        filament = self.add_filament() if filament is None else filament
        return self._store.add_spool({"filament_id": filament.id} | more)

    def delete_spool(self, spool_id: int) -> None:
        """Take a spool away, as somebody does in Spoolman's own pages."""
        self._store.remove_spool(spool_id)

    def other_writer_uses(self, spool_id: int, used_mm: float) -> None:
        """Another printer uses this spool: the ledger moves and websockets hear of it."""
        self._store.use_length(spool_id, used_mm)

    # faults

    @contextmanager
    def fault(self, method: str, path: str, fault: Fault) -> Iterator[Fault]:
        """Put a fault in place for the length of the block; what it holds up stays held up after it."""
        rule = self.add_fault(method, path, fault)
        try:
            yield fault
        finally:
            if rule in self._rules:
                self._rules.remove(rule)

    def add_fault(self, method: str, path: str, fault: Fault) -> FaultRule:
        """Put a fault in place until it is spent or cleared. The first that fits strikes."""
        rule = FaultRule(method, path, fault)
        self._rules.append(rule)
        return rule

    def clear_faults(self) -> None:
        """Remove every fault."""
        self._rules.clear()

    # its life

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started (with the url) once it listens."""
        place = self._take_port()
        try:
            while True:
                await self._wanted.wait()
                await self._serve(place, task_status)
                task_status = trio.TASK_STATUS_IGNORED
                place = self._take_port()
                self._away.set()
        finally:
            place.close()

    def _take_port(self) -> socket.socket:
        """Keep the port for us; connections to it are refused until somebody listens."""
        place = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind((self.host, self.port))
        self.port = place.getsockname()[1]
        place.setblocking(False)
        return place

    async def _serve(self, place: socket.socket, task_status: trio.TaskStatus[str]) -> None:
        self._away = trio.Event()
        place.listen(BACKLOG)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(place))
        with trio.CancelScope() as self._serving:
            async with trio.open_nursery() as connections:
                await connections.start(trio.serve_listeners, self._connection, [listener])
                self._listening.set()
                task_status.started(self.url)
        self._listening = trio.Event()

    async def go_away(self) -> None:
        """Vanish: every connection is closed and new ones are refused. The ledger stays."""
        self._wanted = trio.Event()
        self._serving.cancel()
        await self._away.wait()

    async def come_back(self) -> None:
        """Listen on the same port again."""
        self._wanted.set()
        await self._listening.wait()

    async def _connection(self, stream: trio.SocketStream) -> None:
        await Connection(self, stream).run()

    # what a connection asks of its server

    def note(self, request: Request) -> None:
        """Write down that a request has arrived."""
        self.requests.append(request)
        if len(self.requests) > KEPT_REQUESTS:
            del self.requests[: KEPT_REQUESTS // 2]
        self._news.unpark_all()

    @contextmanager
    def listening(self, live: LiveSocket) -> Iterator[None]:
        """Send events to this websocket for the length of the block."""
        self.live.append(live)
        self._news.unpark_all()
        try:
            yield
        finally:
            self.live.remove(live)
            self._news.unpark_all()

    def find_fault(self, request: Request) -> Fault | None:
        """The fault that strikes this request, if any."""
        return next((rule.fault for rule in self._rules if rule.strikes(request)), None)

    def refusal(self, request: Request) -> Answer | None:
        """The gateway's answer to who may not come in."""
        if self.basic_auth is not None:
            token = base64.b64encode(":".join(self.basic_auth).encode()).decode()
            if request.headers.get("authorization") != f"Basic {token}":
                challenge = (("www-authenticate", 'Basic realm="Spoolman"'),)
                return gateway_page(401, "<h1>401 Authorization Required</h1>", challenge)
        for name, value in self.required_headers.items():
            if request.headers.get(name.lower()) != value:
                return gateway_page(403, "<h1>403 Forbidden</h1>")
        return None

    def answer(self, request: Request) -> Answer:
        """Spoolman's own answer to a request of its API."""
        return self._api.answer(request)

    def _publish(self, kind: str, resource: str, key: str, payload: Json) -> None:
        date = wire_time(datetime.now(UTC))
        text = compact_json({"type": kind, "resource": resource, "date": date, "payload": payload}).decode()
        path = (resource, key)
        for live in self.live:
            if live.topic == path[: len(live.topic)]:
                live.send_text(text)
        self._news.unpark_all()
