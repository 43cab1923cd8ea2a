"""Where files wait until they are whole: a hidden folder in the root, so on the same disk as their place.

Several services may share a root. Whoever has files in the folder holds a lock on it; it is cleared and taken away
only by who holds it alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from trio_moon.features.files.places import STAGING, Place
from trio_moon.features.files.roots import OPEN_FOLDER, Roots, disk_errors
from trio_moon.model.errors import BadParams, Forbidden

ATTEMPTS = 20
BREATH = 0.02
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """Gives out paths that nobody else has, and takes their folder away when nobody needs it any more."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._locks = {root.name: threading.Lock() for root in roots}
        self._users: dict[str, int] = {}
        self._held: dict[str, int] = {}
        """The folders that we have files in, as open descriptors with a shared lock."""

    def clean(self, root: str) -> None:
        """Remove what a killed program left behind; what we or another service use now stays."""
        with self._locks[root]:
            if not self._roots.get(root).writable or self._users.get(root):
                return
            with contextlib.suppress(OSError):
                folder = os.open(self._folder(root), OPEN_FOLDER)
                try:
                    if _lock_alone(folder):
                        shutil.rmtree(self._folder(root), ignore_errors=True)
                finally:
                    os.close(folder)

    def enter(self, root: str) -> Path:
        """A new path in a root's staging folder; every one must be given back with `leave`."""
        with self._locks[root], disk_errors(root):
            folder = self._folder(root)
            if folder.is_symlink():
                raise Forbidden(f"{STAGING} in '{root}' is a link")
            if not self._users.get(root):
                self._held[root] = _make_and_hold(folder)
            self._users[root] = self._users.get(root, 0) + 1
        return folder / os.urandom(8).hex()

    def leave(self, root: str, path: Path) -> None:
        """Remove whatever is still at `path`, and the folder after its last user; what can't be waits for `clean`."""
        if path.is_dir() and not path.is_symlink():
            for _ in range(ATTEMPTS):
                shutil.rmtree(path, ignore_errors=True)
                if not path.exists():
                    break
                time.sleep(BREATH)  # somebody is still writing into it: the pictures of a file that was in there
        else:
            with contextlib.suppress(OSError):
                path.unlink()
        with self._locks[root]:
            self._users[root] -= 1
            if self._users[root]:
                return
            held = self._held.pop(root)
            with contextlib.suppress(OSError):
                if _lock_alone(held):
                    self._folder(root).rmdir()
            os.close(held)

    def _folder(self, root: str) -> Path:
        return Path(os.path.realpath(self._roots.get(root).path)) / STAGING

    def publish(self, path: Path, place: Place, *, is_folder: bool = False) -> bool:
        """Move what was prepared at `path` to `place` in one step; whether a file was replaced there.

        What is at `place` keeps its content until the new one is there whole.
        """
        with self._roots.open_parent(place, through_link=not is_folder) as (folder, name):
            replaced = check_free(folder, name, place, for_folder=is_folder)
            if replaced:
                os.chmod(path, stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode))
            try:
                os.rename(path, name, dst_dir_fd=folder)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _move_across(path, folder, name)
            with contextlib.suppress(OSError):  # some file systems can't, and the file itself is on the disk
                os.fsync(folder)
        return replaced


def _make_and_hold(folder: Path) -> int:
    """The folder, there and locked, so that no other service takes it away."""
    for _ in range(ATTEMPTS):
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            held = os.open(folder, OPEN_FOLDER)
            with contextlib.suppress(OSError):  # some network shares have no locks; nobody clears it there
                fcntl.flock(held, fcntl.LOCK_SH)
            if _is_still(held, folder):
                return held
            os.close(held)
    raise OSError(errno.EBUSY, "others take the folder away again and again")


def _is_still(held: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(held), os.stat(folder))
    except FileNotFoundError:
        return False


def _lock_alone(folder: int) -> bool:
    """Whether no other service uses a folder; while it is locked so, none can begin to."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def check_free(folder: int, name: str, place: Place, *, for_folder: bool) -> bool:
    """Whether a file is in the way (it may be replaced by a file); BadParams if it can't be replaced."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    is_folder = stat.S_ISDIR(found.st_mode)
    if is_folder or for_folder:
        raise BadParams(f"'{place}' exists already and is a {'folder' if is_folder else 'file'}")
    return True


def _move_across(path: Path, folder: int, name: str) -> None:
    """Move to a folder on another file system (a stick that a link leads to): copy beside, then rename."""
    if path.is_dir():
        raise OSError(errno.EXDEV, "the folder would have to be copied to another disk")
    with path.open("rb") as source, replacing(folder, name) as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    path.unlink()


@contextlib.contextmanager
def replacing(folder: int, name: str) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `name` when the block is left, and leaves nothing when that fails."""
    beside = f".{os.urandom(8).hex()}{STAGING}"
    try:
        with open(os.open(beside, NEW_FILE, 0o644, dir_fd=folder), "wb") as file:
            yield file
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=folder)
        raise
