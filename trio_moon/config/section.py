"""One section of the configuration: getters that check, and remember which options have a meaning."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar, overload

from msgspec import Struct

from trio_moon.config.problems import ConfigProblem, Problem, TemplateFailed
from trio_moon.config.templates import Template
from trio_moon.config.values import (
    Limits,
    parse_boolean,
    parse_choice,
    parse_integer,
    parse_number,
    parse_size_mib,
    parse_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio_moon.config.reader import SectionText
    from trio_moon.config.secrets import Secrets

T = TypeVar("T")
D = TypeVar("D")

MEBIBYTE = 1 << 20
LONGEST_TEXT = 1 << 16
"""Characters that a template may become: the path of a megabyte would be looked at letter by letter."""
RENDER_BUDGET = 2.0
"""Seconds for a template that is rendered while the configuration is read."""


_MISSING: Final = object()
"""The default of an option that must be there."""


class Surroundings(Struct, frozen=True):
    """What sections need to know of the world: where data lives, and the secrets, read when first needed."""

    data_path: Path
    secrets: Callable[[], Secrets]


class Section:
    """One section; a getter's ConfigError names the place, what was found and what was expected."""

    def __init__(
        self,
        name: str,
        text: SectionText,
        surroundings: Surroundings,
        *,
        present: bool = True,
    ) -> None:
        self.name = name
        self.kind, _, title = name.partition(" ")
        self.title = title.strip()
        self.file = text.file
        self.line = text.line
        self.present = present  # False: stands in no file, all settings are defaults
        self.broken = False  # a getter refused something; its other options may never have been asked for
        self.taken: dict[str, object] = {}  # option: its value in use, as server.config shows it
        self._options = text.options
        self._surroundings = surroundings

    # what was written

    def has(self, option: str) -> bool:
        """Whether the option is configured; asking does not make it known."""
        return option.lower() in self._options

    def raw(self, option: str) -> str | None:
        """The configured text, untouched."""
        configured = self._options.get(option.lower())
        return configured.value if configured else None

    def options(self) -> dict[str, str]:
        """Every option as it was written."""
        return {option: configured.value for option, configured in self._options.items()}

    def line_of(self, option: str) -> tuple[str, int]:
        """File and line of an option, or of the section where the option is absent."""
        configured = self._options.get(option.lower())
        return (configured.file, configured.line) if configured else (self.file, self.line)

    def problem(self, option: str, message: str, severity: Literal["error", "warning"] = "error") -> Problem:
        """A problem that stands at this option (or, with an empty option, at the section's head)."""
        file, line = self.line_of(option)
        return Problem(message, file, line, self.name, option, severity)

    def refuse(self, option: str, message: str) -> ConfigProblem:
        """The error a settings builder raises for an option whose value it cannot use."""
        self.broken = True
        return ConfigProblem(self.problem(option, message))

    # typed getters

    @overload
    def text(self, option: str) -> str: ...
    @overload
    def text(self, option: str, default: D) -> str | D: ...
    def text(self, option: str, default: object = _MISSING) -> object:
        """The option's text; the lines of a longer value are joined by newlines."""
        return self._take(option, default, lambda text: text)

    def integer(self, option: str, default: D, *, minimum: int | None = None, maximum: int | None = None) -> int | D:
        """A whole number from `minimum` to `maximum`."""
        limits = Limits(minimum=minimum, maximum=maximum)
        return self._take(option, default, lambda text: limits.checked(parse_integer(text)))

    def number(
        self,
        option: str,
        default: D,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        above: float | None = None,
    ) -> float | D:
        """A finite number from `minimum` to `maximum`, greater than `above`."""
        limits = Limits(minimum=minimum, maximum=maximum, above=above)
        return self._take(option, default, lambda text: limits.checked(parse_number(text)))

    def boolean(self, option: str, default: D) -> bool | D:
        """true/false, yes/no, on/off or 1/0."""
        return self._take(option, default, parse_boolean)

    @overload
    def words(self, option: str) -> list[str]: ...
    @overload
    def words(self, option: str, default: D) -> list[str] | D: ...
    def words(self, option: str, default: object = _MISSING) -> object:
        """A list, separated by commas or line ends; empty places are left out."""
        return self._take(option, default, parse_words)

    def choice(self, option: str, choices: Sequence[str], default: D) -> str | D:
        """One of the words of `choices`, capitals aside."""
        return self._take(option, default, lambda text: parse_choice(text, choices))

    def size_mib(self, option: str, default: float, *, minimum: float = 0) -> int:
        """A size written in MiB (the default and the limit too), as a number of bytes."""
        limits = Limits(minimum=minimum)
        return int(self._take(option, default, lambda text: limits.checked(parse_size_mib(text))) * MEBIBYTE)

    def path(self, option: str, default: D) -> Path | D:
        """A path: `~` and `{data_path}` are filled in, relative ones start at the data path."""
        return self._take(option, default, self._path, as_wire=str)

    @overload
    def template(self, option: str) -> Template: ...
    @overload
    def template(self, option: str, default: D) -> Template | D: ...
    def template(self, option: str, default: object = _MISSING) -> object:
        """A Jinja2 template to render later; server.config shows its source."""
        return self._take(option, default, self._template, as_wire=_source)

    @overload
    def templated_text(self, option: str) -> str: ...
    @overload
    def templated_text(self, option: str, default: D) -> str | D: ...
    def templated_text(self, option: str, default: object = _MISSING) -> object:
        """Text that may say `{secrets.…}` or `{data_path}`, rendered now; server.config shows its source."""
        return self._take(option, default, self._rendered, shown=self.raw(option))

    # how

    def _take(
        self,
        option: str,
        default: D,
        convert: Callable[[str], T],
        as_wire: Callable[[T | D], object] = lambda value: value,
        shown: str | None = None,
    ) -> T | D:
        option = option.lower()
        written = self.raw(option)
        value: T | D
        if written is None:
            if default is _MISSING:
                self.taken.setdefault(option, None)
                raise self.refuse(option, "is missing; it has no default")
            value = default
        else:
            try:
                value = convert(written.strip())
            except (ValueError, TemplateFailed) as error:
                self.taken.setdefault(option, written)
                raise self.refuse(option, str(error)) from error
        self.taken[option] = _plain(as_wire(value)) if shown is None and value is not None else shown
        return value

    def _template(self, text: str) -> Template:
        return Template(text, self._surroundings.secrets())

    def _rendered(self, text: str) -> str:
        template = Template(text, self._surroundings.secrets())
        with _at_most(RENDER_BUDGET):
            rendered = template.render(data_path=str(self._surroundings.data_path))
        if len(rendered) > LONGEST_TEXT:
            raise TemplateFailed(f"template failed: its text is longer than {LONGEST_TEXT} characters")
        return rendered

    def _path(self, text: str) -> Path:
        rendered = self._rendered(text)
        if not rendered:
            raise ValueError("is empty; a path is expected")
        try:
            return self._surroundings.data_path.joinpath(Path(rendered).expanduser()).resolve()
        except (OSError, RuntimeError) as error:
            raise ValueError(f"'{rendered}' is no path: {error}") from error


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """TemplateFailed after so long: a template that never ends would be a start that never ends, without a word."""
    if threading.current_thread() is not threading.main_thread():  # only that one can be interrupted
        yield
        return

    def give_up(*_: object) -> None:
        raise TemplateFailed(f"template failed: it was not done within {seconds:g} s")

    handler, timer = signal.signal(signal.SIGALRM, give_up), signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def _source(value: object) -> object:
    return value.source if isinstance(value, Template) else value


def _plain(value: object) -> object:
    """What JSON can carry; anything else as text, as Moonraker shows it."""
    if value is None or isinstance(value, (str, int, float, bool, list, dict)):
        return value
    return list(value) if isinstance(value, tuple) else str(value)
