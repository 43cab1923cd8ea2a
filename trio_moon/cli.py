"""The command: arguments, the log, signals, and `trio.run`."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from trio_moon import __version__
from trio_moon.app import App, Options, run_app
from trio_moon.config.document import Document
from trio_moon.kit.allocator import give_back_what_is_large
from trio_moon.kit.supervise import describe_error
from trio_moon.logbook import Logbook
from trio_moon.model.errors import ConfigError
from trio_moon.model.paths import DataPaths

logger = logging.getLogger(__name__)

COMMANDS = ("run", "demo", "check", "methods", "version")
OK, FAILED, USAGE = 0, 1, 2


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line; `trio-moon -d DIR` alone means `run`. Ends the program with status 2 on a mistake."""
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
    demo.add_argument("-p", "--port", type=int, default=7125, help="default: 7125, or a free one if that is taken")
    demo.add_argument("--once", action="store_true", help="end after one print, successful if the accounts agree")
    commands.add_parser("check", parents=[place], help="check a configuration and print every problem")
    commands.add_parser("methods", parents=[place], help="list every method of the API")
    commands.add_parser("version", help="print the version")
    words = list(argv)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "run")
    return parser.parse_args(words)


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 all is well, 1 it failed, 2 wrong usage."""
    arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
    try:
        match arguments.command:
            case "run":
                return run(arguments)
            case "demo":
                from trio_moon.demo import main as demo  # the doubles are loaded for the demo alone

                return demo(arguments.port, once=arguments.once)
            case "check":
                return check(arguments)
            case "methods":
                return methods(arguments)
            case _:
                print(f"trio-moon {__version__}")
                return OK
    except ConfigError as error:
        print(f"trio-moon: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # `trio-moon methods | head`
        sys.stderr.close()
        return OK


def _config_file(arguments: argparse.Namespace) -> Path:
    chosen: Path | None = arguments.config
    return chosen or DataPaths(arguments.data_path).config / "moonraker.conf"


def _build(arguments: argparse.Namespace, options: Options) -> App:
    document = Document.load(_config_file(arguments), arguments.data_path)
    return App(document, DataPaths(arguments.data_path), options)


def check(arguments: argparse.Namespace) -> int:
    """Print every problem of the configuration with file, line, section and option; 1 if one is an error."""
    logging.getLogger().addHandler(logging.NullHandler())
    app = _build(arguments, Options())
    for problem in app.problems:
        print(f"{problem.severity}: {problem.as_line()}")
    errors = sum(problem.severity == "error" for problem in app.problems)
    if not app.problems:
        print(f"{app.document.path}: no problems")
    return FAILED if errors else OK


def methods(arguments: argparse.Namespace) -> int:
    """Print the registry: verb, path, JSON-RPC method."""
    logging.getLogger().addHandler(logging.NullHandler())
    config = _config_file(arguments)
    document = Document.load(config, arguments.data_path) if config.exists() else Document.parse("", config)
    app = App(document, DataPaths(arguments.data_path), Options(debug=True))
    for method in sorted(app.registry, key=lambda method: (method.endpoint.path, method.verb, method.name)):
        verb = method.verb if method.endpoint.path else "-"
        print(f"{verb:6} {method.endpoint.path or '-':45} {method.name or '-'}")
    return OK


def run(arguments: argparse.Namespace) -> int:
    """Run the service until SIGTERM or Ctrl-C."""
    give_back_what_is_large()
    paths = DataPaths(arguments.data_path)
    log_file = None if arguments.no_log_file else (arguments.logfile or paths.logs / "moonraker.log")
    troubles = paths.make()
    logbook = _open_log(log_file, troubles, debug=arguments.debug)
    for trouble in troubles:
        logger.warning("%s", trouble)
    try:
        app = _build(arguments, Options(debug=arguments.debug, logbook=logbook, troubles=tuple(troubles)))
        trio.run(_serve, app, logbook)
    except ConfigError as error:
        logger.error("%s", error)
        raise
    except Exception as error:
        logger.critical("trio_moon can't go on", exc_info=error)
        print(f"trio-moon: {describe_error(error)}", file=sys.stderr)
        return FAILED
    finally:
        logbook.close()
    if app.stop.restart:
        os.execv(sys.executable, sys.orig_argv)
    gc.freeze()  # all is said and done: Python needn't look for rubbish before it ends (a second after a storm)
    return OK


def _open_log(file: Path | None, troubles: list[str], *, debug: bool) -> Logbook:
    """The log, open; a file that can't be written is one trouble more, but no reason not to print."""
    logbook = Logbook(file, debug=debug)
    try:
        logbook.open()
    except OSError as error:
        troubles.append(f"The log goes to standard error: {error.strerror}: {file}")
        logbook = Logbook(None, debug=debug)
        logbook.open()
    return logbook


async def _serve(app: App, logbook: Logbook) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_mind_signals, app, logbook)
        async with trio.open_nursery() as service:
            await service.start(run_app, app)
            _settle_memory()
        nursery.cancel_scope.cancel()


def _settle_memory() -> None:
    """What has been built stays: Python's collector needn't look through it again and again (a sixth of the CPU)."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def _mind_signals(app: App, logbook: Logbook) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number == signal.SIGHUP:
                logbook.reopen()
                logger.info("the log was reopened")
            else:
                logger.info("asked to end by %s", signal.Signals(number).name)
                app.stop.stop()
