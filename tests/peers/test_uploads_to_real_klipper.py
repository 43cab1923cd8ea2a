"""Upload and print, with a real Klipper host at the other end."""

from __future__ import annotations

import pytest
import trio

from tests.integration.service import Client, configure, running
from tests.peers.kalico import RealKlipper
from tests.until import until

pytestmark = pytest.mark.peer

NAME = 'it\'s "50%" größer.gcode'
WAITING = b"G28\nG1 X50 F6000\nPAUSE\nG1 X60\n"


async def until_state(client: Client, wanted: str) -> None:
    with trio.fail_after(60):
        while (await client.get("/api/job")).json()["state"] != wanted:
            await trio.sleep(0.05)


async def test_an_upload_is_printed_protected_and_cancelled(real_klipper: RealKlipper) -> None:
    paths = configure(real_klipper.socket_path.parent, "[octoprint_compat]")
    (paths.comms / "klippy.sock").symlink_to(real_klipper.socket_path)
    async with running(paths) as (app, client):
        await until_state(client, "Operational")

        async def upload(name: str, content: bytes, to: str = "/server/files/upload") -> tuple[int, bool]:
            answer = await client.post(to, files={"file": (name, content)}, data={"print": "true"})
            return answer.status_code, bool(answer.json().get("print_started"))

        assert await upload(NAME, WAITING) == (201, True)
        await until_state(client, "Paused")
        assert app.printer.mirror.get("print_stats").get("filename") == NAME
        assert await upload("second.gcode", WAITING) == (201, False)
        assert await upload(NAME, b"G28\n") == (403, False)
        assert (real_klipper.gcodes / NAME).read_bytes() == WAITING
        assert (await client.request("DELETE", "/server/files/gcodes/second.gcode")).status_code == 200
        assert (await client.post("/api/job", json={"command": "cancel"})).status_code == 204
        assert (await client.get("/api/printer")).json()["state"]["text"] == "Operational"
        assert await upload("third.gcode", b"G28\nG1 X10 F6000\n", "/api/files/local") == (201, True)
        await until(lambda: app.printer.mirror.get("print_stats").get("state") == "complete", within=60)
        job = (await client.get("/api/job")).json()
        assert (job["job"]["file"]["name"], job["progress"]["completion"]) == ("third.gcode", 100)
        refused = await client.post("/api/printer/command", json={"command": "G1 X9999"})
        assert refused.status_code == 400
        assert "out of range" in refused.text
