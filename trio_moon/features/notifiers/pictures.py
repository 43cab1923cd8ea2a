"""Attachments: files and URLs, one a line, turned into bytes within a deadline, or into a reason why not."""

from __future__ import annotations

import mimetypes
import os
import re
import ssl
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import trio

from trio_moon.features.notifiers.news import Picture
from trio_moon.kit.threads import Workers

if TYPE_CHECKING:
    import httpx

DEADLINE = 5.0
LARGEST_BYTES = 10 << 20
MOST_REDIRECTS = 3
MOST_PICTURES = 8
EXTENSIONS = {"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp"}

SnapshotUrl = Callable[[str], str | None]
"""The address of a webcam's picture by the webcam's name."""


class NoPicture(Exception):
    """There is none; the text is the reason."""


class Pictures:
    """Fetches what an `attach` option asks for."""

    def __init__(self, home: Path, snapshot_url: SnapshotUrl) -> None:
        """Relative paths start at `home`."""
        self._home = home
        self._snapshot_url = snapshot_url
        self._workers = Workers("notifier files", threads=4)
        self._tls: ssl.SSLContext | None = None

    async def collect(self, attach: str) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
        """The pictures of a rendered `attach` option, in order, and the reasons for those that are missing."""
        wanted = [line.strip() for line in attach.splitlines() if line.strip()]
        found: list[Picture | None] = [None] * len(wanted)
        reasons: list[str] = [f"more than {MOST_PICTURES} attachments"] if len(wanted) > MOST_PICTURES else []

        async def fetch(place: int, address: str) -> None:
            try:
                found[place] = await self._fetch(address)
            except NoPicture as error:
                reasons.append(str(error))

        async with trio.open_nursery() as nursery:
            for place, address in enumerate(wanted[:MOST_PICTURES]):
                nursery.start_soon(fetch, place, address)
        return tuple(picture for picture in found if picture is not None), tuple(reasons)

    async def _fetch(self, address: str) -> Picture:
        if address.startswith("webcam:"):
            address = self._camera(address.removeprefix("webcam:").strip())
        with trio.move_on_after(DEADLINE):
            if re.match(r"https?://", address, re.IGNORECASE):
                return await self._download(address)
            return await self._workers.run_abandonable(read_file, self._home, address)
        raise NoPicture(f"nothing within {DEADLINE:g} s")

    def _camera(self, name: str) -> str:
        url = self._snapshot_url(name)
        if not url:
            raise NoPicture(f"there is no webcam '{name}' with a snapshot_url")
        return url

    async def _download(self, url: str) -> Picture:
        import httpx  # needed once in a while: it isn't loaded at the start

        if self._tls is None:
            self._tls = await self._workers.run_abandonable(ssl.create_default_context)
        try:
            async with (
                httpx.AsyncClient(
                    verify=self._tls,
                    timeout=DEADLINE,
                    trust_env=False,
                    follow_redirects=True,
                    max_redirects=MOST_REDIRECTS,
                ) as client,
                client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer,
            ):
                return await _read(answer)
        except httpx.TimeoutException:
            raise NoPicture(f"nothing within {DEADLINE:g} s") from None
        except httpx.TooManyRedirects:
            raise NoPicture(f"more than {MOST_REDIRECTS} redirects") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise NoPicture(str(error) or type(error).__name__) from None


async def _read(answer: httpx.Response) -> Picture:
    content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if answer.status_code != 200:
        raise NoPicture(f"HTTP {answer.status_code} {answer.reason_phrase}".strip())
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise NoPicture("it is compressed, which nobody asked for")
    if content_type.startswith("multipart/"):
        raise NoPicture("this is a video stream: use the camera's snapshot address")
    content = bytearray()
    with trio.CancelScope() as enough:  # not `break`: that would leave httpx's generators open
        async for part in answer.aiter_raw():  # unpacked, a small answer may be a huge one
            content += part
            if len(content) > LARGEST_BYTES:
                enough.cancel()
    if len(content) > LARGEST_BYTES:
        raise NoPicture(f"larger than {LARGEST_BYTES >> 20} MiB")
    if not content:
        raise NoPicture("it is empty")
    content_type = content_type or "application/octet-stream"
    return Picture(file_name(str(answer.url), content_type), content_type, bytes(content))


def file_name(url: str, content_type: str) -> str:
    """A name that the receiver can open: the URL's own if it fits the content, else `snapshot` with an extension."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    extension = EXTENSIONS.get(content_type) or mimetypes.guess_extension(content_type) or ""
    if name and mimetypes.guess_type(name)[0] == content_type and name.isprintable():
        return name[-100:]
    return f"snapshot{extension}"


def read_file(home: Path, address: str) -> Picture:
    """A regular file's content; NoPicture says why it can't be had. Blocks."""
    try:
        path = home / Path(address.removeprefix("file://")).expanduser()
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            content = _read_regular(handle)
        finally:
            os.close(handle)
    except NoPicture as error:
        raise NoPicture(f"{address:.100}: {error}") from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NoPicture(f"{address:.100}: {reason}") from None
    return Picture(path.name, mimetypes.guess_type(path.name)[0] or "application/octet-stream", content)


def _read_regular(handle: int) -> bytes:
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        raise NoPicture("a folder" if stat.S_ISDIR(mode) else "not a regular file")
    with open(handle, "rb", closefd=False) as file:
        content = file.read(LARGEST_BYTES + 1)
    if not content:
        raise NoPicture("it is empty")
    if len(content) > LARGEST_BYTES:
        raise NoPicture(f"larger than {LARGEST_BYTES >> 20} MiB")
    return content
