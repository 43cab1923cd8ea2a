"""Where things are found: the page, the route prefix, the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.world import QUICK, UPGRADE, HttpClient, Running, open_front
from trio_moon.config.document import Document
from trio_moon.web.settings import MEBIBYTE, FrontSettings


async def test_the_page_is_at_the_root_for_everybody(front: Running, http: HttpClient) -> None:
    reply = await http.ask("GET", "/", x_stranger="1")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<html" in reply.body
    assert (await http.ask("GET", "/", if_none_match=reply.headers["etag"])).status == 304
    assert (await http.ask("GET", "/trio_moon/../front.py")).status == 404
    assert (await http.ask("GET", "/trio_moon/.hidden")).status == 404


@pytest.mark.parametrize("live_lanes", [True, False])
async def test_with_a_route_prefix_everything_is_below_it(tmp_path: Path, live_lanes: bool) -> None:
    settings = FrontSettings(route_prefix="/printer1", live_lanes=live_lanes, limits=QUICK)
    async with open_front(tmp_path, settings) as front:
        http = HttpClient(await front.connect())
        assert (await http.ask("GET", "/printer1/server/info")).status == 200
        assert (await http.ask("GET", "/printer1")).status == 200
        assert (await http.ask("GET", "/server/info")).status == 404
        assert (await http.ask("GET", "/printer11/server/info")).status == 404
        assert (await http.ask("GET", "/")).status == 404
        assert (await http.ask("GET", "/printer1/websocket", more=UPGRADE)).status == 101


def settings_of(text: str, certificates: Path) -> FrontSettings:
    document = Document.parse(text, Path("moonraker.conf"))
    return FrontSettings.from_section(document.section_or_empty("server"), certificates)


def test_settings_are_moonrakers(tmp_path: Path) -> None:
    text = "[server]\nhost: 0.0.0.0\nport: 7126\nroute_prefix: /a/\nmax_upload_size: 2\nmax_websocket_connections: 7\n"
    settings = settings_of(text, tmp_path)
    assert (settings.host, settings.port, settings.route_prefix) == (None, 7126, "/a")
    assert (settings.max_upload_size, settings.max_websocket_connections) == (2 * MEBIBYTE, 7)
    assert settings.certificate is None


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    (tmp_path / "moonraker.cert").touch()
    assert settings_of("", tmp_path).certificate is None
    (tmp_path / "moonraker.key").touch()
    assert settings_of("", tmp_path).certificate == tmp_path / "moonraker.cert"
