"""Apprise, against services that want to do harm."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import trio

from trio_moon.features.notifiers.courier import LARGEST_ANSWER, AppriseCourier
from trio_moon.features.notifiers.news import Letter

MOST = 64 * LARGEST_ANSWER
"""What a service sends at most here; some of it fits into the buffers of the sockets."""


async def test_a_service_that_never_stops_talking_is_heard_for_a_megabyte(nursery: trio.Nursery) -> None:
    sent = 0

    async def talk(stream: trio.SocketStream) -> None:
        nonlocal sent
        await stream.receive_some()
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
            while sent < MOST:
                await stream.send_all(b"x" * 65536)
                sent += 65536

    (listener,) = await nursery.start(partial(trio.serve_tcp, talk, 0, host="127.0.0.1"))
    port = listener.socket.getsockname()[1]
    with trio.fail_after(60):
        answer = await AppriseCourier("phone").deliver(f"json://127.0.0.1:{port}/", Letter("", "hello"), "text")
    assert answer.delivered
    assert sent < MOST
    nursery.cancel_scope.cancel()
