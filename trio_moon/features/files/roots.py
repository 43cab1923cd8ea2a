"""The folders that clients may see, and the only ways to get from a place to the disk.

A path is resolved first (links and all) and must end inside its root or inside a folder that links may lead into;
then the resolved names are opened one by one, each relative to the one before and without following links. Whoever
swaps a folder for a link in between gets an error, not a way out.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from trio_moon.features.files.places import Place
from trio_moon.model.errors import BadParams, Conflict, Forbidden, MoonError, NoSpace, NotFound

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
CONFIG_SUFFIXES = (".cfg", ".conf")


class Root(Struct, frozen=True):
    """One folder under the name that clients know it by."""

    name: str
    path: Path
    writable: bool = False


class Roots:
    """The roots by name. Everything here may block: call it in a worker thread."""

    def __init__(
        self, roots: Iterable[Root], *, link_targets: Iterable[Path] = (), reserved: Iterable[Path] = ()
    ) -> None:
        """Links may lead into `link_targets` too; nobody may see what is in `reserved` (the database, secrets)."""
        self._roots = {root.name: root for root in roots}
        self._link_targets = tuple(link_targets)
        self._reserved = tuple(os.path.realpath(path) for path in reserved)
        self._present = list(self._roots)
        self.unwritable: list[str] = []
        """The roots that should be writable and at the last `look` were not."""

    def __iter__(self) -> Iterator[Root]:
        return iter(self._roots.values())

    def __contains__(self, name: str) -> bool:
        return name in self._roots

    def names(self) -> list[str]:
        """The roots that existed at the last `look`; asking for that doesn't block."""
        return self._present

    def look(self) -> list[str]:
        """See which roots exist. On a network share that is gone this takes for ever."""
        self._present = [root.name for root in self if os.path.isdir(root.path)]
        self.unwritable = [root.name for root in self if root.writable and not os.access(root.path, os.W_OK)]
        return self._present

    def get(self, name: str) -> Root:
        """The root of this name; NotFound if there is none."""
        root = self._roots.get(name)
        if root is None:
            raise NotFound(f"there is no root {name!r:.60}; known are {', '.join(self._roots)}")
        return root

    def check_writable(self, place: Place) -> None:
        """Raise unless `place` is something below a root that may be changed."""
        if not self.get(place.root).writable:
            raise Forbidden(f"the root '{place.root}' is read-only")
        if not place.parts:
            raise Forbidden(f"the root '{place.root}' itself can't be changed")

    def permissions(self, place: Place, *, real: str) -> str:
        """`rw`, `r` or "" for the file or folder at `real`."""
        if self.is_reserved(real) or not os.access(real, os.R_OK):
            return ""
        return "rw" if self.get(place.root).writable and os.access(real, os.W_OK) else "r"

    def resolve(self, place: Place) -> str:
        """The real path of a place (it need not exist). Forbidden when links lead out of the root."""
        real, _ = self._resolve(place)
        return real

    def resolve_file(self, place: Place) -> str:
        """The real path of a file that is only read.

        Installers put links to their `mainsail.cfg` or `timelapse.cfg` into the configuration: such a link may be
        read wherever it leads, as long as a configuration file is at its end.
        """
        try:
            return self.resolve(place)
        except Forbidden:
            real = self._linked_config(place)
            if real is None:
                raise
            return real

    def _linked_config(self, place: Place) -> str | None:
        if place.root != "config" or not place.name.endswith(CONFIG_SUFFIXES):
            return None
        real = os.path.realpath(os.path.join(self.resolve(place.parent), place.name))
        good = real.endswith(CONFIG_SUFFIXES) and os.path.isfile(real) and not self.is_reserved(real)
        return real if good else None

    def _resolve(self, place: Place) -> tuple[str, str]:
        base = os.path.realpath(self.get(place.root).path)
        real = os.path.realpath(os.path.join(base, *place.parts))
        for allowed in (base, *map(os.path.realpath, self._link_targets)):
            if is_within(real, allowed):
                if self.is_reserved(real):
                    raise Forbidden(f"'{place}' is not for clients")
                return real, allowed
        raise Forbidden(f"'{place}' leads out of the root '{place.root}'")

    def is_reserved(self, real: str) -> bool:
        """Whether nobody may see what is at this resolved path."""
        return any(is_within(real, path) for path in self._reserved)

    @contextmanager
    def open_folder(self, place: Place) -> Iterator[int]:
        """The folder at `place` as a file descriptor, to work relative to it."""
        with disk_errors(str(place)), _opened(*self._resolve(place)) as folder:
            yield folder

    @contextmanager
    def open_parent(self, place: Place, *, through_link: bool = False) -> Iterator[tuple[int, str]]:
        """The folder that holds `place`, and its name in there.

        With `through_link`, a link that stays inside leads on to where it points: so that writing to it keeps it.
        """
        with disk_errors(str(place)):
            real, base = self._resolve(place.parent)
            if through_link and os.path.islink(os.path.join(real, place.name)):
                target, base = self._resolve(place)
                real, name = os.path.split(target)
            else:
                name = place.name
            if any(is_within(reserved, os.path.join(real, name)) for reserved in self._reserved):
                raise Forbidden(f"'{place}' is, or holds, what is not for clients")
            with _opened(real, base) as folder:
                yield folder, name


@contextmanager
def _opened(real: str, base: str) -> Iterator[int]:
    here = os.open(base, OPEN_FOLDER)
    try:
        for part in real[len(base) :].split("/"):
            if part:
                below = os.open(part, OPEN_FOLDER, dir_fd=here)
                os.close(here)
                here = below
        yield here
    finally:
        os.close(here)


def is_within(real: str, base: str) -> bool:
    """Whether a resolved path is `base` or below it; a sibling with a longer name isn't."""
    return real == base or real.startswith(base.rstrip("/") + "/")


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn the operating system's errors into ours; `what` is the file or folder as the client named it."""
    try:
        yield
    except OSError as error:
        raise _translated(error, what) from error


_TRANSLATIONS: dict[int, tuple[type[MoonError], str]] = {
    errno.ENOENT: (NotFound, "'{}' does not exist"),
    errno.ENOTDIR: (NotFound, "'{}' is no folder"),
    errno.ENXIO: (NotFound, "'{}' is no file"),
    errno.EISDIR: (BadParams, "'{}' is a folder"),
    errno.ELOOP: (Forbidden, "'{}' is a link that may not be followed"),
    errno.EEXIST: (Conflict, "'{}' exists already"),
    errno.EXDEV: (Conflict, "'{}' would be on another disk than its root: only files can be put there, no folders"),
    errno.ENOTEMPTY: (Conflict, "the folder '{}' is not empty"),
    errno.EACCES: (Forbidden, "no permission for '{}'"),
    errno.EPERM: (Forbidden, "no permission for '{}'"),
    errno.EROFS: (Forbidden, "the disk of '{}' is read-only"),
    errno.ENOSPC: (NoSpace, "no space left on the disk of '{}'"),
    errno.EFBIG: (NoSpace, "the disk can't hold so big a file: '{}'"),
    errno.EDQUOT: (NoSpace, "the disk quota is used up: '{}'"),
    errno.ENAMETOOLONG: (BadParams, "the name is too long: '{:.80}'"),
    errno.EINVAL: (BadParams, "the disk can't hold a file of this name: '{}'"),
}


def _translated(error: OSError, what: str) -> MoonError:
    kind, sentence = _TRANSLATIONS.get(error.errno or 0, (MoonError, "'{}' failed: " + str(error.strerror)))
    return kind(sentence.format(what))
