"""The document: sections of several files, broken ones guarded, leftovers reported, server.config's answer."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_moon.config import ConfigProblem, Document, Problem, Section
from trio_moon.kit.json_codec import encode
from trio_moon.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / "moonraker.conf"


def lines(problems: list[Problem]) -> list[str]:
    return [problem.as_line() for problem in problems]


def url_of(section: Section) -> str:
    return section.text("url")


def test_sections_are_found_by_name_and_by_kind() -> None:
    document = Document.parse("[server]\nport: 1\n[notifier b]\n[other]\n[notifier a b]\n[notifier]\n[notifiers]\n")
    server = document.section("server")
    assert server is not None
    assert (server.name, server.kind, server.title) == ("server", "server", "")
    assert [section.title for section in document.sections("notifier")] == ["b", "a b", ""]
    assert document.section("notifier b") is document.sections("notifier")[0]
    assert document.section("spoolman") is None
    assert document.has("other")
    assert not document.has("spoolman")


def test_an_absent_section_can_be_asked_for_defaults() -> None:
    document = Document.parse("")
    section = document.section_or_empty("data_store")
    assert not section.present
    assert section.integer("gcode_store_size", 1000) == 1000
    assert document.section_or_empty("data_store") is section
    assert document.as_wire()["config"] == {"data_store": {"gcode_store_size": 1000}}
    with pytest.raises(ConfigError, match=r"^moonraker.conf, \[data_store\], option 'x': is missing"):
        section.text("x")


def test_includes_override_option_by_option_in_the_order_of_their_names(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        {
            "moonraker.conf": "[server]\nhost: a\nport: 1\n[include more/*.conf]\n[server2]\nx: last\n",
            "more/b.conf": "[server]\nport: 3\n",
            "more/a.conf": "[server]\nport: 2\n[server2]\nx: first\ny: 1\n[include deep/c.conf]\n",
            "more/deep/c.conf": "[server]\nroute_prefix: p\n",
            "more/ignored.txt": "[server]\nport: 9\n",
        },
    )
    document = Document.load(main)
    assert document.problems == []
    assert document.section_or_empty("server").options() == {"host": "a", "port": "3", "route_prefix": "p"}
    assert document.section_or_empty("server2").options() == {"x": "last", "y": "1"}
    assert [(file.name, file.sections) for file in document.files] == [
        ("moonraker.conf", ["server", "server2"]),
        ("more/a.conf", ["server", "server2"]),
        ("more/deep/c.conf", ["server"]),
        ("more/b.conf", ["server"]),
    ]
    with pytest.raises(ConfigError, match=r"^more/b.conf line 2, \[server\], option 'port': 3 is too large"):
        document.section_or_empty("server").integer("port", 1, maximum=2)


def test_absolute_and_parent_includes_work(tmp_path: Path) -> None:
    write(tmp_path, {"one/x.conf": "[a]\nx: 1\n", "two/y.conf": "[b]\ny: 2\n"})
    main = write(tmp_path / "config", {"moonraker.conf": f"[include ../one/x.conf]\n[include {tmp_path}/tw?/y.conf]\n"})
    document = Document.load(main)
    assert document.problems == []
    assert document.has("a")
    assert document.has("b")


def test_include_loops_missing_files_and_foreign_bytes_are_problems_and_the_rest_is_read(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        {
            "moonraker.conf": "[include *.conf]\n[include gone.conf]\n[include latin/*]\n[server]\nport: 5\n",
            "loop.conf": "[x]\n[include loop.conf]\n",
            "latin/l.cfg": b"[y]\n# Temperatur in \xb0C\n",
        },
    )
    document = Document.load(main)
    assert document.section_or_empty("server").integer("port", 1) == 5
    assert lines(document.problems) == [
        "loop.conf line 2, [include loop.conf]: 'loop.conf' is included twice or includes itself",
        "moonraker.conf line 1, [include *.conf]: 'moonraker.conf' is included twice or includes itself",
        "moonraker.conf line 2, [include gone.conf]: no such file",
        "latin/l.cfg line 2: byte 0xb0 is not UTF-8; save the file with UTF-8 encoding",
    ]


def test_a_long_chain_of_includes_ends_with_a_problem(tmp_path: Path) -> None:
    chain = {f"{n}.conf": f"[s{n}]\n[include {n + 1}.conf]\n" for n in range(60)}
    document = Document.load(write(tmp_path, {"moonraker.conf": "[include 0.conf]\n"} | chain))
    [problem] = document.problems
    assert "more than 20 files" in problem.message


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        (b"[server]\nhost: \xfc\n", "moonraker.conf line 2: byte 0xfc is not UTF-8"),
        (b"#" * (1 << 20) + b"#", "too large"),
    ],
)
def test_an_unreadable_main_file_stops_the_program(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "moonraker.conf").write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        Document.load(tmp_path / "moonraker.conf")
    with pytest.raises(ConfigError, match="it is not a file"):
        Document.load(tmp_path)


def test_faults_name_their_place_and_cost_nothing_else() -> None:
    document = Document.parse(
        "early: 1\n[server]\nport: 1\nport: 2\nnonsense\n[broken\nhost: x\n[server]\nhost: y\n[include]\nz: 1\n"
    )
    assert document.section_or_empty("server").options() == {"port": "2", "host": "y"}
    assert lines(document.problems) == [
        "moonraker.conf line 1, option 'early': ignored: no [section] stands above it",
        "moonraker.conf line 4, [server], option 'port': stands twice in this file (also in line 3); this one is used",
        "moonraker.conf line 5, [server]: 'nonsense' is neither a [section] nor 'option: value'",
        "moonraker.conf line 6: '[broken' is not a section header like [name]",
        "moonraker.conf line 7, option 'host': ignored: the section header above it cannot be read",
        "moonraker.conf line 8, [server]: section stands twice in this file; both are used",
        "moonraker.conf line 10, [include]: a file name or pattern is missing, like [include printers/*.conf]",
        "moonraker.conf line 11, option 'z': ignored: it needs a [section] of its own after an [include]",
    ]


def test_what_nobody_asked_for_is_a_warning_with_a_hint() -> None:
    document = Document.parse(
        "[server]\nhost: x\nprot: 1\nssl_port: 2\ngcode_store_size: 3\nzzz: 4\n"
        "[spolman]\nserver: x\n[power printer]\ntype: gpio\n[notifier a]\nurl: x\nbody: y\n[my own thing]\n"
    )
    server = document.section_or_empty("server")
    server.text("host")
    server.integer("port", 7125)
    document.section("spoolman")
    assert document.settings_of_kind("notifier", url_of) == ["x"]
    leftover = document.unused()
    assert {problem.severity for problem in leftover} == {"warning"}
    assert lines(leftover) == [
        "moonraker.conf line 3, [server], option 'prot': unknown option (did you mean 'port'?)",
        "moonraker.conf line 4, [server], option 'ssl_port': not used by trio_moon yet; it has no effect",
        "moonraker.conf line 5, [server], option 'gcode_store_size': "
        "belongs in section [data_store]; it has no effect here",
        "moonraker.conf line 6, [server], option 'zzz': unknown option",
        "moonraker.conf line 7, [spolman]: unknown section (did you mean 'spoolman'?)",
        "moonraker.conf line 9, [power printer]: not used by trio_moon yet; its settings have no effect",
        "moonraker.conf line 13, [notifier a], option 'body': not used by trio_moon yet; it has no effect",
        "moonraker.conf line 14, [my own thing]: unknown section",
    ]


def test_a_broken_section_is_a_problem_and_its_neighbours_live() -> None:
    document = Document.parse("[notifier a]\nextra: 1\n[notifier b]\nurl: b\n")
    assert document.settings_of_kind("notifier", url_of) == ["b"]
    assert lines(document.problems) == [
        "moonraker.conf line 1, [notifier a], option 'url': is missing; it has no default"
    ]
    assert document.unused() == [], "a broken section's other options may never have been asked for"


def test_settings_are_none_for_absent_and_broken_sections() -> None:
    document = Document.parse("[spoolman]\nurl: x\n[mqtt]\n")
    assert document.settings_or_none("spoolman", url_of) == "x"
    assert document.settings_or_none("webcam", url_of) is None
    assert document.problems == []
    assert document.settings_or_none("mqtt", url_of) is None
    assert len(document.problems) == 1


def test_a_guard_gives_a_plain_error_its_place() -> None:
    def refuse(message: str) -> None:
        raise ConfigError(message)

    document = Document.parse("\n[mqtt]\n")
    with document.guard("mqtt"):
        refuse("two brokers are one too many")
    with document.guard("nothing"):
        refuse("lost")
    assert lines(document.problems) == [
        "moonraker.conf line 2, [mqtt]: two brokers are one too many",
        "moonraker.conf, [nothing]: lost",
    ]
    with pytest.raises(ZeroDivisionError), document.guard("mqtt"):
        _ = 1 // 0


def test_server_config_has_moonrakers_shape(tmp_path: Path) -> None:
    text = "[server]\nPort: 7125\n[authorization]\ncors_domains:\n  *.lan\n[notifier a]\nbody: {x}\n"
    document = Document.load(write(tmp_path, {"moonraker.conf": text}))
    server = document.section_or_empty("server")
    server.integer("port", 1)
    server.path("klippy_uds_address", Path("/tmp/klippy_uds"))
    document.section_or_empty("authorization").words("cors_domains", [])
    document.section_or_empty("authorization").boolean("force_logins", False)
    document.section_or_empty("notifier a").template("body", None)
    document.section_or_empty("notifier a").template("title", None)
    assert document.as_wire() == {
        "config": {
            "server": {"port": 7125, "klippy_uds_address": "/tmp/klippy_uds"},
            "authorization": {"cors_domains": ["*.lan"], "force_logins": False},
            "notifier a": {"body": "{x}", "title": None},
        },
        "orig": {
            "DEFAULT": {},
            "server": {"port": "7125"},
            "authorization": {"cors_domains": "\n*.lan"},
            "notifier a": {"body": "{x}"},
        },
        "files": [{"filename": "moonraker.conf", "sections": ["server", "authorization", "notifier a"]}],
    }


def test_the_data_path_is_above_the_config_folder_unless_given() -> None:
    assert Document.parse("", Path("/p/config/moonraker.conf")).data_path == Path("/p")
    assert Document.parse("", Path("/p/moonraker.conf")).data_path == Path("/p")
    assert Document.parse("", Path("/p/moonraker.conf"), Path("/d")).data_path == Path("/d")


def test_files_whose_names_are_no_text_are_named_all_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, {"moonraker.conf": "[include *.cfg]\n"})
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\nb.cfg")).write_text("what\n")
    document = Document.load(path)
    assert lines(document.problems) == [
        r"a\xff b.cfg line 1: 'what' is neither a [section] nor 'option: value'",
    ]
    assert encode(document.as_wire())


def test_nul_characters_are_told_and_become_harmless(tmp_path: Path) -> None:
    document = Document.load(write(tmp_path, {"moonraker.conf": b"[server]\nhost: a\0b\nport: 1\n"}))
    assert lines(document.problems) == [
        "moonraker.conf line 2: here are NUL characters: was it damaged, or saved as UTF-16?"
    ]
    assert document.section_or_empty("server").text("host") == "a\ufffdb"


def test_a_megabyte_of_blanks_is_read_at_once() -> None:
    began = time.process_time()
    Document.parse("[server]\nhost:" + " " * 1_000_000 + "x\n" + " " * 100_000)
    assert time.process_time() - began < 30, "it took hours"


def test_a_problem_is_one_line_whatever_it_says() -> None:
    assert Problem("a\n  b", "x.conf", 3).as_line() == "x.conf line 3: a b"
    assert Problem("alone").as_line() == "alone"
    assert str(ConfigProblem(Problem("m", "f", 1, "s", "o"))) == "f line 1, [s], option 'o': m"


@given(st.text(alphabet="[]#;\\:= \t\r\n\0abü"))
def test_no_text_makes_a_document_raise(text: str) -> None:
    document = Document.parse(text, Path("/nowhere/config/moonraker.conf"))
    for problem in document.problems + document.unused():
        assert problem.as_line()
    document.as_wire()
