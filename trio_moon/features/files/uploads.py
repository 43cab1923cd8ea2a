"""Uploads: streamed to a file of their own in staging, checked, and put to their place in one step."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from trio_moon.features.files.index import Change
from trio_moon.features.files.library import Library
from trio_moon.features.files.listing import is_gcode
from trio_moon.features.files.metadata.pictures import Picture, keep_pictures, whole_picture
from trio_moon.features.files.parameters import UploadForm
from trio_moon.features.files.places import Place, parse_parts
from trio_moon.features.files.roots import disk_errors
from trio_moon.features.files.staging import NEW_FILE
from trio_moon.features.files.starter import Outcome, Starter
from trio_moon.model.errors import BadParams, TooLarge, Unprocessable
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.replies import Reply

if TYPE_CHECKING:
    from hashlib import _Hash

FIELDS = UploadForm.__struct_fields__
TRUE_WORDS = ("true", "1", "yes", "on")
LONGEST_FIELD = 8192

Prepare = Callable[[Place], Awaitable[object]]


class UploadDesk:
    """Opens uploads."""

    def __init__(self, library: Library, starter: Starter, *, largest: int, prepare: Prepare | None = None) -> None:
        """`prepare` is awaited before a file is printed: it may rewrite it."""
        self.library = library
        self.starter = starter
        self.prepare = prepare
        self.largest = largest
        self._open: set[Upload] = set()

    def receive(self, caller: Caller, announced: int | None) -> Upload:
        """One request to `/server/files/upload`."""
        upload = Upload(self, announced, caller.user)
        self._open.add(upload)
        return upload

    def still_to_come(self) -> int:
        """How many bytes the uploads under way have announced and not yet written."""
        return sum(upload.still_to_come for upload in tuple(self._open))

    def ended(self, upload: Upload) -> None:
        """An upload is in its place, or nothing is left of it."""
        self._open.discard(upload)


def _answer(place: Place, told: dict[str, object], outcome: Outcome) -> Reply:
    """The bare object that slicers and frontends expect."""
    value = {**told, "action": "create_file"}
    if is_gcode(place):
        value |= {"print_started": outcome.started, "print_queued": outcome.queued}
    return Reply(value, 201, {"Location": f"/server/files/{quote(str(place))}"})


class Upload:
    """One upload: an Incoming. Whatever ends it early, nothing of it is left."""

    def __init__(self, desk: UploadDesk, announced: int | None, user: str | None) -> None:
        self._desk = desk
        self._user = user
        self._announced = announced
        self._fields: dict[str, str] = {}
        self._name: tuple[str, ...] | None = None
        self._staged: list[tuple[str, Path]] = []
        self._file = -1
        self._size = 0
        self._hash: _Hash | None = None
        self._picture: Picture | None = None

    @property
    def still_to_come(self) -> int:
        """Bytes that were announced and aren't written yet; 0 before the file has begun."""
        return max(0, (self._announced or 0) - self._size) if self._name else 0

    def add_field(self, name: str, value: str) -> None:
        if len(value) > LONGEST_FIELD:
            raise TooLarge(f"the field '{name:.40}' is too long")
        if name in FIELDS:
            self._fields[name] = value

    def start_file(self, name: str, filename: str) -> None:
        if self._name is not None:
            raise BadParams("one upload holds one file")
        self._name = parse_parts(filename)
        if not self._name:
            raise BadParams("the uploaded file has no name")
        root = self._root()
        if self._announced is not None:
            if self._announced > self._desk.largest:
                raise TooLarge(f"the largest file that may be uploaded has {self._desk.largest} bytes")
            self._desk.library.changes.check_space(Place(root, self._name), self._desk.still_to_come())
        with disk_errors("/".join(self._name)):
            self._file = os.open(self._stage(root), NEW_FILE, 0o644)
        if "checksum" in self._fields:
            self._hash = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        self._size += len(data)
        if self._size > self._desk.largest:
            raise TooLarge(f"the largest file that may be uploaded has {self._desk.largest} bytes")
        if self._hash is not None:
            self._hash.update(data)
        rest = memoryview(data)
        with disk_errors("/".join(self._name or ())):
            while rest:
                rest = rest[os.write(self._file, rest) :]

    def end_file(self) -> None:
        with disk_errors("/".join(self._name or ())):
            try:
                os.fsync(self._file)
            finally:
                self._close()

    async def complete(self) -> object:
        library = self._desk.library
        if self._name is None or self._file != -1:
            raise BadParams("the upload holds no whole file")
        path, place = await library.on_disk(self._check)
        async with library.changing(place):
            new_folder = await library.on_disk(library.changes.make_folders, Place(place.root, self._folders()))
            if new_folder is not None:
                await library.tell(Change("create_dir", new_folder))
            await library.on_disk(library.staging.publish, path, place)
            if self._picture is not None:
                await library.on_disk(keep_pictures, library.roots, place, [self._picture])
            told = await library.tell(Change("create_file", place))
        await library.on_disk(self.abandon)
        outcome = Outcome()
        if is_gcode(place) and self._says("print"):
            if self._desk.prepare is not None:
                await self._desk.prepare(place)
            outcome = await self._desk.starter.start(place.path, self._user)
        return _answer(place, told, outcome)

    def abandon(self) -> None:
        self._desk.ended(self)
        self._close()
        while self._staged:
            root, path = self._staged.pop()
            self._desk.library.staging.leave(root, path)

    def _check(self) -> tuple[Path, Place]:
        """The file to put in place, and the place. Blocks."""
        assert self._name is not None
        path = self._staged[0][1]
        self._check_sum(path)
        place = Place(self._root(), (*self._folders(), *self._name))
        self._desk.library.roots.check_writable(place)
        if place.root == "gcodes" and place.name.lower().endswith(".ufp"):
            model = self._stage("gcodes")
            with disk_errors(str(place)):
                from trio_moon.features.files.ufp import unpack_ufp  # seldom needed, and so is zipfile

                picture = unpack_ufp(path, model, largest=self._desk.largest)
            if picture is not None:
                with contextlib.suppress(ValueError):
                    self._picture = whole_picture(picture)
            return model, place.parent / (place.name[: -len("ufp")] + "gcode")
        return path, place

    def _check_sum(self, path: Path) -> None:
        wanted = self._fields.get("checksum", "").strip().lower()
        if not wanted:
            return
        if self._hash is None:  # told after the file: read it once more
            with path.open("rb") as file:
                self._hash = hashlib.file_digest(file, "sha256")
        found = self._hash.hexdigest()
        if wanted != found:
            raise Unprocessable(f"the checksum is wrong: {wanted:.80} was announced, {found} arrived")

    def _folders(self) -> tuple[str, ...]:
        """The folders that may be created: what the field `path` says, not what the file's name holds."""
        return parse_parts(self._fields.get("path", ""))

    def _root(self) -> str:
        root = self._fields.get("root", "gcodes").strip().lower() or "gcodes"
        roots = self._desk.library.roots
        if root not in roots or not roots.get(root).writable:
            raise BadParams(f"nothing can be uploaded to the root '{root:.60}'")
        return root

    def _says(self, field: str) -> bool:
        return self._fields.get(field, "").strip().lower() in TRUE_WORDS

    def _stage(self, root: str) -> Path:
        path = self._desk.library.staging.enter(root)
        self._staged.append((root, path))
        return path

    def _close(self) -> None:
        if self._file != -1:
            file, self._file = self._file, -1
            os.close(file)
