from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.service import configure
from trio_moon import __version__
from trio_moon.app import App, Options
from trio_moon.arguments import parse_arguments
from trio_moon.cli import run_command
from trio_moon.config.document import Document


def main(words: list[str]) -> int:
    return run_command(parse_arguments(words))


def test_a_folder_alone_means_run() -> None:
    arguments = parse_arguments(["-d", "/tmp/data", "-n", "-g"])
    assert (arguments.command, arguments.data_path, arguments.no_log_file, arguments.debug) == (
        "run",
        Path("/tmp/data"),
        True,
        True,
    )
    assert parse_arguments([]).data_path == Path("~/printer_data").expanduser()


@pytest.mark.parametrize(
    "words",
    [
        ["fly"],
        ["run", "-x"],
        ["run", "-d"],
        ["run", "-d", "/tmp/\udcff"],
        ["demo", "-p", "many"],
        ["demo", "-p", "65536"],
    ],
)
def test_wrong_usage_ends_with_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: trio-moon" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"trio-moon {__version__}\n" * 2


def test_check_is_content_with_a_good_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = configure(tmp_path)
    assert main(["check", "-d", str(paths.root)]) == 0
    assert "no problems" in capsys.readouterr().out


def test_check_prints_every_problem_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = configure(tmp_path, "[server2]\n\n[data_store]\ngcode_store_size: many\n\n[authorization]\nforce: yes\n")
    assert main(["check", "-d", str(paths.root)]) == 1
    out = capsys.readouterr().out
    assert "error: moonraker.conf line 8, [data_store], option 'gcode_store_size'" in out
    assert "warning: moonraker.conf line 5, [server2]: unknown section" in out
    assert "warning: moonraker.conf line 11, [authorization], option 'force': unknown option" in out


def test_warnings_alone_are_no_failure(tmp_path: Path) -> None:
    assert main(["check", "-d", str(configure(tmp_path, "[power light]\ntype: gpio\n").root)]) == 0


@pytest.mark.parametrize("option", ["port: 70000", "port: abc", "port: -1"])
def test_a_port_that_cannot_be_used_is_said(tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    paths = configure(tmp_path)
    (paths.config / "moonraker.conf").write_text(f"[server]\n{option}\n")
    assert main(["check", "-d", str(paths.root)]) == 1
    assert "error: moonraker.conf line 2, [server], option 'port'" in capsys.readouterr().out


def test_a_host_that_is_not_ours_ends_the_program_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = configure(tmp_path)
    (paths.config / "moonraker.conf").write_text("[server]\nhost: 192.0.2.1\nport: 0\n")
    assert main(["run", "-n", "-d", str(paths.root)]) == 1
    said = capsys.readouterr().err
    assert said.count("[server], options 'host' and 'port': can't listen on 192.0.2.1 port 0: ") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_configuration_that_is_missing_is_said_with_its_path(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "-d", str(tmp_path)]) == 1
    file = tmp_path / "config" / "moonraker.conf"
    assert capsys.readouterr().err == f"trio-moon: {file}: cannot be read: No such file or directory\n"


def test_of_thousands_of_problems_the_service_tells_some_and_check_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = configure(tmp_path, "[include page.html]")
    (paths.config / "page.html").write_text("<br>\n" * 5000)
    app = App(Document.load(paths.config / "moonraker.conf"), paths, Options())
    told = app.notices()
    assert len(told) < 200
    assert told[-1] == "5000 problems in all: `trio-moon check` shows them"
    assert main(["check", "-d", str(paths.root)]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 5000


def test_methods_lists_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "-d", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "POST   /printer/gcode/script                         printer.gcode.script" in lines
    assert any(line.endswith("printer.objects.subscribe") for line in lines)
    assert len(lines) == len(set(lines))
