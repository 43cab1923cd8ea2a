"""The grammar of `moonraker.conf`: text in, headers and options out; pure, and it never raises.

The rules are those users' files were written for. A comment starts with `#` or `;` at the start of a line or
after a blank (`\\#` after a blank is a plain `#`). A line indented deeper than its option continues it;
blank lines and comments inside a value are left out. Option names don't care about capitals.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct, field

from trio_moon.config.problems import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE_END = re.compile(r"\r\n|\r|\n")
_INLINE_COMMENT = re.compile(r"(?<! ) +[#;]")  # one look at each run of blanks
_ESCAPED_COMMENT = re.compile(r" \\([#;])")
_HEADER = re.compile(r"\[([^]]+)\](.*)")
_DELIMITER = re.compile(r"[:=]")

SHOWN = 40
"""Characters at most that are quoted of a line."""


class Header(Struct, frozen=True):
    """`[name]`; every option that follows belongs to it."""

    line: int
    name: str


class Include(Struct, frozen=True):
    """`[include pattern]`; no section is open after it."""

    line: int
    pattern: str


class Setting(Struct, frozen=True):
    """An option and its value; the lines of a longer value are joined by newlines."""

    line: int
    option: str
    value: str


class Fault(Struct, frozen=True):
    """A line that means nothing, or not what it seems to."""

    line: int
    message: str
    closes_section: bool = False  # what follows must not land in the section before it


Entry = Header | Include | Setting | Fault


class _OpenSetting(Struct):
    line: int
    option: str
    lines: list[str] = field(default_factory=list)

    def finished(self) -> Setting:
        return Setting(self.line, self.option, "\n".join(self.lines).rstrip())


def parse_entries(text: str) -> Iterator[Entry]:
    """Every header, include, setting and fault of a text, in its order."""
    setting: _OpenSetting | None = None
    indent = -1  # of the option whose value may continue; -1 straight after a header
    for number, raw in enumerate(_LINE_END.split(text.removeprefix("\ufeff")), start=1):
        if not raw.strip() or raw.lstrip()[0] in "#;":
            continue
        line = _without_comment(raw.expandtabs(4))
        content = line.strip()
        line_indent = len(line) - len(line.lstrip())
        if indent != -1 and line_indent > indent:
            if setting is not None:
                setting.lines.append(content)
            continue
        if setting is not None:
            yield setting.finished()
            setting = None
        if content.startswith("["):
            indent = -1
            yield from _parse_header(number, content)
            continue
        indent = line_indent
        option, delimiter, value = _split_setting(content)
        if delimiter and option:
            setting = _OpenSetting(number, option, [value])
        else:
            yield Fault(number, f"'{shortened(content, SHOWN)}' is neither a [section] nor 'option: value'")
    if setting is not None:
        yield setting.finished()


def _without_comment(line: str) -> str:
    comment = _INLINE_COMMENT.search(line)
    return _ESCAPED_COMMENT.sub(r" \1", line[: comment.start()] if comment else line)


def _parse_header(number: int, content: str) -> Iterator[Entry]:
    header = _HEADER.match(content)
    name = header[1].strip() if header else ""
    if header is None or not name:
        yield Fault(number, f"'{shortened(content, SHOWN)}' is not a section header like [name]", closes_section=True)
        return
    first, _, rest = name.partition(" ")
    if first == "include":
        yield Include(number, rest.strip())
    else:
        yield Header(number, name)
    if header[2].strip():
        yield Fault(number, f"'{shortened(header[2].strip(), SHOWN)}' after [{name}] is ignored")


def _split_setting(content: str) -> tuple[str, str, str]:
    delimiter = _DELIMITER.search(content)
    if delimiter is None:
        return content, "", ""
    return content[: delimiter.start()].strip().lower(), delimiter[0], content[delimiter.end() :].strip()
