"""The command line, in words and as values. It loads little: what only it needs is let go before the service comes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trio_moon import __version__

COMMANDS = ("run", "demo", "check", "methods", "version")


class Arguments:
    """What the user asked for; what a command doesn't know keeps its default."""

    command: str
    data_path: Path
    config: Path | None = None
    logfile: Path | None = None
    no_log_file: bool = False
    debug: bool = False
    port: int
    once: bool = False


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """The command line; `trio-moon -d DIR` alone means `run`. Ends the program with status 2 on a mistake."""
    import argparse

    parser = argparse.ArgumentParser(prog="trio-moon", description="A host service for headless Klipper printers.")
    parser.add_argument("--version", action="version", version=f"trio-moon {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="{" + ",".join(COMMANDS) + "}")
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "-d", "--data-path", type=_folder, default=Path("~/printer_data").expanduser(), help="default: ~/printer_data"
    )
    place.add_argument("-c", "--config", type=_folder, help="default: DATA_PATH/config/moonraker.conf")
    run = commands.add_parser("run", parents=[place], help="run the service (the default)")
    run.add_argument("-l", "--logfile", type=_folder, help="default: DATA_PATH/logs/moonraker.log")
    run.add_argument("-n", "--no-log-file", action="store_true", help="write the log to standard error instead")
    run.add_argument("-g", "--debug", action="store_true", help="offer the debug endpoints and log more")
    demo = commands.add_parser("demo", help="run with a simulated printer and a mock Spoolman inside")
    demo.add_argument("-p", "--port", type=_port, default=7125, help="default: 7125, or a free one if that is taken")
    demo.add_argument("--once", action="store_true", help="end after one print, successful if the accounts agree")
    commands.add_parser("check", parents=[place], help="check a configuration and print every problem")
    commands.add_parser("methods", parents=[place], help="list every method of the API")
    commands.add_parser("version", help="print the version")
    words = list(argv)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "run")
    return parser.parse_args(words, Arguments())


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65535):
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"{text!r} is no port: a number from 0 (any that is free) to 65535")
    return int(text)


def _folder(text: str) -> Path:
    if any("\ud800" <= char <= "\udfff" for char in text):
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"{text!r} has bytes that are not UTF-8")
    return Path(text).expanduser().absolute()
