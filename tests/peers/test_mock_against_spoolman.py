"""MockSpoolman answers as the real Spoolman does: the same requests on both, and the answers compared.

Spoolman is on no package registry, so this runs only where TRIO_MOON_SPOOLMAN_URL names a running one whose database
is empty and may be written to. It is left empty again.
"""

import json
import os
import re
from dataclasses import dataclass

import httpx
import pytest
import trio
from trio_websocket import open_websocket_url

from tests.peers.spoolman_requests import EVERYTHING, Ask
from trio_moon.testing.spoolman import MockSpoolman

REAL_URL = os.environ.get("TRIO_MOON_SPOOLMAN_URL", "").rstrip("/")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
OF_THE_HOST = ("data_dir", "logs_dir", "backups_dir", "automatic_backups")
COMPARED_HEADERS = ("content-type", "x-total-count", "allow", "location", "vary", "content-encoding")

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not REAL_URL, reason="TRIO_MOON_SPOOLMAN_URL names no running Spoolman"),
]


@dataclass(frozen=True)
class Seen:
    status: int
    headers: dict[str, str]
    body: object


async def ask_all(base_url: str, asks: list[Ask]) -> list[Seen]:
    async with httpx.AsyncClient(timeout=30, headers={"connection": "close"}) as client:
        del client.headers["accept-encoding"]
        return [await ask_one(client, base_url, ask) for ask in asks]


async def ask_one(client: httpx.AsyncClient, base_url: str, ask: Ask) -> Seen:
    answer = await client.request(
        ask.method, base_url + "/api/v1" + ask.path, content=ask.body or None, headers=ask.headers
    )
    headers = {name: answer.headers[name] for name in COMPARED_HEADERS if name in answer.headers}
    if "location" in headers:
        headers["location"] = headers["location"].removeprefix(base_url)
    try:
        body = without_moments(answer.json())
    except ValueError:
        body = answer.text
    return Seen(answer.status_code, headers, body)


def without_moments(value: object) -> object:
    """The same value with every moment of today replaced, since the two servers act at different times."""
    if isinstance(value, dict):
        return {key: "here" if key in OF_THE_HOST else without_moments(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_moments(each) for each in value]
    if isinstance(value, str) and not value.startswith("2024"):
        return MOMENT.sub(lambda match: "<moment with fraction>" if match[1] else "<moment>", value)
    return value


async def test_every_answer_is_the_real_ones(mock_spoolman: MockSpoolman) -> None:
    make_empty(mock_spoolman)
    real = await ask_all(REAL_URL, EVERYTHING)
    mock = await ask_all(mock_spoolman.url, EVERYTHING)
    different = [
        f"{ask}\n  real {ours_not(one, other)}\n  mock {ours_not(other, one)}"
        for ask, one, other in zip(EVERYTHING, real, mock, strict=True)
        if one != other
    ]
    assert not different, f"{len(different)} of {len(EVERYTHING)} differ:\n" + "\n".join(different)


def ours_not(one: Seen, other: Seen) -> str:
    parts = ((one.status, other.status), (one.headers, other.headers), (one.body, other.body))
    return " ".join(str(mine) for mine, theirs in parts if mine != theirs)


def make_empty(spoolman: MockSpoolman) -> None:
    for items in (spoolman.spools, spoolman.filaments, spoolman.vendors):
        items.clear()


CHANGES = [ask for ask in EVERYTHING if ask.method != "GET"]


@pytest.mark.parametrize("path", ["/", "/spool", "/spool/1", "/filament", "/vendor/2", "/setting"])
async def test_a_websocket_hears_what_the_real_one_tells(mock_spoolman: MockSpoolman, path: str) -> None:
    make_empty(mock_spoolman)
    real = await hear(REAL_URL, path)
    mock = await hear(mock_spoolman.url, path)
    assert mock == real


async def hear(base_url: str, path: str) -> list[object]:
    """Every message on a websocket while CHANGES are asked for, and the answer to a text of ours."""
    heard: list[object] = []
    live_url = base_url.replace("http", "ws", 1) + "/api/v1" + path
    async with open_websocket_url(live_url, message_queue_size=1000) as live:
        await ask_all(base_url, CHANGES)
        await live.send_message("are you there?")
        with trio.fail_after(10):
            while not heard or heard[-1] != {"status": "healthy"}:
                heard.append(without_moments(json.loads(await live.get_message())))
    return heard


@pytest.mark.parametrize("path", ["", "/nothing", "/spool/1/use"])
async def test_a_handshake_elsewhere_is_refused_as_the_real_one_does(mock_spoolman: MockSpoolman, path: str) -> None:
    assert await refusal(mock_spoolman.url, path) == await refusal(REAL_URL, path)


async def refusal(base_url: str, path: str) -> tuple[int, dict[str, str], bytes]:
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dHJpb19tb29uX3Rlc3RzIQ==",
    }
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.get(f"{base_url}/api/v1{path}", headers=upgrade)
    return answer.status_code, dict(answer.headers) | {"date": ""}, answer.content
