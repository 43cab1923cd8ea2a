"""What strangers and broken clients do over and over, on a whole service: uploads, logins, tokens, idle connections."""

from __future__ import annotations

import hashlib
import resource
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import trio

from tests.integration.hostile_requests import post
from tests.integration.house import HOST, INFO, UPGRADE, House, open_house
from tests.until import until

pytestmark = pytest.mark.slow

STRANGER = {"X-Forwarded-For": "8.8.8.8"}
NEIGHBOUR = {"X-Forwarded-For": "9.9.9.9"}


@pytest.fixture
async def house(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[House]:
    async with open_house(tmp_path, nursery) as opened:
        yield opened


def files_of(house: House) -> set[Path]:
    """Everything below the data path but what the service writes anyway."""
    root = house.process.paths.root
    return {path for path in root.rglob("*") if path.is_file() and path.parent.name not in ("logs", "database")}


def form(name: str, data: bytes) -> tuple[bytes, bytes]:
    """An upload's content type and body."""
    part = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    return b"multipart/form-data; boundary=x", part + data + b"\r\n--x--\r\n"


async def test_eight_uploads_at_once_arrive_whole(house: House) -> None:
    async def send(number: int) -> None:
        data = b"%d " % number * 500_000
        content_type, body = form(f"u{number}.gcode", data)
        request = post(b"/server/files/upload", content_type, body)
        if number % 2:
            head = b"POST /server/files/upload HTTP/1.1\r\n" + HOST + b"Content-Type: " + content_type + b"\r\n"
            chunks = (body[at : at + 9000] for at in range(0, len(body), 9000))
            request = head + b"Transfer-Encoding: chunked\r\n\r\n"
            request += b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        heard = await house.say(request, patience=30, tls=number % 4 > 1)
        assert heard.startswith(b"HTTP/1.1 201 "), heard
        stored = (house.process.paths.gcodes / f"u{number}.gcode").read_bytes()
        assert hashlib.sha256(stored).digest() == hashlib.sha256(data).digest()

    async with house.watched() as watch, trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(send, number)
    assert watch.longest < 5
    await house.is_unharmed()


async def test_uploads_that_break_off_leave_nothing(house: House) -> None:
    known = files_of(house)
    before = house.descriptors
    content_type, body = form("broken.gcode", b"G1 X1\n" * 100_000)
    request = post(b"/server/files/upload", content_type, body)
    refused: list[bytes] = []

    async def break_off(number: int) -> None:
        stream: trio.abc.Stream = await (house.connect_tls() if number % 3 == 2 else house.connect())
        with suppress(trio.BrokenResourceError):
            await stream.send_all(request[: number * 12_000])
        await trio.sleep(0.3)
        if number % 2:
            await trio.aclose_forcefully(stream)
            return
        async with stream:
            if number > 34:
                with trio.move_on_after(1), suppress(trio.BrokenResourceError):
                    refused.append(bytes(await stream.receive_some()))

    async with trio.open_nursery() as nursery:
        for number in range(1, 49):
            nursery.start_soon(break_off, number)
    assert b"429" in b"".join(refused)[:100]  # 32 at once are received
    await until(lambda: files_of(house) == known)
    await house.lets_go(before)
    await house.is_unharmed()


async def test_a_full_disk_is_told_and_leaves_no_half_file(house: House) -> None:
    known = files_of(house)
    limit = 1 << 20  # the size of a file stands for the size of the disk
    resource.prlimit(house.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    for path in (b"/server/files/upload", b"/api/files/local"):
        content_type, body = form("big.gcode", b"G1 X1\n" * 500_000)
        assert (await house.say(post(path, content_type, body))).startswith(b"HTTP/1.1 507 ")
    content_type, body = form("small.gcode", b"G28\n")
    assert (await house.say(post(b"/server/files/upload", content_type, body))).startswith(b"HTTP/1.1 201 ")
    assert {path.name for path in files_of(house) - known} == {"small.gcode"}
    await house.is_unharmed()


async def test_logins_can_not_be_guessed_in_a_flood(house: House) -> None:
    secret = "correct horse battery"
    created = await house.client.post("/access/user", json={"username": "owner", "password": secret})
    assert created.status_code == 200
    statuses: Counter[int] = Counter()

    async def guess(http: httpx.AsyncClient, number: int) -> None:
        wrong = {"username": "owner", "password": f"wrong {number}"}
        statuses[(await http.post("/access/login", json=wrong, headers=STRANGER)).status_code] += 1

    async with house.watched() as watch, trio.open_nursery() as nursery:
        http = httpx.AsyncClient(base_url=house.client.url, trust_env=False, timeout=30)
        for number in range(200):
            nursery.start_soon(guess, http, number)
    right = {"username": "owner", "password": secret}
    assert (await http.post("/access/login", json=right, headers=STRANGER)).status_code == 429
    assert (await http.post("/access/login", json=right, headers=NEIGHBOUR)).status_code == 200
    await http.aclose()
    assert statuses[429] > 180
    assert set(statuses) == {400, 429}
    assert watch.longest < 5
    await house.is_unharmed()


async def test_a_token_for_one_request_is_good_for_one(house: House) -> None:
    await house.client.post("/access/user", json={"username": "owner", "password": "correct horse"})
    right = {"username": "owner", "password": "correct horse"}
    login = (await house.client.post("/access/login", json=right, headers=STRANGER)).json()["result"]
    bearer = {**STRANGER, "Authorization": f"Bearer {login['token']}"}

    async def use(token: str, headers: dict[str, str]) -> int:
        return (await house.client.get(f"/server/config?token={token}", headers=headers)).status_code

    async def token() -> str:
        answer = await house.client.get("/access/oneshot_token", headers=bearer)
        return str(answer.json()["result"])

    first = await token()
    assert [await use(first, STRANGER) for _ in range(3)] == [200, 401, 401]
    assert await use(await token(), NEIGHBOUR) == 401
    for guess in ("", "x" * 5000, "%00", "..", first.lower()):
        assert await use(guess, STRANGER) == 401
    second = await token()
    together: list[int] = []

    async def race() -> None:
        together.append(await use(second, STRANGER))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(race)
    assert sorted(together) == [200] + [401] * 9
    await house.is_unharmed()


async def test_who_only_holds_connections_is_sent_away(house: House) -> None:
    before = house.descriptors

    async def hold(data: bytes, drip: bytes) -> None:
        async with await house.connect() as stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(data)
                while True:
                    await trio.sleep(1)
                    if drip:
                        await stream.send_all(drip)

    async with house.watched() as watch, trio.open_nursery() as nursery:
        for _ in range(250):
            nursery.start_soon(hold, b"", b"")
            nursery.start_soon(hold, b"GET /server/info HTTP/1.1\r\n", b"A: b\r\n")
        await until(lambda: house.descriptors >= before + 400)
        began = trio.current_time()
        await house.lets_go(before + 20)
        assert trio.current_time() - began < 35
        nursery.cancel_scope.cancel()
    assert watch.longest < 5
    await house.is_unharmed()


async def test_a_shortage_of_descriptors_ends_nobody_who_is_connected(house: House) -> None:
    before = house.descriptors
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with house.watched() as watch, house.client.websocket() as socket:
        limit = house.descriptors + 20
        resource.prlimit(house.process.pid, resource.RLIMIT_NOFILE, (limit, hard))

        async def come(tls: bool) -> None:
            with suppress(trio.BrokenResourceError), trio.move_on_after(2):
                stream: trio.abc.Stream = await (house.connect_tls() if tls else house.connect())
                async with stream:
                    await stream.send_all(INFO)
                    await trio.sleep(2)

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(come, number % 2 == 0)
        assert (await socket.call("server.info"))["klippy_state"] == "ready"
        resource.prlimit(house.process.pid, resource.RLIMIT_NOFILE, (1024, hard))
    assert watch.longest < 5
    await house.lets_go(before)
    await house.is_unharmed()


async def test_websockets_beyond_the_limit_are_refused_and_their_places_come_back(house: House) -> None:
    before = house.descriptors
    said: Counter[bytes] = Counter()
    done = trio.Event()

    async def open_one(headers: bytes) -> None:
        async with await house.connect() as stream:
            await stream.send_all(UPGRADE.replace(HOST, HOST + headers))
            said[(await stream.receive_some())[:12]] += 1
            await done.wait()

    async with house.watched() as watch, trio.open_nursery() as nursery:
        for _ in range(60):
            nursery.start_soon(open_one, b"X-Forwarded-For: 8.8.8.8\r\n")
        for _ in range(60):
            nursery.start_soon(open_one, b"X-Forwarded-For: 9.9.9.9\r\n")
        await until(lambda: said.total() >= 120)
        assert said[b"HTTP/1.1 101"] == 20  # 10 from each
        for _ in range(120):
            nursery.start_soon(open_one, b"")
        await until(lambda: said.total() >= 240)
        done.set()
    assert said == {b"HTTP/1.1 101": 100, b"HTTP/1.1 503": 140}
    assert watch.longest < 5
    await house.lets_go(before)
    async with house.client.websocket() as socket:
        assert (await socket.call("server.info"))["websocket_count"] == 1
    await house.is_unharmed()


async def test_a_thousand_pipelined_requests_are_answered(house: House) -> None:
    async with house.watched() as watch:
        heard = await house.say(INFO * 999 + INFO.replace(HOST, HOST + b"Connection: close\r\n"), patience=30)
    assert heard.count(b"HTTP/1.1 200 ") == 1000
    assert watch.longest < 5
    old = INFO.replace(b"HTTP/1.1", b"HTTP/1.0").replace(HOST, HOST + b"Connection: keep-alive\r\n")
    assert (await house.say(old + INFO)).count(b"HTTP/1.1 200 ") == 1  # HTTP/1.0 has no second
    await house.is_unharmed()


async def test_long_lists_of_validators_and_codings_are_read(house: House) -> None:
    (house.process.paths.gcodes / "v.gcode").write_text("G28\n")
    for line in (
        b"If-None-Match: " + b'"x",' * 7000,
        b"If-Match: " + b'"x",' * 7000,
        b"If-Modified-Since: " + b"9" * 20_000,
        b"Accept-Encoding: " + b"gzip," * 5000,
        b"Cookie: " + b"a=b;" * 7000,
    ):
        request = INFO.replace(b"server/info", b"server/files/gcodes/v.gcode").replace(
            HOST, HOST + b"Connection: close\r\n" + line + b"\r\n"
        )
        statuses = {(await house.say(request))[:12] for _ in range(5)}
        assert statuses <= {b"HTTP/1.1 200", b"HTTP/1.1 412"}, line[:20]
    await house.is_unharmed()
