"""The whole configuration: a main file with its includes, as sections that rooms take their settings from."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from trio_moon.config.moonraker_names import MOONRAKER_OPTIONS, MOVED_FROM_SERVER
from trio_moon.config.problems import ConfigProblem, Problem, suggestion
from trio_moon.config.reader import ConfigFile, Reader, SectionText
from trio_moon.config.secrets import Secrets, load_secrets
from trio_moon.config.section import Section, Surroundings
from trio_moon.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

SECRETS_FILE = "moonraker.secrets"  # in the data path, found without any [secrets] section


class Document:
    """Sections by name, problems found so far, and what `server.config` answers."""

    def __init__(self, reader: Reader, path: Path, data_path: Path | None = None) -> None:
        self.path = path
        self.data_path = data_path or _data_path_of(path)
        self.files: list[ConfigFile] = reader.files
        self.problems: list[Problem] = reader.problems
        self._surroundings = Surroundings(self.data_path, lambda: self.secrets)
        self._sections = {name: Section(name, text, self._surroundings) for name, text in reader.sections.items()}
        self._taken: dict[str, Section] = {}  # in the order rooms asked for them
        self._asked: set[str] = set()  # names and kinds that mean something to a room, present or not
        if self.has("secrets"):
            _ = self.secrets  # an unusable secrets file is told even when no template needs it

    @classmethod
    def load(cls, path: Path, data_path: Path | None = None) -> Document:
        """Read a file and its includes; ConfigError only when the main file cannot be read."""
        path = path.expanduser().absolute()
        reader = Reader(path)
        reader.read_main(path)
        return cls(reader, path, data_path)

    @classmethod
    def parse(cls, text: str, path: Path = Path("moonraker.conf"), data_path: Path | None = None) -> Document:
        """Read a text as if it stood in `path`; never raises for what the text says."""
        reader = Reader(path)
        reader.read_text(text, path)
        return cls(reader, path, data_path)

    # sections

    def has(self, name: str) -> bool:
        """Whether a section stands in the configuration; asking does not make it known."""
        return name in self._sections

    def section(self, name: str) -> Section | None:
        """The section with exactly this name, now known to be used."""
        self._asked.add(name)
        section = self._sections.get(name)
        if section is not None:
            self._taken.setdefault(name, section)
        return section

    def section_or_empty(self, name: str) -> Section:
        """The section, or one without options whose getters give their defaults."""
        section = self.section(name) or self._taken.get(name)
        if section is None:
            nowhere = SectionText(self._name, 0)
            section = self._taken[name] = Section(name, nowhere, self._surroundings, present=False)
        return section

    def sections(self, kind: str) -> list[Section]:
        """All sections `[kind]` and `[kind title]`, in the configuration's order, now known to be used."""
        self._asked.add(kind)
        found = [section for section in self._sections.values() if section.kind == kind]
        for section in found:
            self._taken.setdefault(section.name, section)
        return found

    # the rule of the house: a broken feature section is a problem, not an end

    @contextmanager
    def guard(self, name: str) -> Iterator[None]:
        """Turns a ConfigError inside the `with` into a recorded problem of this section, and goes on behind it."""
        try:
            yield
        except ConfigError as error:
            section = self._sections.get(name)
            if section is not None:
                section.broken = True
            if isinstance(error, ConfigProblem):
                self.problems.append(error.problem)
            elif section is not None:
                self.problems.append(section.problem("", str(error)))
            else:
                self.problems.append(Problem(str(error), self._name, section=name))

    def usable(self, section: Section, getter: Callable[[], T], default: T) -> T:
        """What `getter` reads of a section; `default` if the option can't be used (then a problem says so)."""
        broken = section.broken
        try:
            return getter()
        except ConfigProblem as error:
            section.broken = broken  # its other options are asked for all the same
            problem = error.problem
            self.problems.append(replace(problem, message=f"{problem.message}; the default is used"))
            return default

    def settings_or_none(self, name: str, builder: Callable[[Section], T]) -> T | None:
        """What `builder` makes of a section; None if it is absent or broken (then a problem says so)."""
        section = self.section(name)
        if section is not None:
            with self.guard(name):
                return builder(section)
        return None

    def settings_of_kind(self, kind: str, builder: Callable[[Section], T]) -> list[T]:
        """What `builder` makes of every unbroken section of a kind, in the configuration's order."""
        settings = []
        for section in self.sections(kind):
            with self.guard(section.name):
                settings.append(builder(section))
        return settings

    # secrets

    @cached_property
    def secrets_path(self) -> Path | None:
        """The file with the secrets, as configured; None if there is none."""
        section = self.section("secrets")
        configured = section.text("secrets_path", None) if section else None
        path = self.data_path / SECRETS_FILE
        if os.path.isfile(path):
            return path
        return self.data_path / os.path.expanduser(configured) if configured else None

    @cached_property
    def secrets(self) -> Secrets:
        """The secrets file's content, read when first needed; empty, with a problem noted, if unusable."""
        section = self.section("secrets")
        try:
            return load_secrets(self.secrets_path) if self.secrets_path is not None else Secrets({})
        except ConfigError as error:
            message = str(error)
            place = section.problem("secrets_path", message) if section else Problem(message, self._name)
            self.problems.append(place)
            return Secrets({})

    # what is left over

    def unused(self) -> list[Problem]:
        """Sections and options nobody asked for, as warnings; ask after every room has taken its settings."""
        leftover: list[Problem] = []
        for name, section in self._sections.items():
            if name not in self._taken:
                leftover.append(section.problem("", self._about_section(section), "warning"))
            elif not section.broken:
                leftover.extend(
                    section.problem(option, _about_option(section, option), "warning")
                    for option in section.options()
                    if option not in section.taken
                )
        return leftover

    def _about_section(self, section: Section) -> str:
        if section.kind in MOONRAKER_OPTIONS:
            return "not used by trio_moon yet; its settings have no effect"
        known = self._asked | set(MOONRAKER_OPTIONS)
        return f"unknown section{suggestion(section.kind, known)}"

    # the wire

    def as_wire(self) -> dict[str, object]:
        """`server.config`: `config` has the values in use, `orig` what was written, `files` where."""
        return {
            "config": {name: dict(section.taken) for name, section in self._taken.items()},
            "orig": {"DEFAULT": {}} | {name: section.options() for name, section in self._sections.items()},
            "files": [{"filename": file.name, "sections": list(file.sections)} for file in self.files],
        }

    @property
    def _name(self) -> str:
        return self.path.name


def _about_option(section: Section, option: str) -> str:
    here = MOONRAKER_OPTIONS.get(section.kind, frozenset())
    if option in here:
        return "not used by trio_moon yet; it has no effect"
    home = MOVED_FROM_SERVER.get(option) if section.name == "server" else None
    if home is not None:
        return f"belongs in section [{home}]; it has no effect here"
    return f"unknown option{suggestion(option, here | section.taken.keys())}"


def _data_path_of(path: Path) -> Path:
    """The data path of Moonraker's layout: the folder above `config/`."""
    folder = path.absolute().parent
    return folder.parent if folder.name == "config" else folder
