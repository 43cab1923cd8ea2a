"""What each command does: the log, signals, and `trio.run`."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from pathlib import Path

import trio

from trio_moon import __version__
from trio_moon.app import App, Options, run_app
from trio_moon.arguments import Arguments
from trio_moon.config.document import Document
from trio_moon.kit.allocator import give_back_what_is_large
from trio_moon.kit.supervise import describe_error, innermost
from trio_moon.logbook import Logbook
from trio_moon.model.errors import ConfigError, MoonError
from trio_moon.model.paths import DataPaths

logger = logging.getLogger(__name__)

OK, FAILED = 0, 1


def run_command(arguments: Arguments) -> int:
    """Do what the user asked for; returns the exit status: 0 all is well, 1 it failed."""
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


def _config_file(arguments: Arguments) -> Path:
    return arguments.config or DataPaths(arguments.data_path).config / "moonraker.conf"


def _build(arguments: Arguments, options: Options) -> App:
    document = Document.load(_config_file(arguments), arguments.data_path)
    return App(document, DataPaths(arguments.data_path), options)


def check(arguments: Arguments) -> int:
    """Print every problem of the configuration with file, line, section and option; 1 if one is an error."""
    logging.getLogger().addHandler(logging.NullHandler())
    app = _build(arguments, Options())
    for problem in app.problems:
        print(f"{problem.severity}: {problem.as_line()}")
    errors = sum(problem.severity == "error" for problem in app.problems)
    if not app.problems:
        print(f"{app.document.path}: no problems")
    return FAILED if errors else OK


def methods(arguments: Arguments) -> int:
    """Print the registry: verb, path, JSON-RPC method."""
    logging.getLogger().addHandler(logging.NullHandler())
    config = _config_file(arguments)
    document = Document.load(config, arguments.data_path) if config.exists() else Document.parse("", config)
    app = App(document, DataPaths(arguments.data_path), Options(debug=True))
    for method in sorted(app.registry, key=lambda method: (method.endpoint.path, method.verb, method.name)):
        verb = method.verb if method.endpoint.path else "-"
        print(f"{verb:6} {method.endpoint.path or '-':45} {method.name or '-'}")
    return OK


def run(arguments: Arguments) -> int:
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
    except Exception as error:
        reason = innermost(error)
        known = isinstance(reason, MoonError)  # the owner can mend it; where it was raised is no help to anybody
        told = str(reason) if known else describe_error(error)
        logger.critical("trio_moon can't go on: %s", told, exc_info=None if known else error)
        if logbook.file is not None:  # else it was said there
            print(f"trio-moon: {told}", file=sys.stderr)
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
