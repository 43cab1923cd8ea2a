"""Each fault does what its name says, and the ledger says whether it was before or after the use."""

import httpx
import pytest
import trio
from trio_websocket import DisconnectionTimeout, open_websocket_url

from tests.testing.websocket_bytes import CLIENT_CLOSE, CLIENT_PING, HANDSHAKE, SERVER_PONG
from trio_moon.testing import spoolman_faults as faults
from trio_moon.testing.spoolman import MockSpoolman
from trio_moon.testing.spoolman_messages import Answer

PATIENCE = 0.25
LONG = 30.0


def name_of(value: object) -> str | None:
    return type(value).__name__ if isinstance(value, faults.Fault) else None


async def use(spoolman: MockSpoolman, patience: float = PATIENCE) -> httpx.Response:
    async with httpx.AsyncClient(timeout=httpx.Timeout(10, read=patience)) as client:
        return await client.put(f"{spoolman.api_url}/spool/1/use", json={"use_length": 5})


@pytest.mark.parametrize(
    ("fault", "error", "applied"),
    [
        (faults.HangBeforeApply(), httpx.ReadTimeout, 0),
        (faults.HangAfterApply(), httpx.ReadTimeout, 1),
        (faults.AnswerLate(seconds=LONG), httpx.ReadTimeout, 1),
        (faults.ApplyLate(seconds=LONG), httpx.ReadTimeout, 0),
        (faults.ResetBeforeApply(), httpx.ReadError, 0),
        (faults.ResetAfterApply(), httpx.ReadError, 1),
        (faults.CutHalfway(), httpx.RemoteProtocolError, 1),
        (faults.NotHttp(), httpx.RemoteProtocolError, 1),
        (faults.NotHttp(applied=False), httpx.RemoteProtocolError, 0),
    ],
    ids=name_of,
)
async def test_without_an_answer_the_ledger_knows_whether_it_was_applied(
    mock_spoolman: MockSpoolman, fault: faults.Fault, error: type[Exception], applied: int
) -> None:
    with mock_spoolman.fault("PUT", "/spool/1/use", fault), pytest.raises(error):
        await use(mock_spoolman, PATIENCE if error is httpx.ReadTimeout else 10)
    with trio.fail_after(10):
        await fault.wait_struck()
        await mock_spoolman.wait_uses(applied)
    assert len(mock_spoolman.uses) == applied


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "applied"),
    [
        (faults.GatewayAnswer(status=404), 404, "text/html", 0),
        (faults.GatewayAnswer(status=503, retry_after=7), 503, "text/html", 0),
        (faults.GatewayAnswer(status=504, applied=True), 504, "text/html", 1),
        (faults.AnswerInstead(answer=Answer.of_json({"message": "Broken."}, 500)), 500, "application/json", 0),
        (faults.Redirect(location="http://127.0.0.1:1/elsewhere"), 307, "text/html", 0),
        (faults.Garbage(), 200, "application/json", 1),
        (faults.WrongContentType(content_type="text/plain"), 200, "text/plain", 1),
        (faults.WrongContentType(content_type=None), 200, None, 1),
        (faults.HugeBody(size_bytes=1 << 20), 200, "application/json", 1),
        (faults.AnswerLate(seconds=0.01), 200, "application/json", 1),
        (faults.ApplyLate(seconds=0.01), 200, "application/json", 1),
        (faults.Drip(pause=0.0), 200, "application/json", 1),
    ],
    ids=name_of,
)
async def test_with_an_answer_the_ledger_knows_whether_it_was_applied(
    mock_spoolman: MockSpoolman, fault: faults.Fault, status: int, content_type: str | None, applied: int
) -> None:
    with mock_spoolman.fault("PUT", "/spool/1/use", fault):
        answer = await use(mock_spoolman, patience=10)
    assert (answer.status_code, answer.headers.get("content-type")) == (status, content_type)
    assert len(mock_spoolman.uses) == applied


@pytest.mark.parametrize("fault", [faults.ApplyAfterLeaving(), faults.ApplyLate(seconds=PATIENCE)], ids=name_of)
async def test_a_use_may_be_applied_after_the_client_has_given_up(
    mock_spoolman: MockSpoolman, fault: faults.Fault
) -> None:
    with mock_spoolman.fault("PUT", "*", fault), pytest.raises(httpx.ReadTimeout):
        await use(mock_spoolman, PATIENCE / 2)
    with trio.fail_after(10):
        await mock_spoolman.wait_uses(1)
    (applied,) = mock_spoolman.uses
    assert applied.used_mm == 5
    assert applied.request is not None
    assert (applied.at - applied.request.at).total_seconds() > PATIENCE / 4


async def test_a_gateway_says_when_to_come_again(mock_spoolman: MockSpoolman) -> None:
    with mock_spoolman.fault("*", "*", faults.GatewayAnswer(status=429, retry_after=3)):
        assert (await use(mock_spoolman)).headers["retry-after"] == "3"


async def test_a_fault_is_skipped_then_strikes_and_is_then_spent(mock_spoolman: MockSpoolman) -> None:
    fault = faults.GatewayAnswer(status=502, skip=1, times=2)
    mock_spoolman.add_fault("PUT", "/spool/*/use", fault)
    assert [(await use(mock_spoolman)).status_code for _ in range(5)] == [200, 502, 502, 200, 200]
    assert fault.struck == 2


async def test_a_fault_strikes_only_its_method_and_path_until_cleared(mock_spoolman: MockSpoolman) -> None:
    mock_spoolman.add_fault("GET", "/spool/1/use", faults.GatewayAnswer(status=502))
    mock_spoolman.add_fault("PUT", "/spool/2/use", faults.GatewayAnswer(status=502))
    mock_spoolman.add_fault("PUT", "/spool/1/use", faults.GatewayAnswer(status=418))
    assert (await use(mock_spoolman)).status_code == 418
    mock_spoolman.clear_faults()
    assert (await use(mock_spoolman)).status_code == 200


async def test_a_dripping_answer_takes_its_time(mock_spoolman: MockSpoolman) -> None:
    with mock_spoolman.fault("PUT", "*", faults.Drip()), trio.move_on_after(PATIENCE) as patience:
        await use(mock_spoolman, patience=LONG)
    assert patience.cancelled_caught


async def raw_live(
    spoolman: MockSpoolman, ending: str, words: bytes = b"", wanted: int = 0
) -> tuple[bytes, bytes, str]:
    """The head and the frames that come after a handshake and our words, and how it ended.

    Where it is to stay open, it is given up a while after so many bytes of frames have come.
    """
    received, ended = b"", "still open"
    with trio.move_on_after(10 if wanted or ending != "still open" else PATIENCE) as patience:
        async with await trio.open_tcp_stream("127.0.0.1", spoolman.port) as stream:
            await stream.send_all(HANDSHAKE + words)
            try:
                async for data in stream:
                    received += data
                    if ending == "still open" and len(received.partition(b"\r\n\r\n")[2]) >= wanted:
                        patience.deadline = trio.current_time() + PATIENCE
                ended = "closed"
            except trio.BrokenResourceError:
                ended = "reset"
    head, _, frames = received.partition(b"\r\n\r\n")
    return head, frames, ended


async def test_without_a_fault_a_websocket_pongs_and_closes(mock_spoolman: MockSpoolman) -> None:
    head, frames, ending = await raw_live(mock_spoolman, "closed", CLIENT_PING + CLIENT_CLOSE)
    assert head.startswith(b"HTTP/1.1 101 ")
    assert (frames, ending) == (SERVER_PONG + b"\x88\x00", "closed")


@pytest.mark.parametrize(
    ("fault", "start", "ending"),
    [
        (faults.GatewayAnswer(status=503), b"HTTP/1.1 503 ", "closed"),
        (faults.ResetBeforeApply(), b"", "reset"),
        (faults.CutHalfway(), b"HTTP/1.1 101", "closed"),
        (faults.NotHttp(), b"\x15\x03\x01", "closed"),
        (faults.HangBeforeApply(), b"", "still open"),
        (faults.AnswerLate(seconds=LONG), b"", "still open"),
    ],
    ids=name_of,
)
async def test_a_handshake_can_be_spoilt(
    mock_spoolman: MockSpoolman, fault: faults.Fault, start: bytes, ending: str
) -> None:
    with mock_spoolman.fault("WS", "/spool", fault):
        head, _, ended = await raw_live(mock_spoolman, ending)
    with trio.fail_after(10):
        await fault.wait_struck()
        await mock_spoolman.wait_until(lambda: mock_spoolman.live == [])
    assert (head[: len(start)], ended) == (start, ending)


@pytest.mark.parametrize(
    ("fault", "words", "frames", "ending"),
    [
        (faults.Mute(), CLIENT_PING + CLIENT_CLOSE, b"", "still open"),
        (faults.Mute(after=LONG), CLIENT_PING, SERVER_PONG, "still open"),
        (faults.CloseAtOnce(code=1012), b"", b"\x88\x02\x03\xf4", "still open"),
        (faults.CloseAtOnce(code=1012), CLIENT_CLOSE, b"\x88\x02\x03\xf4", "closed"),
        (faults.ResetOnceOpen(), b"", b"", "reset"),
        (faults.GarbageFrames(data=b"\xff\xff\xff"), b"", b"\xff\xff\xff", "still open"),
        (faults.NonJsonText(texts=("{", "")), b"", b"\x81\x01{\x81\x00", "still open"),
        (faults.PingWhileClosing(pings=2), CLIENT_CLOSE, b"\x89\x04moon" * 2 + b"\x88\x00", "closed"),
    ],
    ids=name_of,
)
async def test_an_open_websocket_can_be_spoilt(
    mock_spoolman: MockSpoolman, fault: faults.Fault, words: bytes, frames: bytes, ending: str
) -> None:
    with mock_spoolman.fault("WS", "*", fault):
        _, received, ended = await raw_live(mock_spoolman, ending, words, len(frames))
    assert (received, ended) == (frames, ending)


async def test_a_mute_websocket_keeps_events_to_itself(mock_spoolman: MockSpoolman) -> None:
    url = mock_spoolman.api_url.replace("http", "ws", 1) + "/"
    with pytest.raises(DisconnectionTimeout):
        await hear_until_mute(mock_spoolman, url)


async def hear_until_mute(mock_spoolman: MockSpoolman, url: str) -> None:
    async with open_websocket_url(url, disconnect_timeout=PATIENCE) as live:
        (socket,) = mock_spoolman.live
        mock_spoolman.other_writer_uses(1, 1)
        await live.get_message()
        socket.mute()
        mock_spoolman.other_writer_uses(1, 1)
        with trio.move_on_after(PATIENCE) as silence:
            await live.get_message()
        assert silence.cancelled_caught
