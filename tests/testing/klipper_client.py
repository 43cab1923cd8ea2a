"""A small client of Klipper's API for tests, over any stream; it knows nothing of our own Klipper code."""

import json
from collections import deque
from typing import Any

import trio

PATIENCE = 20  # seconds; machines are slow and noisy


class KlipperClient:
    """Sends requests and keeps everything else that arrives, in order."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._partial = b""
        self._frames: deque[dict[str, Any]] = deque()
        self._next_id = 0
        self.news: list[dict[str, Any]] = []

    async def read(self) -> dict[str, Any]:
        """The next frame; trio.EndOfChannel when the connection has ended."""
        while not self._frames:
            try:
                data = await self._stream.receive_some(65536)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                raise trio.EndOfChannel
            *frames, self._partial = (self._partial + data).split(b"\x03")
            self._frames.extend(json.loads(frame) for frame in frames)
        return self._frames.popleft()

    async def send(self, method: str, params: object = None) -> int:
        """Send a request and give its id."""
        self._next_id += 1
        message = {"id": self._next_id, "method": method, "params": {} if params is None else params}
        await self._stream.send_all(json.dumps(message).encode() + b"\x03")
        return self._next_id

    async def request(self, method: str, params: object = None) -> dict[str, Any]:
        """Send a request and give the whole answer; what arrives before goes to `news`."""
        with trio.fail_after(PATIENCE):
            number = await self.send(method, params)
            while (frame := await self.read()).get("id") != number:
                self.news.append(frame)
            return frame

    async def result(self, method: str, params: object = None) -> Any:
        """The result; an error fails the test."""
        answer = await self.request(method, params)
        assert "result" in answer, answer
        return answer["result"]

    async def error(self, method: str, params: object = None) -> str:
        """The error's message; a success fails the test."""
        answer = await self.request(method, params)
        assert answer["error"]["error"] == "WebRequestError", answer
        return str(answer["error"]["message"])

    async def script(self, script: str) -> dict[str, Any]:
        """Run G-code and give the whole answer."""
        return await self.request("gcode/script", {"script": script})

    async def until_end(self) -> list[dict[str, Any]]:
        """Everything that still arrives until the other side closes."""
        rest: list[dict[str, Any]] = []
        with trio.fail_after(PATIENCE):
            try:
                while True:
                    rest.append(await self.read())
            except trio.EndOfChannel:
                return rest

    async def collect(self, seconds: float) -> list[dict[str, Any]]:
        """What arrives within some seconds."""
        found: list[dict[str, Any]] = []
        with trio.move_on_after(seconds):
            while True:
                found.append(await self.read())
        return found

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()
