"""Many subscribers in one thread, on plain sockets: cheap enough to hear what a server says to all of them."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.web.world import UPGRADE, client_frame

TIMEOUT = 20.0
UPDATE = b"notify_status_update"


@dataclass
class Heard:
    """The status updates that came, and their ages in seconds by Klipper's stamp."""

    updates: int = 0
    ages: list[float] = field(default_factory=list)

    @property
    def slowest_percent(self) -> float:
        """The age that 99 of 100 updates don't reach."""
        return sorted(self.ages)[len(self.ages) * 99 // 100] if self.ages else 0.0


class Crowd:
    """So many websockets, each subscribed to the same objects."""

    def __init__(self, port: int, count: int, objects: Mapping[str, object], *, deflate: bool = False) -> None:
        headers = UPGRADE | ({"sec-websocket-extensions": "permessage-deflate"} if deflate else {})
        self._buffers = {_open(port, headers, objects): b"" for _ in range(count)}

    def listen(self, heard: Heard, seconds: float) -> None:
        """Note everything that comes from now on, and for so long."""
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for sock in self._buffers:
                selector.register(sock, selectors.EVENT_READ)
            while (now := time.monotonic()) < end:
                for key, _ in selector.select(end - now):
                    self._hear(key.fileobj, heard)  # type: ignore[arg-type]

    def _hear(self, sock: socket.socket, heard: Heard) -> None:
        buffer = self._buffers[sock] + sock.recv(1 << 18)
        for payload, rest in _frames(buffer):
            buffer = rest
            if UPDATE in payload[:80]:
                heard.updates += 1
                heard.ages.append(time.monotonic() - float(payload[payload.rindex(b",") + 1 : -2]))
        self._buffers[sock] = buffer

    def close(self) -> None:
        for sock in self._buffers:
            sock.close()


def _open(port: int, headers: Mapping[str, str], objects: Mapping[str, object]) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    sock.sendall(f"GET /websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(4096)
    head, _, buffer = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    assert b"permessage-deflate" not in head.lower(), "compression is declined, and can't be read here"
    call = {"jsonrpc": "2.0", "method": "printer.objects.subscribe", "params": {"objects": objects}, "id": 1}
    sock.sendall(client_frame(json.dumps(call)))
    while not any(b'"id"' in payload and b'"result"' in payload for payload, _ in _frames(buffer)):
        buffer += sock.recv(1 << 16)
    return sock


def _frames(buffer: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The payload of each whole frame, and what follows it."""
    while len(buffer) >= 4:
        size, at = buffer[1], 2
        if size == 126:
            size, at = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < at + size:
            return
        payload, buffer = buffer[at : at + size], buffer[at + size :]
        yield payload, buffer
