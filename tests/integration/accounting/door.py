"""A TCP relay before a server: the server's host can vanish as if its plug were pulled, and come back."""

from __future__ import annotations

import socket

import trio

BACKLOG = 64
FILLERS = 4
CHUNK = 65536


class Door:
    """Relays connections to a port of this machine; `run` serves until cancelled."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._accepting = trio.CancelScope()
        self._relays = trio.CancelScope()
        self._opened = trio.Event()
        self._fillers: list[socket.socket] = []
        self.port: int = self._socket.getsockname()[1]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve, again and again while it is open."""
        self._socket.setblocking(False)
        listening = trio.socket.from_stdlib_socket(self._socket)
        self.open()
        with listening:
            while True:
                await self._opened.wait()
                with trio.CancelScope() as self._relays:
                    async with trio.open_nursery() as relays:
                        with trio.CancelScope() as self._accepting:
                            task_status.started()
                            task_status = trio.TASK_STATUS_IGNORED
                            while True:
                                relays.start_soon(self._relay, (await listening.accept())[0])

    def vanish(self) -> None:
        """From now on nothing comes back from there: no bytes, and no answer to who wants to connect."""
        self._opened = trio.Event()
        self._accepting.cancel()
        self._socket.listen(0)
        for _ in range(FILLERS):  # the queue is full: the kernel drops whoever else knocks
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def open(self) -> None:
        """The host is there again; it knows nothing of older connections."""
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        self._socket.listen(BACKLOG)
        self._relays.cancel()
        self._opened.set()

    async def _relay(self, client: trio.socket.SocketType) -> None:
        async with (
            trio.SocketStream(client) as outside,
            await trio.open_tcp_stream("127.0.0.1", self._behind) as inside,
            trio.open_nursery() as both,
        ):
            both.start_soon(self._copy, outside, inside)
            await self._copy(inside, outside)
            both.cancel_scope.cancel()

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            while data := await source.receive_some(CHUNK):
                await self._opened.wait()
                await sink.send_all(data)
            await self._opened.wait()
            await sink.send_eof()
        except trio.BrokenResourceError:
            await self._opened.wait()
