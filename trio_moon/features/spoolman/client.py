"""HTTP to Spoolman: the only file that knows its URLs and its errors.

A peer's failure is never an exception here but an answer: a report is Applied, Refused, or its outcome is Unknown.
"""

from __future__ import annotations

import ssl

from msgspec import Struct

from trio_moon.features.spoolman.exchange import CONNECT_TIMEOUT, Answer, HttpPeer, NeverSent, NoAnswer
from trio_moon.features.spoolman.settings import SpoolmanSettings
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.json_codec import NotJson, encode

READ_SPOOL_TIMEOUT = 10.0
USE_TIMEOUT = 20.0
PROXY_TIMEOUT = 30.0
MAX_ANSWER_BYTES = 1 * 2**20
MAX_PROXY_ANSWER_BYTES = 32 * 2**20
SPOOLMAN_REFUSES = (400, 404, 422)


class Away(Struct, frozen=True):
    """No use to talk to Spoolman now: it can't be reached, or somebody before it answers."""

    reason: str
    retry_after: float | None = None


class Missing(Struct, frozen=True):
    """Spoolman itself says that there is no such spool."""

    reason: str


class Applied(Struct, frozen=True):
    """Spoolman counted it, and shows the spool as it is now."""

    spool: Spool


class Refused(Struct, frozen=True):
    """Spoolman surely didn't count it. With `status` it says so itself, else the report never arrived."""

    reason: str
    status: int | None = None
    retry_after: float | None = None


class Unknown(Struct, frozen=True):
    """It was sent; whether Spoolman counted it must be read back. With `status` somebody before it refused it."""

    reason: str
    retry_after: float | None = None
    status: int | None = None


class SpoolmanClient:
    """Requests to one Spoolman."""

    def __init__(self, settings: SpoolmanSettings) -> None:
        self.peer = HttpPeer(settings.url, settings.headers, ssl_context(settings))

    async def read_spool(self, spool_id: int) -> Spool | Missing | Away:
        """The spool as Spoolman shows it now."""
        try:
            answer = await self._send("GET", f"/v1/spool/{spool_id}", deadline=READ_SPOOL_TIMEOUT)
        except (NeverSent, NoAnswer) as error:
            return Away(str(error))
        if answer.status == 404 and _is_spoolmans(answer):
            return Missing(answer.message)
        if answer.status != 200:
            return Away(_gateway_says(answer), answer.retry_after)
        spool = _spool_in(answer, spool_id)
        return Away("an answer came that isn't Spoolman's") if spool is None else spool

    async def is_healthy(self) -> bool:
        """Whether Spoolman answers at all."""
        try:
            answer = await self._send("GET", "/v1/health", deadline=CONNECT_TIMEOUT)
        except (NeverSent, NoAnswer):
            return False
        return answer.status == 200

    async def use(self, spool_id: int, used_mm: float) -> Applied | Refused | Unknown:
        """Report usage. Never sent twice by itself."""
        body = encode({"use_length": used_mm})
        try:
            answer = await self._send("PUT", f"/v1/spool/{spool_id}/use", body=body, deadline=USE_TIMEOUT)
        except NeverSent as error:
            return Refused(str(error))
        except NoAnswer as error:
            return Unknown(str(error))
        status = answer.status
        if 200 <= status < 300:
            spool = _spool_in(answer, spool_id)
            return Unknown("the answer isn't Spoolman's") if spool is None else Applied(spool)
        reason = _gateway_says(answer)
        if status < 300 or status >= 500 or status in (408, 425):
            return Unknown(reason, answer.retry_after)
        if status in SPOOLMAN_REFUSES and _is_spoolmans(answer):
            return Refused(reason, status, answer.retry_after)
        return Unknown(reason, answer.retry_after, status)  # a gateway may have passed it on before it said no

    async def request(self, method: str, path: str, query: str | None, body: bytes | None) -> Answer:
        """Any request below `/api`; raises NeverSent or NoAnswer."""
        return await self.peer.ask(
            method, f"/api{path}", query=query, body=body, deadline=PROXY_TIMEOUT, limit=MAX_PROXY_ANSWER_BYTES
        )

    async def _send(self, method: str, path: str, *, deadline: float, body: bytes | None = None) -> Answer:
        return await self.peer.ask(method, f"/api{path}", body=body, deadline=deadline, limit=MAX_ANSWER_BYTES)


def ssl_context(settings: SpoolmanSettings) -> ssl.SSLContext | None:
    """How Spoolman's certificate is checked; None for plain HTTP."""
    if not settings.url.startswith("https:"):
        return None
    return ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))


def _spool_in(answer: Answer, spool_id: int) -> Spool | None:
    try:
        spool = Spool.from_wire(answer.json())
    except NotJson:
        return None
    return spool if spool is not None and spool.id == spool_id else None


def _is_spoolmans(answer: Answer) -> bool:
    """Spoolman refuses with `{"message": …}`, and what it can't read with a list of details.

    A gateway sends a page, and a wrong sub-path `{"detail": "Not Found"}`.
    """
    try:
        value = answer.json()
    except NotJson:
        return False
    if not isinstance(value, dict):
        return False
    if answer.status == 422:
        return isinstance(value.get("detail"), list)
    return isinstance(value.get("message"), str) and "detail" not in value


def _gateway_says(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return f"HTTP {answer.status}: redirected, which is not followed"
    message = answer.message
    return message if message.startswith("HTTP") else f"HTTP {answer.status}: {message}"
