"""Uploads to the whole service over real sockets: many at once, and many that break off."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import trio

from tests.integration.service import configure, running

SIZE = 3 << 20
BOUNDARY = "moonboundary"


def everything(folder: Path) -> dict[str, str]:
    """Every file with its checksum."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


async def test_eight_uploads_at_once_arrive_whole_and_twenty_that_break_off_leave_nothing(tmp_path: Path) -> None:
    contents = {f"{n}.gcode": os.urandom(SIZE + n) for n in range(8)}
    expected = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    paths = configure(tmp_path)
    async with running(paths) as (_, client):
        host, _, port = client.url.removeprefix("http://").partition(":")

        async def upload(name: str) -> None:
            files, data = {"file": (name, contents[name])}, {"checksum": expected[name]}
            answer = await client.post("/server/files/upload", files=files, data=data)
            assert answer.status_code == 201, answer.text

        async def break_off(number: int) -> None:
            head = (
                f"POST /server/files/upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: {SIZE}\r\n"
                f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
                f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="broken{number}.gcode"\r\n\r\n'
            )
            stream = await trio.open_tcp_stream(host, int(port))
            async with stream:
                await stream.send_all(head.encode() + b"G28\n" * 50_000)
                await trio.sleep(0.2)

        with trio.fail_after(90):
            async with trio.open_nursery() as nursery:
                for name in contents:
                    nursery.start_soon(upload, name)
                for number in range(20):
                    nursery.start_soon(break_off, number)
            while everything(paths.gcodes) != expected or (paths.gcodes / ".trio_moon_tmp").exists():
                await trio.sleep(0.05)
