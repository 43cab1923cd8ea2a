"""The live page: complete, self-contained, and strict enough for its own security policy."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest

from trio_moon.app import App, Options
from trio_moon.config import Document
from trio_moon.model.errors import UnknownMethod
from trio_moon.model.paths import DataPaths
from trio_moon.rpc.caller import Transport
from trio_moon.rpc.request_head import RequestHead
from trio_moon.web.front import PAGE
from trio_moon.web.pages import Pages

FILES = sorted(PAGE.iterdir())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
PAGES = {"index.html": "/", "api.html": "/trio_moon/api.html"}
LIVE = [path for path in SCRIPTS if path.name != "api.js"]
ANSWERED_BY_THE_API = "/server/openapi.json"

OPTIONAL = ("server.spoolman.", "server.notifiers.", "server.files.metadata")
"""Methods that the page can do without."""


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text inside scripts and styles."""

    def __init__(self, page: str = "index.html") -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inline = ""
        self._inside = ""
        self.feed((PAGE / page).read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.inline += data.strip()


def found(path: str) -> bool:
    head = RequestHead("GET", path, "", {}, "127.0.0.1", Transport.HTTP)
    return Pages(PAGE).find(head) is not None


@pytest.mark.parametrize("page", PAGES)
def test_everything_a_page_refers_to_is_there(page: str) -> None:
    links = [attributes.get("src") or attributes.get("href") for _, attributes in Tags(page).tags]
    referred = [urljoin(PAGES[page], link) for link in links if link]
    assert len(referred) >= 4
    for link in referred:
        assert link == ANSWERED_BY_THE_API or found(link), link
    for script in SCRIPTS:
        for name in re.findall(r'from "\./([\w.]+)"', script.read_text()):
            assert found(f"/trio_moon/{name}"), name


@pytest.mark.parametrize("page", PAGES)
def test_no_script_or_style_is_inline(page: str) -> None:
    tags = Tags(page)
    assert tags.inline == ""
    for tag, attributes in tags.tags:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path: Path) -> None:
    addresses = set(re.findall(r"https?://[\w./]+", path.read_text()))
    assert addresses <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_other_peoples_words_never_become_markup(path: Path) -> None:
    for way_in in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way_in not in path.read_text()


def test_the_policy_forbids_what_the_page_does_not_need() -> None:
    policy = Pages.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy


@pytest.mark.parametrize(("page", "scripts", "least"), [("index.html", LIVE, 20), ("api.html", [PAGE / "api.js"], 5)])
def test_elements_that_scripts_look_for_are_on_the_page(page: str, scripts: list[Path], least: int) -> None:
    ids = {attributes["id"] for _, attributes in Tags(page).tags if "id" in attributes}
    wanted = {name for script in scripts for name in re.findall(r'byId\("([\w-]+)"\)', script.read_text())}
    assert len(wanted) > least
    assert wanted <= ids


def test_a_name_that_no_file_can_have_is_none_of_the_page() -> None:
    pages = Pages(PAGE)
    for name in ("a" * 256, "a/" * 3000 + "a", "%", "x.css/y"):
        assert pages.find(RequestHead("GET", f"/trio_moon/{name}", "", {}, None, Transport.HTTP)) is None


@pytest.mark.parametrize("page", PAGES)
def test_buttons_and_inputs_have_names_for_everybody(page: str) -> None:
    for tag, attributes in Tags(page).tags:
        if tag == "input":
            assert attributes.get("aria-label") or attributes.get("id", "").startswith("login-"), attributes
        if tag == "img":
            assert "alt" in attributes


def test_the_page_calls_methods_that_exist(tmp_path: Path) -> None:
    app = App(Document.parse(""), DataPaths(tmp_path), Options())
    text = "".join(script.read_text() for script in SCRIPTS)
    called = set(re.findall(r'"((?:server|printer|access)\.[\w.]+)"', text))
    assert len(called) > 15
    for name in called:
        if name.startswith(OPTIONAL):
            continue
        try:
            app.registry.named(name)
        except UnknownMethod:  # pragma: no cover
            pytest.fail(f"{name} is no method")
