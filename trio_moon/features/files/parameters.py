"""What the calls of the files room take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WholeRoot:
    """`root`: the name of a root."""

    root: str = "gcodes"


@dataclass(frozen=True)
class FolderRequest:
    """`path`: a folder with its root; `extended`: with the metadata of G-code files."""

    path: str = "gcodes"
    extended: bool = False


@dataclass(frozen=True)
class SomePath:
    """`path`: a file or folder with its root."""

    path: str


@dataclass(frozen=True)
class FolderDeletion:
    """`path`: a folder with its root; `force`: even if it isn't empty."""

    path: str
    force: bool = False


@dataclass(frozen=True)
class Transfer:
    """`source` and `dest`: paths with their roots."""

    source: str
    dest: str


@dataclass(frozen=True)
class Archive:
    """`items`: files and folders with their roots; `dest`: the archive to write; `store_only`: don't compress."""

    items: list[str]
    dest: str | None = None
    store_only: bool = False


@dataclass(frozen=True)
class GcodeFile:
    """`filename`: a G-code file, relative to the root `gcodes`."""

    filename: str
