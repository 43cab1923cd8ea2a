"""SimulatedKlipper: a Klipper host without a printer, for tests and the demo.

    klipper = SimulatedKlipper(tmp_path / "klippy.sock", gcodes=tmp_path / "gcodes")
    await nursery.start(klipper.run)
    await klipper.run_gcode("G28\\nM83\\nG1 E25 F1800")
    assert klipper.extruded_mm["extruder"] == pytest.approx(25)

It speaks Klipper's API server protocol on a unix socket to any number of clients, or over memory streams
(`connect`), with all time taken from Trio, so that `autojump_clock` works there. The printer is real enough:
moves take their time, the commanded position runs ahead, files print line by line, RESTART closes every
connection and begins again with E at 0.
"""

import errno
import math
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio
import trio.testing

from trio_moon.testing.klipper_api import Api
from trio_moon.testing.klipper_clock import PrintClock
from trio_moon.testing.klipper_faults import Faults
from trio_moon.testing.klipper_gcode import KlipperError
from trio_moon.testing.klipper_host import HALTED, Host, Setup, State
from trio_moon.testing.klipper_macros import SPOOL_MACROS, Macro, MacroCall
from trio_moon.testing.klipper_request import JsonObject, RemoteMethods, Request
from trio_moon.testing.klipper_truth import FilamentTruth
from trio_moon.testing.klipper_wire import Connection

__all__ = ["Faults", "KlipperError", "Macro", "ReceivedRequest", "SimulatedKlipper"]

REMEMBERED = 2000  # requests and console lines kept for tests to look at


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that a client sent, in `SimulatedKlipper.received`."""

    method: str
    params: JsonObject
    id: object
    at: float


class SimulatedKlipper:
    """A Klipper host on a unix socket; `run` lives until cancelled.

    * `gcodes`: directory of printable files; None prints nothing.
    * `extruders`: how many; more than one also makes the macros T0, T1, ...
    * `speed`: seconds of printer time per second of the clock; `math.inf` prints as fast as it can.
    * `macros`: name to G-code with Klipper's Jinja2, to an async callable, or to a `Macro`.
    * `setup`: everything else about the printer; changes count from the next restart.
    * `faults`: switches of misbehaviour, to be changed at any time.
    """

    def __init__(
        self,
        socket_path: Path | str | None = None,
        *,
        gcodes: Path | str | None = None,
        extruders: int = 1,
        speed: float = 1.0,
        macros: Mapping[str, str | MacroCall | Macro] | None = None,
        extra_axes: bool = False,
        min_extrude_temp: float = 0.0,
        startup_time: float = 0.0,
        start_error: str | None = None,
        restart_pause: float = 1.0,
        status_interval: float = 0.25,
    ) -> None:
        self.socket_path = None if socket_path is None else Path(socket_path)
        self.setup = Setup(
            extruders=tuple(f"extruder{index or ''}" for index in range(extruders)),
            gcodes=None if gcodes is None else Path(gcodes),
            macros=_all_macros(macros or {}, extruders),
            speed=speed,
            extra_axes=extra_axes,
            min_extrude_temp=min_extrude_temp,
            startup_time=startup_time,
            start_error=start_error,
        )
        self.faults = Faults()
        self.restart_pause = restart_pause
        self.status_interval = status_interval
        self.received: deque[ReceivedRequest] = deque(maxlen=REMEMBERED)
        self.console: deque[str] = deque(maxlen=REMEMBERED)
        self._truth = FilamentTruth(self.setup.extruders)
        self._mcu_time = 0.0
        self._overrides: dict[str, JsonObject] = {}
        self._connections: set[Connection] = set()
        self._host: Host | None = None
        self._api: Api | None = None
        self._remote_methods = RemoteMethods()
        self._listener: trio.SocketListener | None = None
        self._refusing = self._crashing = False
        self._clients: trio.Nursery | None = None
        self._changed = trio.Event()

    # life

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be a Klipper host: started when clients can connect, until cancelled."""
        try:
            async with trio.open_nursery() as self._clients:
                while True:
                    await self._live(task_status)
                    task_status = trio.TASK_STATUS_IGNORED
                    await trio.sleep(self.restart_pause)
        finally:
            self._close_listener()
            if self.socket_path is not None:
                with suppress(FileNotFoundError):
                    self.socket_path.unlink()

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as life:
            self._truth.begin_session()
            self._remote_methods = RemoteMethods()
            clock = PrintClock(self.setup.speed, self._mcu_time)
            host = Host(self.setup, clock, self._truth, life.start_soon, self._call_remote, self._overrides)
            host.gcode.listeners.append(self.console.append)
            api = Api(host, self.faults, self._remote_methods, life.start_soon, self.status_interval)
            self._host, self._api = host, api
            life.start_soon(api.work_through_scripts)
            self._listen()
            if not self.setup.startup_time:
                self._become_ready(host)
            task_status.started()
            if self.setup.startup_time:
                with trio.move_on_after(self.setup.startup_time):
                    await host.restart_requested.wait()
                self._become_ready(host)
            await host.restart_requested.wait()
            await self._end_life(host)
            life.cancel_scope.cancel()

    def _become_ready(self, host: Host) -> None:
        host.become_ready()
        self._note_change()

    async def _end_life(self, host: Host) -> None:
        self._close_listener()
        self._host = self._api = None
        if not self._crashing:
            host.gcode.info("Klipper state: Disconnect")
            for connection in tuple(self._connections):
                await connection.flush()
        self._crashing = False
        await self.cut_connections()
        host.toolhead.halt()
        keeps = self.setup.mcu_keeps_clock and not host.firmware_restarts
        self._mcu_time = host.clock.now() + self.restart_pause if keeps else 0.0
        self._note_change()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # connections

    def _listen(self) -> None:
        if self.socket_path is None or self._refusing:
            return
        with suppress(FileNotFoundError):
            self.socket_path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(self.socket_path))  # at once: nobody here can find the path missing
        listening.listen()
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        assert self._clients is not None
        self._clients.start_soon(self._accept, self._listener)

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.socket.close()
            self._listener = None

    async def _accept(self, listener: trio.SocketListener) -> None:
        assert self._clients is not None
        with suppress(trio.ClosedResourceError):
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno == errno.EBADF:
                        return
                    raise
                self._clients.start_soon(self._serve, stream)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        connection = Connection(stream, self.faults)
        self._connections.add(connection)
        try:
            await connection.run(self._receive)
        finally:
            self._connections.discard(connection)

    def _receive(self, connection: Connection, frame: bytes) -> None:
        request = Request.from_wire(connection, frame)
        if request is None:
            return
        self.received.append(ReceivedRequest(request.method, request.params, request.id, trio.current_time()))
        if self._api is not None:
            self._api.handle(request)

    async def connect(self) -> trio.abc.Stream:
        """A client's end of a memory stream, for tests on a virtual clock; like connect() on the socket."""
        if self._clients is None or self._host is None or self._refusing:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "The simulated Klipper is away")
        ours, theirs = trio.testing.memory_stream_pair()
        self._clients.start_soon(self._serve, ours)
        await trio.lowlevel.checkpoint()
        return theirs

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def cut_connections(self) -> None:
        """Close every connection without a word."""
        for connection in tuple(self._connections):
            await connection.cut()
        self._connections.clear()

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Every connection is cut, and new ones are refused, inside this block; the host lives on."""
        made_at = None if self.socket_path is None else self.socket_path.stat().st_mtime_ns
        life = self._host
        self._refusing = True
        self._close_listener()
        await self.cut_connections()
        try:
            yield
        finally:
            self._refusing = False
            if self._host is not None:
                self._listen()
            if made_at is not None and life is self._host and self.socket_path is not None:
                os.utime(self.socket_path, ns=(made_at, made_at))  # the file still tells when this life began

    def send_raw(self, data: bytes) -> None:
        """Send any bytes to every client: garbage, half a frame, something huge. A frame ends with 0x03."""
        for connection in self._connections:
            connection.send_bytes(data)

    def send_frame(self, message: object) -> None:
        """Send a JSON frame that nobody asked for to every client."""
        for connection in self._connections:
            connection.send(message)

    # what a test looks at

    @property
    def state(self) -> State | None:
        """The host's state; None while it is away between two lives."""
        return None if self._host is None or self._host.restart_requested.is_set() else self._host.state

    @property
    def extruded_mm(self) -> dict[str, float]:
        """Per extruder the filament that left for good, over all restarts; complete when the moves are done.

        It counts what rose above the highest E position of each session. What a shutdown left in the
        look-ahead never happened.
        """
        if self._host is not None:
            self._host.toolhead.settle()
        return self._truth.used_mm()

    @property
    def positions(self) -> dict[str, float]:
        """Commanded positions now: x, y, z and one per extruder."""
        toolhead = self._alive().toolhead
        return {**dict(zip("xyz", toolhead.position[:3], strict=True)), **toolhead.extruder_positions}

    @property
    def remote_methods(self) -> dict[str, list[JsonObject]]:
        """What clients registered: each method with the templates of its live clients."""
        return self._remote_methods.registered()

    def requests(self, method: str) -> list[ReceivedRequest]:
        """The received requests with that method."""
        return [request for request in self.received if request.method == method]

    def status(self, name: str) -> JsonObject:
        """A printer object as clients see it now."""
        status = self._alive().status(name)
        if status is None:
            raise KeyError(name)
        return status

    # what a test does

    @property
    def speed(self) -> float:
        """Seconds of printer time per second of the clock; may be changed at any time."""
        return self.setup.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self.setup.speed = speed
        if self._host is not None:
            self._host.clock.speed = speed

    async def run_gcode(self, script: str, *, wait_moves: bool = True) -> None:
        """Run a script as if typed at the printer; raises KlipperError like Klipper answers.

        With `wait_moves` it returns when the printer has really done it, else like gcode/script.
        """
        host = self._alive()
        await host.gcode.run_script(script)
        if wait_moves and not host.restart_requested.is_set():
            await host.toolhead.wait_moves()

    async def extrude(self, length_mm: float, extruder: str | None = None, *, feed: float = 1800.0) -> None:
        """Push (or with a negative length pull) filament, and wait until it is done."""
        change = [] if extruder is None else [f"ACTIVATE_EXTRUDER EXTRUDER={extruder}"]
        longest = self.setup.limits.max_extrude_only_distance
        pieces = math.ceil(abs(length_mm) / longest) or 1
        moves = [f"G1 E{length_mm / pieces!r} F{feed}"] * pieces
        lines = [
            "SAVE_GCODE_STATE NAME=_EXTRUDE",
            *change,
            "M83",
            *moves,
            "RESTORE_GCODE_STATE NAME=_EXTRUDE",
        ]
        await self.run_gcode("\n".join(lines))

    async def print_file(self, name: str, lines: Iterable[str] | None = None) -> None:
        """Start a file in `gcodes`, written first when lines are given; returns when it has begun."""
        if lines is not None:
            assert self.setup.gcodes is not None, "give SimulatedKlipper a gcodes directory"
            path = self.setup.gcodes / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n")
        await self.run_gcode(f'SDCARD_PRINT_FILE FILENAME="{name}"', wait_moves=False)

    async def wait_print(self, *states: str) -> str:
        """Wait until print_stats.state is one of these (default: any end) and the moves are done."""
        wanted = states or ("complete", "cancelled", "error")
        host = self._alive()
        while (state := host.printing.stats.state) not in wanted:
            await host.printing.stats.changed.wait()
        await host.toolhead.wait_moves()
        return state

    async def wait_state(self, *states: State) -> State:
        """Wait until the host is in one of these states."""
        while (state := self.state) not in states or state is None:
            await self._changed.wait()
        return state

    async def restart(self, *, firmware: bool = False) -> None:
        """RESTART (or FIRMWARE_RESTART), and wait until the host is no longer starting."""
        await self.run_gcode("FIRMWARE_RESTART" if firmware else "RESTART")
        await self.wait_state("ready", "error", "shutdown")

    def crash(self) -> None:
        """The process dies and a new one comes after `restart_pause`: no farewell, another process id."""
        self._alive().restart_requested.set()
        self.setup.process_id += 1
        self._crashing = True

    def shut_down(self, message: str = "Lost communication with MCU 'mcu'") -> None:
        """Go into shutdown at once, also in the middle of a print."""
        self._alive().shut_down(message)
        self._note_change()

    def fail(self, message: str) -> None:
        """Go into the state `error` with a message, as after a broken configuration."""
        host = self._alive()
        host.state, host.state_message = "error", f"{message}\n{HALTED}"
        self._note_change()

    def set_object(self, name: str, **fields: object) -> None:
        """Let an object show these fields from now on, over restarts; a new name makes a new object."""
        self._overrides[name] = {**self._overrides.get(name, {}), **fields}

    def clear_object(self, name: str) -> None:
        """Forget what set_object said."""
        self._overrides.pop(name, None)

    async def call_remote(self, method: str, /, **params: object) -> None:
        """Call a client's remote method, as a macro does; KlipperError when nobody registered it."""
        self._call_remote(method, **params)
        await trio.lowlevel.checkpoint()

    def _call_remote(self, method: str, /, **params: object) -> None:
        self._remote_methods.call(method, **params)

    def _alive(self) -> Host:
        if self._host is None:
            raise KlipperError("Klipper is restarting")
        return self._host


def _all_macros(given: Mapping[str, str | MacroCall | Macro], extruders: int) -> dict[str, Macro]:
    macros = dict(SPOOL_MACROS)
    if extruders > 1:
        for index in range(extruders):
            macros[f"T{index}"] = Macro(f"ACTIVATE_EXTRUDER EXTRUDER=extruder{index or ''}")
    for name, macro in given.items():
        macros[name] = macro if isinstance(macro, Macro) else Macro(macro)
    return macros
