"""What the calls of the files room take."""

from __future__ import annotations

import msgspec


class WholeRoot(msgspec.Struct, frozen=True):
    """`root`: the name of a root."""

    root: str = "gcodes"


class FolderRequest(msgspec.Struct, frozen=True):
    """`path`: a folder with its root; `extended`: with the metadata of G-code files."""

    path: str = "gcodes"
    extended: bool = False


class SomePath(msgspec.Struct, frozen=True):
    """`path`: a file or folder with its root."""

    path: str


class FolderDeletion(msgspec.Struct, frozen=True):
    """`path`: a folder with its root; `force`: even if it isn't empty."""

    path: str
    force: bool = False


class Transfer(msgspec.Struct, frozen=True):
    """`source` and `dest`: paths with their roots."""

    source: str
    dest: str


class Archive(msgspec.Struct, frozen=True):
    """`items`: files and folders with their roots, as a list or with commas between them.

    `dest`: the archive to write; `store_only`: don't compress.
    """

    items: list[str] | str
    dest: str | None = None
    store_only: bool = False

    def listed(self) -> list[str]:
        """The items one by one."""
        if not isinstance(self.items, str):
            return self.items
        return [item for item in map(str.strip, self.items.split(",")) if item]


class GcodeFile(msgspec.Struct, frozen=True):
    """`filename`: a G-code file, relative to the root `gcodes`."""

    filename: str


class UploadForm(msgspec.Struct, frozen=True):
    """`root` and `path`: the folder for the file; `checksum`: its SHA-256 in hexadecimal; `print`: and print it."""

    root: str = "gcodes"
    path: str = ""
    checksum: str | None = None
    print: bool = False
