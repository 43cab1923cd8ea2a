"""What the calls of the emulation take."""

from __future__ import annotations

from dataclasses import dataclass, field

from trio_moon.model.errors import BadParams
from trio_moon.rpc.binding import Arguments


@dataclass(frozen=True)
class Commands:
    """`command` or `commands`: lines of G-code."""

    lines: tuple[str, ...]

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


@dataclass(frozen=True)
class JobCommand:
    """`command`: start, cancel, restart or pause; `action` of pause: pause, resume or toggle."""

    command: str
    action: str = "toggle"


@dataclass(frozen=True)
class Report:
    """`history`, with at most `limit` points; `exclude`: parts that aren't wanted, separated by commas."""

    history: bool = False
    limit: int | None = None
    exclude: str = ""


@dataclass(frozen=True)
class HeaterCommand:
    """`command` target (with `target` or `targets`), and for tools select, extrude, flowrate."""

    command: str
    target: float | None = None
    targets: dict[str, float] = field(default_factory=dict)
    tool: str = ""
    amount: float | None = None
    speed: float | None = None
    factor: float | None = None


@dataclass(frozen=True)
class HeadCommand:
    """`command` jog (`x`, `y`, `z`, `absolute`, `speed`), home (`axes`) or feedrate (`factor`)."""

    command: str
    x: float | None = None
    y: float | None = None
    z: float | None = None
    absolute: bool = False
    speed: float | None = None
    axes: list[str] = field(default_factory=list)
    factor: float | None = None


@dataclass(frozen=True)
class FileRequest:
    """`path` below `gcodes`, from the address; `recursive`: folders with all that is in them."""

    path: str = ""
    recursive: bool = False


@dataclass(frozen=True)
class FileCommand:
    """`command` select (`print`: and start), unselect, copy or move (`destination`: a folder or a new name)."""

    path: str
    command: str = ""
    print: bool = False
    destination: str = ""


@dataclass(frozen=True)
class NewFolder:
    """`foldername`, in the folder `path`."""

    foldername: str
    path: str = ""


@dataclass(frozen=True)
class Rest:
    """`rest`: what follows in the address."""

    rest: str


@dataclass(frozen=True)
class ConnectionCommand:
    """`command`: connect, disconnect or fake_ack."""

    command: str


@dataclass(frozen=True)
class KeyRequest:
    """`app`: who asks for a key."""

    app: str
