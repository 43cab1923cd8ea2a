"""The secrets file: INI or JSON, found by convention or by path, and never quoted."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_moon.config import Document
from trio_moon.config.secrets import load_secrets, parse_secrets
from trio_moon.model.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_secrets_may_be_ini_or_json() -> None:
    assert parse_secrets("[mqtt]\nuser: me\npassword = 100%\n")["mqtt"] == {"user": "me", "password": "100%"}
    assert parse_secrets('{"mqtt": {"user": "me"}, "token": 1}')["token"] == 1
    assert len(parse_secrets("")) == 0


@pytest.mark.parametrize(
    "text", ["[1, 2]", '"hunter2"', "hunter2", "[a]\nhunter2\n", "[a]\n[a]\nx: hunter2", "{hunter2"]
)
def test_anything_else_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ConfigError, match=r"my\.secrets") as refusal:
        parse_secrets(text, "my.secrets")
    assert "hunter2" not in str(refusal.value)


@given(st.one_of(st.text(), st.text(alphabet="[]{}:=\n ab\"'#%;")))
def test_no_text_makes_the_reader_raise_anything_else(text: str) -> None:
    with suppress(ConfigError):
        parse_secrets(text)


def test_the_data_path_is_searched_first_then_secrets_path(tmp_path: Path) -> None:
    config = tmp_path / "config" / "moonraker.conf"
    text = "[secrets]\nsecrets_path: private/my.ini\n[room]\ntoken: {secrets.a.token}\n"
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "my.ini").write_text("[a]\ntoken: from path\n")
    assert Document.parse(text, config).section_or_empty("room").templated_text("token") == "from path"
    (tmp_path / "moonraker.secrets").write_text('{"a": {"token": "by convention"}}')
    document = Document.parse(text, config)
    room = document.section_or_empty("room")
    assert room.templated_text("token") == "by convention"
    assert room.taken == {"token": "{secrets.a.token}"}, "server.config never shows a secret"
    assert document.problems == document.unused() == []


def test_an_unusable_secrets_file_is_a_problem_and_not_the_end(tmp_path: Path) -> None:
    document = Document.parse("[secrets]\nsecrets_path: gone.ini\n", tmp_path / "moonraker.conf")
    [problem] = document.problems
    assert document.unused() == []
    assert problem.as_line().startswith("moonraker.conf line 2, [secrets], option 'secrets_path': secrets file '")
    assert problem.as_line().endswith("gone.ini' cannot be read: No such file or directory")


@pytest.mark.parametrize("kind", ["pipe", "folder", "endless", "large"])
def test_what_is_no_reasonable_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "secrets"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "endless":
            path.symlink_to("/dev/zero")
        case _:
            path.write_text("[a]\n" + "# much\n" * 200_000)
    with pytest.raises(ConfigError, match=r"it is not a file|larger than 1 MiB"):
        load_secrets(path)


def test_secrets_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "moonraker.secrets").write_bytes(b"[a]\nx: \xfc\n")
    document = Document.parse("", tmp_path / "moonraker.conf")
    assert len(document.secrets) == 0
    assert "UTF-8" in document.problems[0].message


@pytest.mark.parametrize("path", ["~nobody-has-this-name/x", "a/b\0c", ".", "/proc/1/mem"])
def test_no_secrets_path_stops_the_program(tmp_path: Path, path: str) -> None:
    document = Document.parse(f"[secrets]\nsecrets_path: {path}\n", tmp_path / "moonraker.conf")
    assert len(document.problems) == 1
