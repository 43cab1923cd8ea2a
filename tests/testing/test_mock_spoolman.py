"""MockSpoolman keeps its promises: an exact ledger, Spoolman's answers, its websockets."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from trio_websocket import open_websocket_url

from trio_moon.testing.spoolman import MockSpoolman
from trio_moon.testing.spoolman_faults import HangAfterApply


@pytest.fixture
async def client(mock_spoolman: MockSpoolman) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=mock_spoolman.api_url, timeout=10) as client:
        yield client


async def test_a_use_changes_the_ledger_the_answer_and_the_list_of_uses(
    mock_spoolman: MockSpoolman, client: httpx.AsyncClient
) -> None:
    answer = await client.put("/spool/1/use", json={"use_length": 10.5})
    assert answer.json()["used_length"] == mock_spoolman.spools[1].used_length == 10.500000000000002
    (use,) = mock_spoolman.uses
    assert (use.spool_id, use.used_mm) == (1, 10.5)
    assert use.request is not None
    assert use.request.json() == {"use_length": 10.5}


async def test_another_writer_is_heard_on_the_websocket(
    mock_spoolman: MockSpoolman,
) -> None:
    async with open_websocket_url(mock_spoolman.api_url.replace("http", "ws") + "/spool") as live:
        mock_spoolman.other_writer_uses(1, 3.0)
        event = json.loads(await live.get_message())
    assert (event["type"], event["resource"]) == ("updated", "spool")
    assert event["payload"]["used_length"] == pytest.approx(3.0)
    assert mock_spoolman.uses[0].request is None


async def test_hanging_after_apply_has_changed_the_ledger(
    mock_spoolman: MockSpoolman, client: httpx.AsyncClient
) -> None:
    with mock_spoolman.fault("PUT", "/spool/*/use", HangAfterApply(times=1)) as fault:
        with pytest.raises(httpx.ReadTimeout):
            await client.put("/spool/1/use", json={"use_length": 1}, timeout=0.3)
        assert (await client.put("/spool/1/use", json={"use_length": 1})).status_code == 200
    assert fault.struck == 1
    assert mock_spoolman.used_mm(1) == 2.0


async def test_it_goes_away_and_comes_back_on_the_same_port(
    mock_spoolman: MockSpoolman, client: httpx.AsyncClient
) -> None:
    address = mock_spoolman.url
    await mock_spoolman.go_away()
    with pytest.raises(httpx.ConnectError):
        await client.get("/health")
    await mock_spoolman.come_back()
    assert mock_spoolman.url == address
    assert (await client.get("/health")).json() == {"status": "healthy"}
