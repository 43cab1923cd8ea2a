"""What slicers send, byte for byte: their boundaries, their order of fields, their waiting for `100 Continue`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from tests.features.files.samples import CURA, ORCA, PRUSA
from tests.features.files.test_uploads import ufp
from tests.integration.service import Client, configure, running

JSON = dict[str, Any]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[tuple[Client, Path]]:
    paths = configure(tmp_path, "[octoprint_compat]")
    async with running(paths) as (_, client):
        yield client, paths.gcodes


def part(disposition: str, content: bytes, *more: str) -> bytes:
    head = "\r\n".join([f"Content-Disposition: form-data; {disposition}", *more])
    return f"{head}\r\n\r\n".encode() + content + b"\r\n"


def body(boundary: str, *parts: bytes) -> bytes:
    return b"".join(f"--{boundary}\r\n".encode() + p for p in parts) + f"--{boundary}--\r\n".encode()


async def exchange(client: Client, head: str, content: bytes = b"") -> tuple[int, JSON]:
    """Send a request as a slicer does; with `Expect` its body comes after the server's nod."""
    where = urlsplit(client.url)
    assert where.hostname
    assert where.port
    lines = [line for line in head.strip().split("\n") if line]
    lines.insert(1, f"Host: {where.netloc}")
    if content:
        lines.append(f"Content-Length: {len(content)}")
    stream = await trio.open_tcp_stream(where.hostname, where.port)
    with trio.fail_after(30):
        async with stream:
            await stream.send_all("\r\n".join([*lines, "", ""]).encode())
            received = b""
            if "Expect: 100-continue" in lines:
                while not received.endswith(b"\r\n\r\n"):
                    received += await stream.receive_some()
                assert received.startswith(b"HTTP/1.1 100")
                received = b""
            await stream.send_all(content)
            while b"\r\n\r\n" not in received:
                received += await stream.receive_some()
            top, _, rest = received.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in top.decode().lower().split("\r\n")[1:])
            while len(rest) < int(fields["content-length"]):
                rest += await stream.receive_some()
    answer: JSON = json.loads(rest)
    return int(top.split()[1]), answer


async def test_prusaslicer_finds_an_octoprint_and_uploads(service: tuple[Client, Path]) -> None:
    client, gcodes = service
    agent = "User-Agent: PrusaSlicer/2.7.1+win64\nAccept: */*\nX-Api-Key: 0123456789ABCDEF\n"
    status, version = await exchange(client, f"GET /api/version HTTP/1.1\n{agent}")
    assert (status, version["text"][:9]) == (200, "OctoPrint")
    boundary = "------------------------d74496d66958873e"
    content = body(
        boundary,
        part('name="print"', b"true"),
        part('name="path"', b"prints"),
        part('name="file"; filename="hook_0.2mm_PLA.gcode"', PRUSA.encode(), "Content-Type: application/octet-stream"),
    )
    head = (
        f"POST /api/files/local HTTP/1.1\n{agent}"
        f"Content-Type: multipart/form-data; boundary={boundary}\nExpect: 100-continue"
    )
    status, answer = await exchange(client, head, content)
    assert (status, answer["item"]["path"]) == (201, "prints/hook_0.2mm_PLA.gcode")
    assert (answer["print_started"], answer["print_queued"]) == (False, True)
    assert (gcodes / "prints/hook_0.2mm_PLA.gcode").read_text() == PRUSA


async def test_orcaslicer_uploads_with_its_made_up_key(service: tuple[Client, Path]) -> None:
    client, gcodes = service
    boundary = "------------------------6f1c1f3a0a5b2c4d"
    content = body(
        boundary,
        part('name="print"', b"false"),
        part('name="path"', b""),
        part('name="file"; filename="Würfel_PLA_16m.gcode"', ORCA.encode(), "Content-Type: application/octet-stream"),
    )
    head = (
        "POST /api/files/local HTTP/1.1\nUser-Agent: OrcaSlicer/2.1.1\nAccept: */*\nX-Api-Key: 88888888\n"
        f"Content-Type: multipart/form-data; boundary={boundary}"
    )
    status, answer = await exchange(client, head, content)
    assert (status, answer["item"]["path"], answer["done"]) == (201, "Würfel_PLA_16m.gcode", True)
    assert (gcodes / "Würfel_PLA_16m.gcode").read_text() == ORCA


async def test_curas_octoprint_plugin_sends_a_package_with_fields_after_it(service: tuple[Client, Path]) -> None:
    client, gcodes = service
    agent = "X-Api-Key: cura\nUser-Agent: Cura/5.6.0\nConnection: Keep-Alive\nAccept-Encoding: gzip, deflate\n"
    status, settings = await exchange(client, f"GET /api/settings HTTP/1.1\n{agent}")
    assert (status, settings["plugins"]["UltimakerFormatPackage"]["installed"]) == (200, True)
    boundary = "boundary_.oOo._NzE0MDQ5MDI3NDI4MTY0OTg2OQ=="
    content = body(
        boundary,
        part('name="path"', b"/"),
        part('name="file"; filename="CE3_cube.ufp"', ufp(CURA.encode()), "Content-Type: application/octet-stream"),
        part('name="store"', b"true"),
        part('name="select"', b"true"),
        part('name="print"', b"true"),
    )
    head = f'POST /api/files/local HTTP/1.1\n{agent}Content-Type: multipart/form-data; boundary="{boundary}"'
    status, answer = await exchange(client, head, content)
    assert (status, answer["item"]["path"]) == (201, "CE3_cube.gcode")
    assert (gcodes / "CE3_cube.gcode").read_text() == CURA
    status, job = await exchange(client, f"GET /api/job HTTP/1.1\n{agent}")
    assert (status, job["state"]) == (200, "Offline")


async def test_curas_moonraker_plugin_names_the_root(service: tuple[Client, Path]) -> None:
    client, gcodes = service
    boundary = "boundary_.oOo._MTYwNDk4MzE5NTI4MTY0OTg2OQ=="
    content = body(
        boundary,
        part('name="file"; filename="my cube.gcode"', CURA.encode(), "Content-Type: application/octet-stream"),
        part('name="root"', b"gcodes"),
        part('name="print"', b"false"),
    )
    head = (
        "POST /server/files/upload HTTP/1.1\nUser-Agent: Mozilla/5.0\n"
        f'Content-Type: multipart/form-data; boundary="{boundary}"\nMIME-Version: 1.0'
    )
    status, answer = await exchange(client, head, content)
    assert (status, answer["item"]["path"]) == (201, "my cube.gcode")
    assert (gcodes / "my cube.gcode").exists()


async def test_the_telegram_bot_gives_its_fields_file_names(service: tuple[Client, Path]) -> None:
    client, gcodes = service
    parts = {"file": ("benchy.gcode", CURA.encode()), "root": "gcodes", "path": "from the bot"}
    answer = await client.post("/server/files/upload", files=parts)  # httpx makes each of them a file called "upload"
    assert answer.status_code == 201, answer.text
    assert (gcodes / "from the bot" / "benchy.gcode").read_text() == CURA


async def test_a_frontend_in_a_browser_uploads(service: tuple[Client, Path]) -> None:
    client, gcodes = service
    boundary = "----WebKitFormBoundaryemap3PkuvKX0B3HH"
    content = body(
        boundary,
        part('name="root"', b"gcodes"),
        part('name="path"', b"new/sub"),
        part('name="file"; filename="say %22hi%22.gcode"', b"G28\n", "Content-Type: application/octet-stream"),
        part('name="print"', b"true"),
    )
    head = (
        f"POST /server/files/upload HTTP/1.1\nOrigin: {client.url}\n"
        f"Content-Type: multipart/form-data; boundary={boundary}"
    )
    status, answer = await exchange(client, head, content)
    assert (status, answer["item"]["path"]) == (201, 'new/sub/say "hi".gcode')
    assert set(answer) == {"action", "item", "print_started", "print_queued"}
    assert (gcodes / 'new/sub/say "hi".gcode').exists()
