"""Uploads to the whole service over real sockets: many at once, and many that break off."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import trio

from tests.integration.service import Client, configure, running

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


async def test_the_secrets_are_for_nobody_wherever_they_are(tmp_path: Path) -> None:
    paths = configure(tmp_path, "[secrets]\nsecrets_path: config/hidden.json")
    (paths.config / "hidden.json").write_text('{"mail": {"password": "hush"}}')
    async with running(paths) as (_, client):
        for path in ("/server/files/config/hidden.json", "/server/files/config//hidden.json"):
            answer = await client.get(path)
            assert answer.status_code == 403
            assert "hush" not in answer.text
        listed = await client.result("/server/files/directory", params={"path": "config"})
        assert {file["filename"]: file["permissions"] for file in listed["files"]}.get("hidden.json", "") == ""
        packed = await client.post("/server/files/zip", json={"items": ["config/hidden.json"]})
        assert packed.status_code == 403
        assert b"hush" not in await zipped(client)
        for name in ("move", "copy"):
            ways = {"source": "config/hidden.json", "dest": "gcodes/mine.gcode"}
            assert (await client.post(f"/server/files/{name}", json=ways)).status_code == 403
        files, data = {"file": ("hidden.json", b"{}")}, {"root": "config"}
        assert (await client.post("/server/files/upload", files=files, data=data)).status_code == 403
        assert "hush" in (paths.config / "hidden.json").read_text()


async def zipped(client: Client) -> bytes:
    """The whole configuration as a browser may take it along."""
    await client.post("/server/files/zip", json={"items": ["config"], "dest": "config/all.zip", "store_only": True})
    return (await client.get("/server/files/config/all.zip")).content


async def test_a_mistake_in_its_section_does_not_open_the_configuration(tmp_path: Path) -> None:
    paths = configure(tmp_path, "[file_manager]\nenable_config_write_access: False\nfile_system_observer: bogus")
    async with running(paths) as (_, client):
        answer = await client.post("/server/files/upload", files={"file": ("x.cfg", b"")}, data={"root": "config"})
        assert answer.status_code == 400
        assert not (paths.config / "x.cfg").exists()
