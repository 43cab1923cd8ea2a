"""The door: listening sockets, and every connection contained, counted and limited in time."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import resource
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import trio

from trio_moon.kit.periodic import periodic
from trio_moon.model.errors import MoonError
from trio_moon.web.connection import Connection
from trio_moon.web.settings import Limits

logger = logging.getLogger(__name__)

BACKLOG = 512
ACCEPT_AT_ONCE = 64
NO_MORE_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

CROWDED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Serve = Callable[[Connection], Awaitable[object]]


class CannotListen(MoonError):
    """An address or a port isn't ours, or is taken."""


class Door:
    """Lets connections in and sees to it that each can only hurt itself."""

    def __init__(self, limits: Limits, descriptors_each: int = 1) -> None:
        self._limits = limits
        self._most = _allowed_connections(limits.connections, descriptors_each)
        self._connections: set[Connection] = set()
        self._per_address: Counter[str] = Counter()
        self._empty = trio.Event()

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Everybody who is connected now."""
        return tuple(self._connections)

    async def keep_open(self, listener: socket.socket, serve: Serve, nursery: trio.Nursery) -> None:
        """Accept for ever. Connections live in `nursery`."""
        starved = False
        while True:
            await trio.lowlevel.wait_readable(listener)
            for _ in range(ACCEPT_AT_ONCE):
                try:
                    accepted, name = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in NO_MORE_DESCRIPTORS:
                        if not starved:
                            logger.warning("no connection can be accepted: %s", error.strerror)
                        starved = True
                        self._make_room(None)
                        await trio.sleep(0.1)
                    break
                starved = False
                self._admit(accepted, name, serve, nursery)

    def _admit(self, accepted: socket.socket, name: object, serve: Serve, nursery: trio.Nursery) -> None:
        accepted.setblocking(False)
        address = _address(name) if isinstance(name, tuple) else None
        if address is not None:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._has_room(address):
            with suppress(OSError):
                accepted.send(CROWDED)
            accepted.close()
            return
        connection = Connection(accepted, address)
        self._connections.add(connection)
        if address is not None:
            self._per_address[address] += 1
        nursery.start_soon(self._contain, connection, serve)

    def _has_room(self, address: str | None) -> bool:
        most = self._limits.connections_per_address
        if address is not None and self._per_address[address] >= most and not _is_ours(address):
            return self._make_room(address)
        return len(self._connections) < self._most or self._make_room(None)

    def _make_room(self, address: str | None) -> bool:
        """End a connection that can be spared, if possible one that never asked, or is idle; of `address`, if given."""
        spare = [c for c in self._connections if c.spare and address in (None, c.address)]
        if not spare:
            return False
        self._forget(first := min(spare, key=lambda c: (c.proven, c.busy, c.deadline)))  # which is over soonest
        first.cut()
        return True

    async def _contain(self, connection: Connection, serve: Serve) -> None:
        try:
            with connection.scope:
                await serve(connection)
        except* Exception as group:
            logger.error("a connection failed", exc_info=group)
        finally:
            connection.close()
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        if connection.address is not None:
            self._per_address[connection.address] -= 1
            if not self._per_address[connection.address]:
                del self._per_address[connection.address]
        if not self._connections:
            self._empty.set()

    async def sweep(self) -> None:
        """End what is overdue, every now and then: cheaper than a timer for each request."""
        await periodic(self._limits.sweep_every, self._look_after_all)

    def _look_after_all(self) -> None:
        now = trio.current_time()
        for connection in self.connections:
            try:
                _look_after(connection, now, self._limits.half_closed)
            except Exception:
                logger.exception("a connection can't be looked after")
                connection.cut()

    async def emptied(self) -> None:
        """Wait until the last connection is gone."""
        while self._connections:
            self._empty = trio.Event()
            await self._empty.wait()


def _look_after(connection: Connection, now: float, half_closed: float) -> None:
    if connection.deadline <= now:
        connection.expire()
        return
    if connection.on_sweep is not None:
        connection.on_sweep(now)
    if connection.waiting_since < now and connection.has_left(now, half_closed):
        connection.scope.cancel()


def open_tcp(host: str | None, port: int) -> list[socket.socket]:
    """Listening sockets for a host's addresses, or for every address of both families."""
    listeners: list[socket.socket] = []
    where = host
    try:
        for family, _, _, _, address in _addresses(host, port):
            where = str(address[0])
            sock = socket.socket(family, socket.SOCK_STREAM)
            listeners.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                if port == 0 and len(listeners) > 1:  # the same free port for both families
                    address = (address[0], listeners[0].getsockname()[1], 0, 0)
            sock.bind(address)
            sock.listen(BACKLOG)
            sock.setblocking(False)
    except BaseException as error:
        for sock in listeners:
            sock.close()
        if isinstance(error, (OSError, UnicodeError)):
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise CannotListen(f"can't listen on {where} port {port}: {why}") from error
        raise
    return listeners


def _addresses(host: str | None, port: int) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    if host is not None:
        name = host.encode() if host.isascii() else host  # as text, it loads the tables of international names
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [(int(family), 0, 0, "", address) for family, _, _, _, address in found]
    both: list[tuple[int, int, int, str, tuple[object, ...]]] = [(socket.AF_INET, 0, 0, "", ("0.0.0.0", port))]
    if _speaks_ipv6():
        both.append((socket.AF_INET6, 0, 0, "", ("::", port, 0, 0)))
    return both


def _speaks_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def open_unix(path: Path) -> socket.socket:
    """The listening unix socket; one that was left over is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        os.chmod(path, 0o660)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _address(name: tuple[object, ...]) -> str:
    text = str(name[0]).partition("%")[0]
    return text.removeprefix("::ffff:") if "." in text else text


def _is_ours(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _allowed_connections(wanted: int, descriptors_each: int) -> int:
    """As many as wanted, if the system gives us the file descriptors."""
    reserve = 200
    needed = wanted * descriptors_each + reserve
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        better = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (better, hard))
            soft = better
        except (OSError, ValueError):
            pass
    return wanted if soft == resource.RLIM_INFINITY else max(16, min(wanted, (soft - reserve) // descriptors_each))
