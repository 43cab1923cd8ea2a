"""The API's document and its page, as browsers and generators of clients get them."""

from __future__ import annotations

from pathlib import Path

from tests.integration.service import configure, running
from trio_moon.rpc.caller import Caller, Transport

TO_NOBODY = "[authorization]\ntrusted_clients: 203.0.113.7\n"


async def test_the_document_is_plain_json_and_the_same_every_time(tmp_path: Path) -> None:
    async with running(configure(tmp_path, "[octoprint_compat]\n")) as (_, client):
        first = await client.get("/server/openapi.json")
        assert first.status_code == 200
        assert first.headers["content-type"].startswith("application/json")
        document = first.json()
        assert document["openapi"].startswith("3.1")
        assert "/api/version" in document["paths"]
        assert "/server/spoolman/status" not in document["paths"], "what isn't configured doesn't exist"
        assert (await client.get("/server/openapi.json")).content == first.content
        assert (await client.get("/printer/openapi.json")).status_code in (404, 503)
        page = await client.get("/trio_moon/api.html")
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_strangers_get_the_page_but_not_the_document(tmp_path: Path) -> None:
    async with running(configure(tmp_path, TO_NOBODY)) as (app, client):
        assert (await client.get("/server/openapi.json")).status_code == 401
        assert (await client.get("/trio_moon/api.html")).status_code == 200
        trusted = Caller(Transport.UNIX, None, "_TRUSTED_USER_")
        key = await app.registry.call(app.registry.named("access.get_api_key"), {}, trusted)
        assert (await client.get("/server/openapi.json", headers={"X-Api-Key": str(key)})).status_code == 200


async def test_behind_a_prefix_the_document_says_so(tmp_path: Path) -> None:
    paths = configure(tmp_path)
    file = paths.config / "moonraker.conf"
    file.write_text(file.read_text().replace("[server]\n", "[server]\nroute_prefix: printer1\n"))
    async with running(paths) as (_, client):
        document = (await client.get("/printer1/server/openapi.json")).json()
        assert document["servers"] == [{"url": "/printer1"}]
        assert (await client.get("/printer1/server/info")).status_code == 200
