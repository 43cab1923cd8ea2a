"""Waiting for what is on its way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio


async def until(condition: Callable[[], object | Awaitable[object]], within: float = 30.0) -> None:
    """Wait until something is so; TooSlowError if it isn't in a time that is enough for a slow and busy machine."""
    with trio.fail_after(within):
        while True:
            value = condition()
            if isinstance(value, Awaitable):
                value = await value
            if value:
                return
            await trio.sleep(0.01)
