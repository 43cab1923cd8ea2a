"""What the calls of the emulation take."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from trio_moon.model.errors import BadParams
from trio_moon.rpc.binding import Arguments


class CommandsSent(msgspec.Struct, frozen=True):
    """`command` or `commands`: lines of G-code."""

    command: str | list[str] = ""
    commands: str | list[str] = ""


class Commands(msgspec.Struct, frozen=True):
    """The lines of G-code, one by one."""

    lines: tuple[str, ...]
    sent: ClassVar = CommandsSent

    @classmethod
    def from_arguments(cls, arguments: Arguments) -> Commands:
        """One string is one command, whatever the key; anything but strings is refused."""
        given = [arguments[key] for key in ("command", "commands") if key in arguments]
        lines: list[object] = []
        for value in given:
            lines += value if isinstance(value, list) else [value]
        plain = tuple(line for line in lines if isinstance(line, str) and line.strip())
        if not plain or len(plain) != len(lines):
            raise BadParams("'command' must be a line of G-code, or 'commands' a list of them")
        return cls(plain)


class JobCommand(msgspec.Struct, frozen=True):
    """`command`: start, cancel, restart or pause; `action` of pause: pause, resume or toggle."""

    command: str
    action: str = "toggle"


class Report(msgspec.Struct, frozen=True):
    """`history`, with at most `limit` points; `exclude`: parts that aren't wanted, separated by commas."""

    history: bool = False
    limit: int | None = None
    exclude: str = ""


class HeaterCommand(msgspec.Struct, frozen=True):
    """`command` target (with `target` or `targets`), and for tools select, extrude, flowrate."""

    command: str
    target: float | None = None
    targets: dict[str, float] = msgspec.field(default_factory=dict)
    tool: str = ""
    amount: float | None = None
    speed: float | None = None
    factor: float | None = None


class HeadCommand(msgspec.Struct, frozen=True):
    """`command` jog (`x`, `y`, `z`, `absolute`, `speed`), home (`axes`) or feedrate (`factor`)."""

    command: str
    x: float | None = None
    y: float | None = None
    z: float | None = None
    absolute: bool = False
    speed: float | None = None
    axes: list[str] = msgspec.field(default_factory=list)
    factor: float | None = None


class FileRequest(msgspec.Struct, frozen=True):
    """`path` below `gcodes`, from the address; `recursive`: folders with all that is in them."""

    path: str = ""
    recursive: bool = False


class FileCommand(msgspec.Struct, frozen=True):
    """`command` select (`print`: and start), unselect, copy or move (`destination`: a folder or a new name)."""

    path: str
    command: str = ""
    print: bool = False
    destination: str = ""


class NewFolder(msgspec.Struct, frozen=True):
    """`foldername`, in the folder `path`."""

    foldername: str
    path: str = ""


class UploadForm(msgspec.Struct, frozen=True):
    """`path`: the folder; `select` and `print` as words. Without a file, `foldername` makes a folder."""

    path: str = ""
    select: bool = False
    print: bool = False
    foldername: str | None = None


class Rest(msgspec.Struct, frozen=True):
    """`rest`: what follows in the address."""

    rest: str


class ConnectionCommand(msgspec.Struct, frozen=True):
    """`command`: connect, disconnect or fake_ack."""

    command: str


class KeyRequest(msgspec.Struct, frozen=True):
    """`app`: who asks for a key."""

    app: str
