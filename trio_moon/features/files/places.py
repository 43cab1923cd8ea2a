"""From what a client wrote to a place inside a root, as text alone: what this module lets through can't climb out."""

from __future__ import annotations

from msgspec import Struct

from trio_moon.model.errors import BadParams

PICTURES = ".thumbs"
"""The folder beside G-code files for the pictures in them."""
LONGEST_NAME = 255
"""Bytes of UTF-8 in one name, the limit of every file system that we meet."""
LONGEST_PATH = 2048
"""Bytes of UTF-8 in a whole path below its root."""
DEEPEST = 64
"""Names in one path."""
STAGING = ".trio_moon_tmp"
"""The hidden folder in a root where files wait until they are whole; clients see and name nothing that ends so."""


class Place(Struct, frozen=True, order=True):
    """A file or folder by its root's name and the names below it; no parts is the root itself."""

    root: str
    parts: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Relative to the root, with slashes; "" for the root itself."""
        return "/".join(self.parts)

    @property
    def name(self) -> str:
        """The last name; the root's for the root itself."""
        return self.parts[-1] if self.parts else self.root

    @property
    def parent(self) -> Place:
        """The folder that it is in; of a root the root itself."""
        return Place(self.root, self.parts[:-1])

    @property
    def is_picture(self) -> bool:
        """Whether it is where the picture of a G-code file lies."""
        return self.root == "gcodes" and self.parent.name == PICTURES and self.name.endswith((".png", ".jpg"))

    def __truediv__(self, name: str) -> Place:
        return Place(self.root, (*self.parts, name))

    def __str__(self) -> str:
        return "/".join((self.root, *self.parts))


def parse_place(path: str) -> Place:
    """`gcodes/sub/part.gcode`: a path that begins with its root. BadParams for whatever isn't plain."""
    root, *parts = parse_parts(path) or ("",)
    if not root:
        raise BadParams("a path that begins with a root is expected, such as gcodes/part.gcode")
    return Place(root, tuple(parts))


def place_in(root: str, path: str) -> Place:
    """`sub/part.gcode` in the root of this name."""
    return Place(root, parse_parts(path))


def parse_parts(path: str) -> tuple[str, ...]:
    """The names of a relative path; slashes at the ends, doubled ones and `.` mean nothing.

    Names are kept as they are, whatever their script, spaces, quotes or percent signs. BadParams for `..`,
    control characters, what isn't UTF-8, and what is too long.
    """
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    for part in parts:
        check_name(part)
    if len(parts) > DEEPEST:
        raise BadParams(f"the path is too deep: at most {DEEPEST} folders are possible")
    if sum(len(part.encode()) + 1 for part in parts) > LONGEST_PATH:
        raise BadParams(f"the path is too long: at most {LONGEST_PATH} bytes are possible")
    return parts


def check_name(name: str) -> None:
    """BadParams unless `name` can be the name of a file or folder."""
    if name in ("", ".", ".."):
        raise BadParams(f"{name!r} can't be part of a path")
    if name.endswith(STAGING) or "/" in name:
        raise BadParams(f"{name!r:.80} can't be the name of a file")
    if any(ord(char) < 32 or ord(char) == 127 for char in name):
        raise BadParams(f"{name!r:.80} can't be the name of a file: it holds control characters")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise BadParams(f"{name!r:.80} can't be the name of a file: it is not valid Unicode") from None
    if length > LONGEST_NAME:
        raise BadParams(f"the name {name!r:.60} is too long: at most {LONGEST_NAME} bytes are possible")
