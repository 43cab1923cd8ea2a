"""A whole service as its own process, and what strangers do to it: raw bytes, many at once, with somebody watching."""

from __future__ import annotations

import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

from tests.integration.service import Client, Process, configure
from tests.until import until
from trio_moon.testing import MockSpoolman, SimulatedKlipper

CERTIFICATES = Path(__file__).parents[1] / "web" / "certificates"
HOST = b"Host: 127.0.0.1\r\n"
INFO = b"GET /server/info HTTP/1.1\r\n" + HOST + b"\r\n"
UPGRADE = (
    b"GET /websocket HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def tls_client(*protocols: str) -> ssl.SSLContext:
    """TLS as clients speak it that know our certificate."""
    context = ssl.create_default_context(cafile=CERTIFICATES / "moonraker.cert")
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


@dataclass
class Watch:
    """How long a bystander had to wait for its answers."""

    waits: list[float] = field(default_factory=list)

    @property
    def longest(self) -> float:
        return max(self.waits)

    @property
    def usual(self) -> float:
        """The median."""
        return sorted(self.waits)[len(self.waits) // 2]


@dataclass(eq=False)
class House:
    process: Process
    client: Client
    klipper: SimulatedKlipper
    tls_port: int

    @property
    def port(self) -> int:
        return int(self.client.url.rpartition(":")[2])

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def connect_tls(self, *protocols: str) -> trio.SSLStream[trio.SocketStream]:
        stream = await trio.open_tcp_stream("127.0.0.1", self.tls_port)
        secured = trio.SSLStream(stream, tls_client(*protocols), server_hostname="127.0.0.1", https_compatible=True)
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secured

    async def say(self, data: bytes, *, patience: float = 10.0, tls: bool = False) -> bytes:
        """What the service says to `data` until it closes, or is silent for a moment."""
        stream: trio.abc.Stream = await (self.connect_tls() if tls else self.connect())
        heard = b""
        try:
            with suppress(trio.BrokenResourceError):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_send, stream, data)
                    while True:
                        with trio.move_on_after(0.2 if heard else patience) as silence:
                            got = await stream.receive_some()
                            heard += got
                        if silence.cancelled_caught or not got:
                            break
                    nursery.cancel_scope.cancel()
        except* trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)
        return heard

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watch]:
        """A bystander asks all the while."""
        watch = Watch()

        async def ask() -> None:
            stream = await self.connect()
            async with stream:
                while True:
                    began = trio.current_time()
                    await stream.send_all(INFO)
                    heard = b""
                    with trio.fail_after(20):
                        while not heard.endswith(b"}"):
                            heard += await stream.receive_some()
                    assert heard.startswith(b"HTTP/1.1 200 "), heard
                    watch.waits.append(trio.current_time() - began)
                    await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            yield watch
            await trio.sleep(0.05)
            nursery.cancel_scope.cancel()

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def memory(self) -> int:
        """Resident KiB."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1])

    async def is_unharmed(self) -> None:
        assert (await self.client.get("/server/info")).status_code == 200
        log = self.process.log.read_text(errors="replace")
        assert not [line for line in log.splitlines() if " ERROR " in line or "Traceback" in line]

    async def lets_go(self, descriptors: int) -> None:
        """Wait until no more than so many descriptors are open."""
        await until(lambda: self.descriptors <= descriptors, within=45)


async def _send(stream: trio.abc.Stream, data: bytes) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_all(data)


@asynccontextmanager
async def open_house(root: Path, nursery: trio.Nursery, more: str = "") -> AsyncIterator[House]:
    """A service with TLS, a printer and Spoolman; without notifiers: importing Apprise would hide what clients cost."""
    spoolman = MockSpoolman()
    await nursery.start(spoolman.run)
    sections = f"[machine]\nprovider: none\n[spoolman]\nserver: {spoolman.url}\n[octoprint_compat]\n{more}"
    paths = configure(root, sections)
    configuration = paths.config / "moonraker.conf"
    configuration.write_text(configuration.read_text().replace("port: 0\n", "port: 0\nssl_port: 0\n", 1))
    for name in ("moonraker.cert", "moonraker.key"):
        shutil.copy(CERTIFICATES / name, paths.certs / name)
    klipper = SimulatedKlipper(paths.comms / "klippy.sock", gcodes=paths.gcodes, restart_pause=0.1)
    await nursery.start(klipper.run)
    process = Process(paths)
    try:
        client = await process.start()
        found = re.search(r"https://[^\s,]*:(\d+)", process.log.read_text())
        assert found is not None
        await client.klippy_ready()
        yield House(process, client, klipper, int(found[1]))
    finally:
        process.clean_up()
