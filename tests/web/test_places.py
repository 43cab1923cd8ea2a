"""Where things are found: the page, the route prefix, the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import fields

from tests.web.world import QUICK, UPGRADE, HttpClient, Running, open_front
from trio_moon.config.document import Document
from trio_moon.web.door import CannotListen, open_tcp
from trio_moon.web.settings import MEBIBYTE, FrontSettings, Limits


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
    return FrontSettings.from_document(document, certificates)


def test_settings_are_moonrakers(tmp_path: Path) -> None:
    text = "[server]\nhost: 0.0.0.0\nport: 7126\nroute_prefix: /a/\nmax_upload_size: 2\nmax_websocket_connections: 7\n"
    settings = settings_of(text, tmp_path)
    assert (settings.host, settings.port, settings.route_prefix) == (None, 7126, "/a")
    assert (settings.max_upload_size, settings.max_websocket_connections) == (2 * MEBIBYTE, 7)
    assert settings.certificate is None


@pytest.mark.parametrize("option", ["port", "ssl_port", "max_upload_size", "max_websocket_connections"])
def test_an_option_that_can_not_be_used_is_told_and_has_its_default(tmp_path: Path, option: str) -> None:
    document = Document.parse(f"[server]\n{option}: lots\nhost: 127.0.0.1\nprot: 1\n", Path("moonraker.conf"))
    assert FrontSettings.from_document(document, tmp_path) == FrontSettings(host="127.0.0.1")
    told = [problem.as_line() for problem in (*document.problems, *document.unused())]
    assert "line 2" in told[0]
    assert option in told[0]
    assert "the default is used" in told[0]
    assert "prot" in told[1]  # what else is wrong with the section is told, too


def test_every_limit_can_be_set_by_its_name(tmp_path: Path) -> None:
    lines = (f"{limit.name}: {getattr(Limits(), limit.name) * 2}\n" for limit in fields(Limits))
    limits = settings_of("[limits]\n" + "".join(lines), tmp_path).limits
    assert [getattr(limits, limit.name) for limit in fields(Limits)] == [
        getattr(Limits(), limit.name) * 2 for limit in fields(Limits)
    ]


def test_a_limit_that_can_not_be_used_is_told_and_has_its_default(tmp_path: Path) -> None:
    document = Document.parse(
        "[limits]\nconnections: 0\nhead_time: soon\nbridges: 2\nbridge: 2\n", Path("moonraker.conf")
    )
    assert FrontSettings.from_document(document, tmp_path).limits == Limits(bridges=2)
    told = [problem.as_line() for problem in (*document.problems, *document.unused())]
    assert [word in line for word, line in zip(("connections", "head_time", "bridge"), told, strict=True)] == [True] * 3


@pytest.mark.parametrize(
    "text",
    ["[server]\nhost 127.0.0.1\nport: 7126\n", "[server\nhost: 127.0.0.1\n", "host: 127.0.0.1\n[server]\nport: 1\n"],
)
def test_a_host_that_can_not_be_read_opens_the_service_to_this_machine_alone(tmp_path: Path, text: str) -> None:
    document = Document.parse(text, Path("moonraker.conf"))
    assert FrontSettings.from_document(document, tmp_path).host == "127.0.0.1"
    assert any("127.0.0.1" in problem.as_line() and "host" in problem.as_line() for problem in document.problems)


def test_a_fault_elsewhere_leaves_the_host_as_it_is(tmp_path: Path) -> None:
    document = Document.parse("[server]\nport 7126\n[webcam x\nstream_url: http://localhost\n", Path("moonraker.conf"))
    assert FrontSettings.from_document(document, tmp_path).host is None


def test_a_host_that_means_no_address_is_named() -> None:
    with pytest.raises(CannotListen, match=r"can't listen on a\.\.b port 0: \w+"):
        open_tcp("a..b", 0)


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    (tmp_path / "moonraker.cert").touch()
    assert settings_of("", tmp_path).certificate is None
    (tmp_path / "moonraker.key").touch()
    assert settings_of("", tmp_path).certificate == tmp_path / "moonraker.cert"
