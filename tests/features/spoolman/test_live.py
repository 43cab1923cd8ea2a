"""The websocket to Spoolman, against a real socket that misbehaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio

from tests.until import until
from trio_moon.features.spoolman.client import SpoolmanClient
from trio_moon.features.spoolman.live import LiveLink
from trio_moon.features.spoolman.settings import SpoolmanSettings
from trio_moon.features.spoolman.spool import Spool
from trio_moon.testing import MockSpoolman
from trio_moon.testing import spoolman_faults as faults


class Listener:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.news: list[object] = []
        self._changed = trio.Event()

    def _note(self, news: object) -> None:
        self.news.append(news)
        self._changed.set()
        self._changed = trio.Event()

    async def hear(self, news: object) -> None:
        with trio.fail_after(20):
            while news not in self.news:
                await self._changed.wait()

    def spoolman_connected(self) -> None:
        self._note("connected")

    def spoolman_lost(self, reason: str) -> None:
        self._note("lost")
        self.reason = reason

    def spool_changed(self, spool: Spool) -> None:
        self._note((spool.id, round(spool.used_mm, 6)))

    def spool_deleted(self, spool_id: int) -> None:
        self._note(f"{spool_id} deleted")


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[tuple[LiveLink, Listener]]:
    settings, listener = SpoolmanSettings(url), Listener()
    client = SpoolmanClient(settings)
    link = LiveLink(client.peer, settings.headers, listener, client.is_healthy)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        yield link, listener
        nursery.cancel_scope.cancel()


async def test_changes_of_spools_are_told(mock_spoolman: MockSpoolman) -> None:
    async with linked(mock_spoolman.url) as (link, listener):
        await listener.hear("connected")
        assert link.state.connected
        mock_spoolman.other_writer_uses(1, 12.5)
        await listener.hear((1, 12.5))
        mock_spoolman.add_vendor("somebody")
        mock_spoolman.delete_spool(1)
        await listener.hear("1 deleted")
    assert listener.news[-1] == "lost"


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: A\r\n\r\n",
        b"HTTP/1.1 101 S\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"\0\xff" * 1000,
    ],
)
async def test_who_answers_the_handshake_with_nonsense_is_only_away(nursery: trio.Nursery, answer: bytes) -> None:
    async def answer_and_wait(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()
            await stream.send_all(answer)
            await stream.receive_some()

    (listener,) = await nursery.start(partial(trio.serve_tcp, answer_and_wait, 0, host="127.0.0.1"))
    async with linked(f"http://127.0.0.1:{listener.socket.getsockname()[1]}") as (link, _):
        await until(lambda: link.state.reason != "not tried yet")
        assert not link.state.connected
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "fault", [faults.GarbageFrames, faults.CloseAtOnce, faults.ResetOnceOpen], ids=lambda kind: kind.__name__
)
async def test_a_broken_link_is_made_anew(mock_spoolman: MockSpoolman, fault: Callable[..., faults.LiveFault]) -> None:
    with mock_spoolman.fault("WS", "*", fault(times=1)):
        async with linked(mock_spoolman.url) as (_, listener):
            await listener.hear("lost")
            listener.news.clear()
            await listener.hear("connected")
            mock_spoolman.other_writer_uses(1, 3.0)
            await listener.hear((1, 3.0))


async def test_messages_that_make_no_sense_are_passed_over(mock_spoolman: MockSpoolman) -> None:
    with mock_spoolman.fault("WS", "*", faults.NonJsonText(times=1)):
        async with linked(mock_spoolman.url) as (_, listener):
            await listener.hear("connected")
            for live in mock_spoolman.live:
                for payload in ("null", "[]", '{"id": "1"}', '{"id": true}', '{"id": 1, "used_length": "x"}'):
                    live.send_text(f'{{"resource": "spool", "type": "updated", "payload": {payload}}}')
                    live.send_text(f'{{"resource": "spool", "type": "deleted", "payload": {payload[:4]}}}')
            mock_spoolman.other_writer_uses(1, 3.0)
            await listener.hear((1, 3.0))
            assert listener.news == ["connected", (1, 3.0)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [faults.GatewayAnswer(status=502, times=1), faults.HangBeforeApply(times=1)], ids=["502", "hangs"]
)
async def test_a_refused_or_hanging_handshake_is_tried_again(mock_spoolman: MockSpoolman, fault: faults.Fault) -> None:
    with mock_spoolman.fault("WS", "*", fault):
        async with linked(mock_spoolman.url) as (_, listener):
            await listener.hear("connected")
            assert fault.struck == 1


@pytest.mark.slow
async def test_a_spoolman_that_returns_is_noticed_soon_however_long_it_was_away(mock_spoolman: MockSpoolman) -> None:
    async with linked(mock_spoolman.url) as (link, listener):
        await listener.hear("connected")
        await mock_spoolman.go_away()
        await listener.hear("lost")
        await trio.sleep(4)
        assert "refused" in link.state.reason.lower()
        listener.news.clear()
        await mock_spoolman.come_back()
        began = trio.current_time()
        await listener.hear("connected")
        assert trio.current_time() - began < 8


async def test_pings_while_we_leave_do_no_harm(mock_spoolman: MockSpoolman) -> None:
    with mock_spoolman.fault("WS", "*", faults.PingWhileClosing()):
        async with linked(mock_spoolman.url) as (_, listener):
            await listener.hear("connected")


@pytest.mark.slow
async def test_a_mute_link_is_dead(mock_spoolman: MockSpoolman) -> None:
    with mock_spoolman.fault("WS", "*", faults.Mute(times=1)):
        async with linked(mock_spoolman.url) as (_, listener):
            await listener.hear("connected")
            await listener.hear("lost")
            assert "ping" in listener.reason
            listener.news.clear()
            await listener.hear("connected")
