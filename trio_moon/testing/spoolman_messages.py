"""What goes in and out of MockSpoolman: one Request, one Answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote

API_ROOT = "/api/v1"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it arrived; `method` is "WS" for a websocket handshake."""

    method: str
    path: str
    """Below /api/v1, percent-decoded, without the query: `/spool/1/use`. Elsewhere: the whole path."""
    target: str
    """The request target as it stood on the wire."""
    headers: Mapping[str, str]
    """Names in lower case; the last of several wins."""
    body: bytes = b""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; the last of several wins."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def json(self) -> object:
        """The body's JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer, before it becomes bytes."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_json(cls, value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> "Answer":
        """An answer with this value as its JSON body; what JSON can't say becomes null."""
        return cls(status=status, body=compact_json(value), headers=headers)


def compact_json(value: object) -> bytes:
    """JSON without blanks; NaN and infinity become null, as Spoolman's single answers have them."""
    try:
        return _dumps(value)
    except ValueError:
        return _dumps(_finite(value))


def _dumps(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def split_target(target: str, base_path: str) -> tuple[str, bool]:
    """The decoded path of a target, and whether it lies in the API: then it is told below /api/v1."""
    path = unquote(target.partition("?")[0])
    root = base_path + API_ROOT
    if path.startswith(root + "/"):
        return path[len(root) :], True
    return path, False
