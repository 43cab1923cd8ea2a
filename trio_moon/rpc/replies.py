"""What a handler may return besides a JSON-able value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field

from trio_moon.rpc.caller import Caller


class Reply(Struct, frozen=True):
    """A value with an HTTP status or headers of its own. JSON-RPC sends the value alone."""

    value: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Download(Struct, frozen=True):
    """A file on disk: HTTP sends it with ranges and validators. `filename` is what a browser would save it as."""

    path: Path
    filename: str
    content_type: str | None = None
    attachment: bool = True


class Incoming(Protocol):
    """Where one multipart upload goes. The front parses and calls, the room that offers the upload receives.

    `add_field`, `start_file`, `write`, `end_file` and `abandon` may block: the front calls them in a worker thread.
    Any of them may raise a MoonError, which ends the upload with that answer.
    """

    def add_field(self, name: str, value: str) -> None:
        """A form field that is no file, in the order of the body."""

    def start_file(self, name: str, filename: str) -> None:
        """The part `name` is a file called `filename` by the client (UTF-8, not yet checked)."""

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes of the file."""

    def end_file(self) -> None:
        """The file part has ended."""

    async def complete(self) -> object:
        """The whole body has arrived: validate, move into place, and answer (a value or a Reply)."""

    def abandon(self) -> None:
        """Remove everything; called once in every case that isn't a successful `complete`."""


Receive = Callable[[Caller, int | None], Incoming]
"""Opens an Incoming for one request: the caller and the body's announced length in bytes (None when chunked)."""
