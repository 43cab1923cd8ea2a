"""Reads a configuration and what it includes into one set of sections, and notes every fault on the way."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from trio_moon.config.problems import ConfigProblem, Problem
from trio_moon.config.syntax import Entry, Fault, Header, Include, Setting, parse_entries

LARGEST_FILE_BYTES = 1 << 20  # a G-code file that a glob caught by accident is not a configuration
DEEPEST_INCLUDE = 20


class Configured(Struct, frozen=True):
    """An option as it was written, and where."""

    value: str
    file: str
    line: int


class SectionText(Struct):
    """A section as it was written; a section of several files stands where it came first."""

    file: str
    line: int
    options: dict[str, Configured] = field(default_factory=dict)


class ConfigFile(Struct):
    """A file that was read and the sections that stand in it."""

    path: Path
    name: str  # relative to the main file's folder where it can be
    depth: int = 0  # includes between the main file and this one
    sections: list[str] = field(default_factory=list)


class Reader:
    """Collects sections, files and problems; only the main file may raise."""

    def __init__(self, main: Path) -> None:
        self._folder = main.parent
        self._seen: set[tuple[int, int]] = set()
        self.sections: dict[str, SectionText] = {}
        self.files: list[ConfigFile] = []
        self.problems: list[Problem] = []

    def read_main(self, path: Path) -> None:
        """Read the main file; ConfigError, with the whole path, when that cannot be done."""
        try:
            text = self._text_of(path)
        except ConfigProblem as error:
            raise ConfigProblem(replace(error.problem, file=str(path))) from error
        self._remember(path)
        self.read_text(text, path)

    def read_text(self, text: str, path: Path, depth: int = 0) -> None:
        """Take the entries of one file's text; later ones override earlier ones option by option."""
        _FileReading(self, ConfigFile(path, self._name_of(path), depth)).take_all(text)

    def include(self, pattern: str, here: ConfigFile, line: int) -> None:
        """Read the files of one `[include]`, in the order of their names."""
        section = f"include {pattern}".strip()
        paths, why = _matching(pattern, here.path.parent)
        if here.depth == DEEPEST_INCLUDE:
            paths, why = [], f"not followed: more than {DEEPEST_INCLUDE} files include each other in a row"
        if not paths:
            self.problems.append(Problem(why or "no such file", here.name, line, section))
        for path in paths:
            if not self._remember(path):
                message = f"'{self._name_of(path)}' is included twice or includes itself"
                self.problems.append(Problem(message, here.name, line, section))
                continue
            try:
                text = self._text_of(path)
            except ConfigProblem as error:
                self.problems.append(error.problem)
                continue
            self.read_text(text, path, here.depth + 1)

    def _text_of(self, path: Path) -> str:
        name = self._name_of(path)
        try:
            if path.exists() and not path.is_file():
                raise ConfigProblem(Problem("cannot be read: it is not a file", name))
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            why = (isinstance(error, OSError) and error.strerror) or str(error)
            raise ConfigProblem(Problem(f"cannot be read: {why}", name)) from error
        if len(content) > LARGEST_FILE_BYTES:
            raise ConfigProblem(Problem("is too large for a configuration file (more than 1 MiB)", name))
        if b"\0" in content:
            line = content.count(b"\n", 0, content.index(b"\0")) + 1
            self.problems.append(Problem("here are NUL characters: was it damaged, or saved as UTF-16?", name, line))
            content = content.replace(b"\0", "\ufffd".encode())  # no path and no address can have them
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            message = f"byte 0x{content[error.start]:02x} is not UTF-8; save the file with UTF-8 encoding"
            raise ConfigProblem(Problem(message, name, line)) from error

    def _remember(self, path: Path) -> bool:
        """True the first time a file is met, by whatever name."""
        try:
            status = path.stat()
        except OSError:
            return True  # reading it will say what is wrong
        identity = (status.st_dev, status.st_ino)
        new = identity not in self._seen
        self._seen.add(identity)
        return new

    def _name_of(self, path: Path) -> str:
        shown = path.relative_to(self._folder) if path.is_relative_to(self._folder) else path
        return os.fsencode(shown).decode(errors="backslashreplace")  # names on the disk needn't be text


class _FileReading:
    """One file being taken in: knows which section is open and what stood in this file before."""

    def __init__(self, reader: Reader, file: ConfigFile) -> None:
        self._reader = reader
        self._file = file
        self._section = ""
        self._why_closed = "no [section] stands above it"
        self._lines_here: dict[tuple[str, str], int] = {}

    def take_all(self, text: str) -> None:
        self._reader.files.append(self._file)
        for entry in parse_entries(text):
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        match entry:
            case Header():
                self._open(entry)
            case Setting():
                self._set(entry)
            case Include():
                self._close("it needs a [section] of its own after an [include]")
                self._reader.include(entry.pattern, self._file, entry.line)
            case Fault():
                if entry.closes_section:
                    self._close("the section header above it cannot be read")
                self._note(entry.line, entry.message, section="" if entry.closes_section else self._section)

    def _open(self, header: Header) -> None:
        self._section = header.name
        if header.name in self._file.sections:
            self._note(header.line, "section stands twice in this file; both are used", section=header.name)
        else:
            self._file.sections.append(header.name)
        self._reader.sections.setdefault(header.name, SectionText(self._file.name, header.line))

    def _close(self, why: str) -> None:
        self._section, self._why_closed = "", why

    def _set(self, setting: Setting) -> None:
        if not self._section:
            self._note(setting.line, f"ignored: {self._why_closed}", option=setting.option)
            return
        options = self._reader.sections[self._section].options
        key = (self._section, setting.option)
        if key in self._lines_here:
            message = f"stands twice in this file (also in line {self._lines_here[key]}); this one is used"
            self._note(setting.line, message, section=self._section, option=setting.option)
        self._lines_here[key] = setting.line
        options[setting.option] = Configured(setting.value, self._file.name, setting.line)

    def _note(self, line: int, message: str, *, section: str = "", option: str = "") -> None:
        self._reader.problems.append(Problem(message, self._file.name, line, section, option))


def _matching(pattern: str, folder: Path) -> tuple[list[Path], str]:
    """The files a pattern stands for, sorted, and why there are none if the pattern itself is to blame."""
    if not pattern:
        return [], "a file name or pattern is missing, like [include printers/*.conf]"
    try:
        wanted = Path(pattern).expanduser()
        if wanted.is_absolute():
            folder = Path(wanted.anchor)
            wanted = wanted.relative_to(folder)
        if not wanted.name:
            return [], "is a folder: the files in it are meant, like [include printers/*.conf]"
        return sorted(path for path in folder.glob(os.fspath(wanted)) if not path.is_dir()), ""
    except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
        return [], f"cannot be followed: {error}"
