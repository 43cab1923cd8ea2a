"""A web server on loopback that plays a notification service or a camera, well-behaved or not."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import trio

from tests.ports import hold_port

JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"
DRIP = 1.0


@dataclass(frozen=True)
class Post:
    """One message as a `json://` or ntfy-style service receives it, with the moment of its arrival."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query))

    @property
    def message(self) -> dict[str, Any]:
        message = json.loads(self.body)
        assert isinstance(message, dict)
        return message

    @property
    def pictures(self) -> list[tuple[str, bytes]]:
        return [(item["filename"], base64.b64decode(item["base64"])) for item in self.message["attachments"]]


@dataclass
class Target:
    """Behaves as `mood` says: good, refuse, hang, drip. A GET has the answer of its path in `pages`."""

    mood: str = "good"
    posts: list[Post] = field(default_factory=list)
    pages: dict[str, bytes] = field(default_factory=dict)
    port: int = 0
    connections: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def bodies(self) -> list[str]:
        return [post.message["message"] for post in self.posts]

    def page(
        self, path: str, content: bytes, content_type: str = "image/jpeg", status: str = "200 OK", **more: str
    ) -> str:
        """Answer GET of `path` with this; returns its URL. Further headers by keyword."""
        headers = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        self.pages[path] = (
            f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{headers}Connection: close\r\n\r\n"
        ).encode() + content
        return f"http://{self.address}{path}"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen on the loopback; on the same port again if it was run before."""
        self.port = self.port or hold_port()
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trio.serve_tcp, self._serve, self.port, host="127.0.0.1"))
            task_status.started()

    async def wait_for(self, count: int, seconds: float = 20) -> None:
        """Until so many messages have come."""
        with trio.move_on_after(seconds):
            while len(self.posts) < count:
                await trio.sleep(0.01)
        assert len(self.posts) >= count, self.posts

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            async with stream:
                await self._answer(stream)
        except trio.BrokenResourceError:
            pass

    async def _answer(self, stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += (part := await stream.receive_some())
            if not part:
                return
        head, _, body = data.partition(b"\r\n\r\n")
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += await stream.receive_some()
        verb, path, _ = request.split()
        if self.mood == "hang":
            await trio.sleep_forever()
        elif self.mood == "drip":
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + b"." * 999:
                await stream.send_all(bytes([byte]))
                await trio.sleep(DRIP)
        elif verb == "GET":
            missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            await stream.send_all(self.pages.get(path, missing))
        elif self.mood == "refuse":
            await stream.send_all(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            self.posts.append(Post(trio.current_time(), path, headers, body))
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
