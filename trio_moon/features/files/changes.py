"""Changes on disk, each in one step: others see the state before or the state after, never something in between."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import trio
from msgspec import Struct

from trio_moon.features.files import listing
from trio_moon.features.files.places import PICTURES, Place
from trio_moon.features.files.roots import Roots, disk_errors
from trio_moon.features.files.staging import Staging, check_free
from trio_moon.model.errors import BadParams, Conflict, NoSpace, NotFound

CHUNK = 1 << 20
SPARE_BYTES = 4 << 20
"""What we leave free on a disk: Klipper's log and the database live there too."""


class Prepared(Struct, frozen=True):
    """A copy or an archive that waits in staging for its place."""

    path: Path
    place: Place
    is_folder: bool = False


class Changes:
    """The ways to change the roots. Everything here blocks: call it in a worker thread."""

    def __init__(self, roots: Roots, staging: Staging) -> None:
        self._roots = roots
        self._staging = staging

    def make_folder(self, place: Place) -> None:
        """Create one folder; its parent must be there."""
        self._roots.check_writable(place)
        with self._roots.open_parent(place) as (folder, name), disk_errors(str(place)):
            os.mkdir(name, dir_fd=folder)

    def make_folders(self, place: Place) -> Place | None:
        """Create a folder with its parents; the topmost one that is new, None if there was nothing to do."""
        topmost = None
        for depth in range(1, len(place.parts) + 1):
            part = Place(place.root, place.parts[:depth])
            try:
                self.make_folder(part)
                topmost = topmost or part
            except Conflict:
                if not listing.find(self._roots, part).is_folder:
                    raise BadParams(f"'{part}' is a file, no folder") from None
        return topmost

    def delete_file(self, place: Place) -> None:
        """Remove one file, or a link itself."""
        self._roots.check_writable(place)
        with self._roots.open_parent(place) as (folder, name), disk_errors(str(place)):
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise BadParams(f"'{place}' is a folder")
            os.unlink(name, dir_fd=folder)

    def delete_folder(self, place: Place, *, force: bool) -> None:
        """Remove a folder: an empty one, or with `force` all that is in it at one moment."""
        self._roots.check_writable(place)
        with self._roots.open_parent(place) as (folder, name), disk_errors(str(place)):
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode) and listing.find(self._roots, place).is_folder:
                os.unlink(name, dir_fd=folder)
                return
            if not stat.S_ISDIR(mode):
                raise NotFound(f"'{place}' is no folder")
            if not force and not self._holds_only_pictures(place):
                os.rmdir(name, dir_fd=folder)
                return
            aside = self._staging.enter(place.root)
            try:
                try:
                    os.rename(name, aside, src_dir_fd=folder)
                except OSError:  # on another disk, where a link led us
                    shutil.rmtree(name, dir_fd=folder)
            finally:
                self._staging.leave(place.root, aside)

    def _holds_only_pictures(self, place: Place) -> bool:
        """Whether a folder looks empty to everybody who looks for files."""
        with self._roots.open_folder(place) as folder:
            return os.listdir(folder) == [PICTURES]

    def goal(self, source: Place, dest: Place) -> Place:
        """Where a move or copy ends: an existing folder as destination means "into it"."""
        if not source.parts:
            raise BadParams(f"the root '{source.root}' itself can't be moved or copied")
        try:
            into = listing.find(self._roots, dest).is_folder and source != dest
        except NotFound:
            into = False
        final = dest / source.name if into else dest
        self._roots.check_writable(final)
        if final.root == source.root and final.parts[: len(source.parts)] == source.parts and final != source:
            raise BadParams(f"'{source}' can't be put into itself")
        return final

    def goal_of_move(self, source: Place, dest: Place) -> Place:
        """Where a move ends. Only what is named is replaced, nothing that the folder it goes into happens to hold."""
        final = self.goal(source, dest)
        if final == dest:
            return final
        try:
            listing.find(self._roots, final)
        except NotFound:
            return final
        raise BadParams(f"'{final}' exists already")

    def move(self, source: Place, dest: Place) -> bool:
        """Rename on the same disk; whether it was possible (False: the disks differ, copy and delete instead)."""
        self._roots.check_writable(source)
        self._roots.check_writable(dest)
        with (
            self._roots.open_parent(source) as (folder, name),
            self._roots.open_parent(dest) as (new_folder, new_name),
            disk_errors(str(source)),
        ):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if source == dest:
                return True
            if found.st_dev != os.stat(new_folder).st_dev:
                return False
            check_free(new_folder, new_name, dest, for_folder=stat.S_ISDIR(found.st_mode))
            try:
                os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                return False  # the same disk, but mounted twice
        return True

    def prepare_copy(self, source: Place, dest: Place) -> Prepared:
        """Copy a file or folder to where it waits for its place; links are copied as links."""
        found = listing.find(self._roots, source)
        if source == dest or not (found.is_file or found.is_folder):
            raise BadParams(f"'{source}' can't be copied" + (" onto itself" if source == dest else ""))
        path = self._staging.enter(dest.root)
        try:
            with disk_errors(str(dest)):
                if found.is_folder:
                    self.check_space(dest, sum(f.status.st_size for f in listing.walk(self._roots, source)))
                    _copy_folder(source, found.real, path, self._not_for_copies)
                else:
                    self.check_space(dest, found.status.st_size)
                    copy_file(found.real, str(path))
        except BaseException:
            self._staging.leave(dest.root, path)
            raise
        return Prepared(path, dest, found.is_folder)

    def _not_for_copies(self, folder: str, names: list[str]) -> list[str]:
        """Not our staging either: through a link to a root, its copy would be a part of what is copied."""
        reserved = self._roots.is_reserved
        return [name for name in names if listing.is_hidden(name) or reserved(os.path.join(folder, name))]

    def prepare_zip(self, items: list[Place], dest: Place, *, compress: bool) -> Prepared:
        """Pack files and whole folders into an archive that waits for its place."""
        import zipfile  # seldom needed

        self._roots.check_writable(dest)
        path = self._staging.enter(dest.root)
        method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        try:
            with disk_errors(str(dest)), zipfile.ZipFile(path, "x", method, strict_timestamps=False) as archive:
                for found in {found.real: found for found in self._files_of(items)}.values():
                    self.check_space(dest, 0 if compress else found.status.st_size)
                    with suppress(FileNotFoundError), open(found.real, "rb") as file:  # it may just have gone
                        member = zipfile.ZipInfo.from_file(found.real, str(found.place), strict_timestamps=False)
                        member.compress_type = method
                        with archive.open(member, "w") as packed:
                            _pour(file, packed)
        except BaseException:
            self._staging.leave(dest.root, path)
            raise
        return Prepared(path, dest)

    def _files_of(self, items: list[Place]) -> Iterator[listing.Found]:
        for place in items:
            found = listing.find(self._roots, place)
            if found.is_folder:
                yield from (below for below in listing.walk(self._roots, place) if below.is_file)
            elif found.is_file:
                yield found

    def publish(self, prepared: Prepared) -> bool:
        """Put a prepared copy or archive to its place; whether it replaced a file."""
        return self._staging.publish(prepared.path, prepared.place, is_folder=prepared.is_folder)

    def discard(self, prepared: Prepared) -> None:
        """Give back what `prepare_…` took, after publishing it or instead."""
        self._staging.leave(prepared.place.root, prepared.path)

    def check_space(self, place: Place, size_bytes: int) -> None:
        """NoSpace unless a file of this size fits on the disk of a root."""
        free = listing.disk_usage(self._roots, Place(place.root))["free"]
        if size_bytes + SPARE_BYTES > free:
            raise NoSpace(f"'{place}' needs {size_bytes} bytes, the disk has {max(0, free - SPARE_BYTES)} to spare")


def _copy_folder(place: Place, source: str, target: Path, ignore: Callable[[str, list[str]], list[str]]) -> None:
    """Copy the files, folders and links in a folder; the first file that can't be copied ends it."""

    def copy(file: str, to: str) -> None:
        with disk_errors(str(place)), suppress(FileNotFoundError):
            if stat.S_ISREG(os.lstat(file).st_mode):
                copy_file(file, to)

    try:
        shutil.copytree(source, target, symlinks=True, ignore=ignore, copy_function=copy)
    except shutil.Error as error:
        raise Conflict(f"'{place}' can't be copied whole: {error.args[0][0][-1]}") from error


def copy_file(source: str, target: str) -> None:
    """Copy a file with its mode and times. Ends at once when nobody waits for it any more."""
    with open(source, "rb") as file, open(target, "xb") as copy:
        _pour(file, copy)
    with suppress(OSError):  # some file systems know no modes
        shutil.copystat(source, target)


def _pour(source: IO[bytes], target: IO[bytes]) -> None:
    while data := source.read(CHUNK):
        trio.from_thread.check_cancelled()
        target.write(data)


def archive_name() -> Place:
    """Where an archive goes when the client doesn't say."""
    return Place("config", (f"collection-{time.strftime('%Y%m%d-%H%M%S')}.zip",))
