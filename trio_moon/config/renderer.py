"""Renders templates outside our process, with a budget of time and memory: one that never ends costs nobody else."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import trio

import trio_moon
from trio_moon.config.problems import TemplateFailed
from trio_moon.config.templates import Template

logger = logging.getLogger(__name__)

RENDER_BUDGET = 2.0
START_TIMEOUT = 20.0
"""Seconds that a new process may take until it is ready: a Pi's card can be slow."""
MOST_PROCESSES = 3
PATIENCE = 0.1
"""Seconds to wait for a busy process before another one is started beside it."""
IDLE_SECONDS = 60.0

_PACKAGE_HOME = str(Path(trio_moon.__file__).resolve().parent.parent)


class NoRenderer(TemplateFailed):
    """The template is not to blame: no process could be started, which may be otherwise in a while."""


class Renderer:
    """A few processes that start when they are needed and end when they aren't."""

    def __init__(self, budget: float = RENDER_BUDGET) -> None:
        self._budget = budget
        self._places = trio.CapacityLimiter(MOST_PROCESSES)
        self._idle: list[_Worker] = []
        self._returned = trio.Event()

    def vitals(self) -> Mapping[str, object]:
        return {"idle": len(self._idle), "busy": int(self._places.borrowed_tokens)}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """End processes that nobody needs any more; end all of them when cancelled."""
        task_status.started()
        try:
            while True:
                await trio.sleep(IDLE_SECONDS / 2)
                since = trio.current_time() - IDLE_SECONDS
                for worker in [worker for worker in self._idle if worker.used_at < since]:
                    self._idle.remove(worker)
                    await worker.end()
        finally:
            idle, self._idle = self._idle, []
            for worker in idle:
                await worker.end()

    async def render(self, template: Template, context: Mapping[str, object]) -> str:
        """The template's text for this context. TemplateFailed if it raises, or isn't done within its budget."""
        if _needs_no_process(template.source):
            return template.render(**context)
        request = pickle.dumps((template, dict(context)))
        if self._places.borrowed_tokens and not self._idle:
            with trio.move_on_after(PATIENCE):
                await self._returned.wait()
        async with self._places:
            worker = await self._living_worker()
            try:
                answer = await worker.ask(request, self._budget)
            except BaseException:
                await worker.end()
                raise
            self._give_back(worker)
        if "text" not in answer:
            raise TemplateFailed(answer["failed"])
        return answer["text"]

    async def _living_worker(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            await worker.end()
        return await _Worker.start()

    def _give_back(self, worker: _Worker) -> None:
        self._idle.append(worker)
        self._returned.set()
        self._returned = trio.Event()


def _needs_no_process(source: str) -> bool:
    if "{" not in source:
        return True
    from trio_moon.config.straight import is_straight  # Jinja2 only for those who write templates

    return is_straight(source)


class _Worker:
    def __init__(self, process: trio.Process, inward: trio.abc.SendStream, outward: trio.abc.ReceiveStream) -> None:
        self._process = process
        self._inward = inward
        self._outward = outward
        self.used_at = 0.0

    @classmethod
    async def start(cls) -> _Worker:
        try:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-P", "-m", "trio_moon.config.render_worker"],  # nothing from where we were started
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": _PACKAGE_HOME},
            )
        except OSError as error:
            raise NoRenderer(f"no process for templates: {error.strerror}") from error
        assert process.stdin is not None
        assert process.stdout is not None
        worker = cls(process, process.stdin, process.stdout)
        try:
            with trio.fail_after(START_TIMEOUT):
                await worker._receive()
        except trio.TooSlowError:
            await worker.end()
            raise NoRenderer(f"the process for templates was not ready within {START_TIMEOUT:g} s") from None
        except BaseException:
            await worker.end()
            raise
        return worker

    @property
    def alive(self) -> bool:
        """Whether nobody has killed it meanwhile."""
        return self._process.poll() is None

    async def ask(self, request: bytes, budget: float) -> dict[str, str]:
        """Its answer; TemplateFailed if it dies or overruns, and then it is of no further use."""
        try:
            with trio.fail_after(budget):
                await self._inward.send_all(len(request).to_bytes(4) + request)
                answer = await self._receive()
        except trio.TooSlowError:
            raise TemplateFailed(f"template failed: it was not done within {budget:g} s") from None
        except trio.BrokenResourceError:
            raise TemplateFailed("template failed: its process died") from None
        self.used_at = trio.current_time()
        return answer

    async def end(self) -> None:
        """Kill it; it has nothing to lose."""
        with trio.CancelScope(shield=True):  # a killed process ends at once
            self._process.kill()
            await self._process.wait()
            await self._inward.aclose()
            await self._outward.aclose()

    async def _receive(self) -> dict[str, str]:
        size = int.from_bytes(await self._exactly(4))
        return msgspec.json.decode(await self._exactly(size), type=dict[str, str])

    async def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = await self._outward.receive_some(size - len(data))
            if not part:
                raise TemplateFailed("template failed: its process died")
            data += part
        return bytes(data)
