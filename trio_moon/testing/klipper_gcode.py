"""G-code the way Klipper reads it: lines into commands, commands to handlers, answers to the console.

Handlers are awaited one after another. Scripts from outside take the lock; macros run inside the script that
called them.
"""

import re
import shlex
from collections.abc import Awaitable, Callable, Iterable

import trio


class KlipperError(Exception):
    """What Klipper answers when a command cannot be done; the text is the one a client sees."""


Handler = Callable[["Command"], Awaitable[None]]

_WORD = re.compile(r"([A-Z_]+|\*)([^A-Z_*]*)")
_TRADITIONAL = re.compile(r"[A-Z][0-9]+(\.[0-9]+)?$")
_TAKES_PLAIN_TEXT = ("M117", "M118", "M23")


class Command:
    """One parsed line, with Klipper's way of asking for parameters and of complaining about them."""

    __slots__ = ("line", "name", "params")

    def __init__(self, name: str, line: str, params: dict[str, str]) -> None:
        self.name = name
        self.line = line
        self.params = params

    @property
    def raw(self) -> str:
        """What stands behind the command's name, as it was typed."""
        start = self.line.upper().find(self.name) + len(self.name)
        return self.line[start + 1 :] if self.line[start : start + 1].isspace() else self.line[start:]

    def text(self, key: str, default: str | None = None) -> str:
        """The parameter as it was typed; an error without it and without a default."""
        value = self.params.get(key, default)
        if value is None:
            raise KlipperError(f"Error on '{self.line}': missing {key}")
        return value

    def optional_text(self, key: str) -> str | None:
        """The parameter as it was typed, or None."""
        return self.params.get(key)

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        above: float | None = None,
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> float:
        """A finite number within the limits; an error without it and without a default."""
        if key not in self.params and default is not None:
            return default
        try:
            value = float(self.text(key))
        except ValueError:
            raise KlipperError(f"Error on '{self.line}': unable to parse {self.params[key]}") from None
        if minimum is not None and value < minimum:
            raise KlipperError(f"Error on '{self.line}': {key} must have minimum of {minimum}")
        if maximum is not None and value > maximum:
            raise KlipperError(f"Error on '{self.line}': {key} must have maximum of {maximum}")
        if above is not None and value <= above:
            raise KlipperError(f"Error on '{self.line}': {key} must be above {above}")
        return value

    def optional_number(self, key: str) -> float | None:
        """A number, or None when the parameter is not there."""
        return self.number(key) if key in self.params else None

    def optional_integer(self, key: str, *, minimum: int | None = None) -> int | None:
        """A whole number, or None when the parameter is not there."""
        if key not in self.params:
            return None
        try:
            value = int(self.params[key])
        except ValueError:
            raise KlipperError(f"Error on '{self.line}': unable to parse {self.params[key]}") from None
        if minimum is not None and value < minimum:
            raise KlipperError(f"Error on '{self.line}': {key} must have minimum of {minimum}")
        return value


def parse_line(line: str) -> Command:
    """Split a line into its command and letter parameters; an empty name for an empty line."""
    line = line.strip()
    words = [(key, value.strip()) for key, value in _WORD.findall(line.partition(";")[0].upper())]
    if words and words[0][0] == "N":  # a line number
        words = words[1:]
    name = "".join(words[0]) if words else ""
    return Command(name, line, dict(words))


def parse_extended(command: Command) -> dict[str, str]:
    """The `KEY=value` parameters of a named command, with shell quoting."""
    lexer = shlex.shlex(command.raw, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = "#;"
    try:
        pairs = [word.split("=", 1) for word in lexer]
        return {key.upper(): value for key, value in pairs}
    except ValueError:
        raise KlipperError(f"Malformed command '{command.line}'") from None


class GCode:
    """Klipper's command table and console."""

    def __init__(self, not_ready: Callable[[], str | None]) -> None:
        """`not_ready` gives the state message while commands must be refused, or None."""
        self._not_ready = not_ready
        self._handlers: dict[str, Handler] = {}
        self._early: set[str] = set()
        self._help: dict[str, str] = {}
        self.lock = trio.Lock()
        self.listeners: list[Callable[[str], None]] = []
        self.after_error: list[Callable[[], None]] = []

    def register(self, name: str, handler: Handler, *, help_text: str | None = None, early: bool = False) -> None:
        """Add a command; `early` ones also work while the printer is not ready."""
        self._handlers[name] = handler
        if early:
            self._early.add(name)
        if help_text is not None:
            self._help[name] = help_text

    def rename(self, name: str, new_name: str) -> None:
        """Give a command another name, as a macro's `rename_existing` does."""
        self._handlers[new_name] = self._handlers.pop(name)
        self._help[new_name] = f"Renamed builtin of '{name}'"
        self._help.pop(name, None)

    @property
    def help_texts(self) -> dict[str, str]:
        """Every command that explains itself."""
        return dict(self._help)

    def commands(self) -> dict[str, dict[str, str]]:
        """What the `gcode` object shows: the commands that work now."""
        names: Iterable[str] = self._handlers
        if self._not_ready() is not None:
            names = (name for name in self._handlers if name in self._early)
        return {name: ({"help": self._help[name]} if name in self._help else {}) for name in names}

    def has(self, name: str) -> bool:
        """Whether such a command exists."""
        return name in self._handlers

    async def run_script(self, script: str) -> None:
        """Run lines when nobody else runs any; the first error ends the script and is raised."""
        if self.lock.statistics().owner is trio.lowlevel.current_task():  # called by a macro of this script
            return await self.run_lines(script)
        async with self.lock:
            await self.run_lines(script)

    async def run_lines(self, script: str) -> None:
        """Run lines inside a script that already has the lock."""
        for line in script.split("\n"):
            await self.run_line(line)

    async def run_line(self, line: str) -> None:
        """Run one line; an error is told to the console before it is raised."""
        command = parse_line(line)
        handler = self._handlers.get(command.name)
        try:
            if handler is None or (command.name not in self._early and self._not_ready() is not None):
                await self._run_unknown(command)
                return
            if not _TRADITIONAL.match(command.name):
                command.params = parse_extended(command)
            await handler(command)
        except KlipperError as error:
            self._tell_error(str(error))
            for callback in self.after_error:
                callback()
            raise

    async def _run_unknown(self, command: Command) -> None:
        if command.name in ("M105", "M21"):
            return
        message = self._not_ready()
        if message is not None:
            raise KlipperError(message)
        first = command.name.split(" ")[0]
        if not command.name:
            return
        if first in _TAKES_PLAIN_TEXT and " " in command.name and first in self._handlers:
            await self._handlers[first](Command(first, command.line, command.params))
            return
        self.info(f'Unknown command:"{command.name}"')

    def respond(self, text: str) -> None:
        """Tell the console."""
        for listener in self.listeners:
            listener(text)

    def info(self, text: str) -> None:
        """Tell the console lines that begin with `// `."""
        self.respond("\n".join(f"// {line.strip()}" for line in text.strip().split("\n")))

    def _tell_error(self, text: str) -> None:
        lines = text.strip().split("\n")
        if len(lines) > 1:
            self.info(text)
        self.respond(f"!! {lines[0].strip()}")
