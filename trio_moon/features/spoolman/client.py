"""HTTP to Spoolman: the only file that knows its URLs and its errors.

A peer's failure is never an exception here but an answer: a report is Applied, Refused, or its outcome is Unknown.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import trio

from trio_moon.features.spoolman.settings import SpoolmanSettings
from trio_moon.features.spoolman.spool import Spool
from trio_moon.kit.json_codec import NotJson, decode, encode

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT = 5.0
READ_SPOOL_TIMEOUT = 10.0
USE_TIMEOUT = 20.0
PROXY_TIMEOUT = 30.0
KEEP_ALIVE = 3.0
"""Spoolman closes idle connections after 5 s; one that is used at that moment makes an outcome unknown."""
logging.getLogger("httpx").setLevel(logging.WARNING)  # it has a line for each request

MAX_ANSWER_BYTES = 1 * 2**20
MAX_PROXY_ANSWER_BYTES = 32 * 2**20
MAX_CONNECTIONS = 10
LONGEST_RETRY_AFTER = 300.0
SPOOLMAN_REFUSES = (400, 404, 422)


@dataclass(frozen=True)
class Away:
    """No use to talk to Spoolman now: it can't be reached, or somebody before it answers."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True)
class Missing:
    """Spoolman itself says that there is no such spool."""

    reason: str


@dataclass(frozen=True)
class Applied:
    """Spoolman counted it, and shows the spool as it is now."""

    spool: Spool


@dataclass(frozen=True)
class Refused:
    """Spoolman surely didn't count it. With `status` it says so itself, else the report never arrived."""

    reason: str
    status: int | None = None
    retry_after: float | None = None


@dataclass(frozen=True)
class Unknown:
    """It was sent; whether Spoolman counted it must be read back. With `status` somebody before it refused it."""

    reason: str
    retry_after: float | None = None
    status: int | None = None


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> object:
        """The decoded body; NotJson if it is none."""
        return decode(self.body)

    @property
    def message(self) -> str:
        """Spoolman's own words for what went wrong, or HTTP's."""
        try:
            value = self.json()
        except NotJson:
            value = None
        text = value.get("message") or value.get("detail") if isinstance(value, dict) else None
        return text if isinstance(text, str) else f"HTTP {self.status}"

    @property
    def retry_after(self) -> float | None:
        """Seconds that we are asked to wait."""
        text = self.headers.get("retry-after", "").strip()
        try:
            seconds = float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


class NeverSent(Exception):
    """The request didn't leave: there was no connection."""


class NoAnswer(Exception):
    """The request left, and no whole answer came."""


class SpoolmanClient:
    """Requests to one Spoolman. `open` around everything else."""

    def __init__(self, settings: SpoolmanSettings) -> None:
        self._settings = settings
        self._http: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Requests can be made inside the block."""
        import httpx  # 23 ms and 2 MB that a printer without Spoolman saves

        settings = self._settings
        self._http = httpx.AsyncClient(
            headers=dict(settings.headers),
            verify=ssl_context(settings) or False,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),  # each request has its own deadline as a whole
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEP_ALIVE),
        )
        try:
            yield
        finally:
            http, self._http = self._http, None
            with trio.move_on_after(0.2, shield=True):
                await http.aclose()

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
        return await self._send(
            method, path, query=query, body=body, deadline=PROXY_TIMEOUT, limit=MAX_PROXY_ANSWER_BYTES
        )

    async def _send(
        self,
        method: str,
        path: str,
        *,
        deadline: float,
        query: str | None = None,
        body: bytes | None = None,
        limit: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        import httpx

        if self._http is None:
            raise NeverSent("trio_moon is starting or stopping")
        url = f"{self._settings.url}/api{path}" + (f"?{query}" if query else "")
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = self._http.build_request(method, url, content=body, headers=headers)
        try:
            with trio.fail_after(deadline):
                return await self._exchange(request, limit)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NeverSent(f"Spoolman can't be reached: {_reason(error)}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswer(f"no answer from Spoolman: {_reason(error)}") from error
        except trio.TooSlowError:
            raise NoAnswer(f"no answer from Spoolman within {deadline:g} s") from None

    async def _exchange(self, request: httpx.Request, limit: int) -> Answer:
        assert self._http is not None
        response = await self._http.send(request, stream=True)
        try:
            body = bytearray()
            with trio.CancelScope() as reading:  # ended from within: httpx's generators are then closed in order
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > limit:
                        reading.cancel()
            if len(body) > limit:
                raise NoAnswer(f"Spoolman's answer is longer than {limit // 2**20} MiB")
            return Answer(response.status_code, dict(response.headers), bytes(body))
        finally:
            with trio.CancelScope(shield=True):  # returns the connection; closing a socket doesn't wait
                await response.aclose()


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


def _reason(error: Exception) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    text = getattr(cause, "strerror", None) or str(cause) or str(error)
    return text or type(error).__name__
