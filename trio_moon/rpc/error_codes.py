"""The only place where our errors become numbers."""

from __future__ import annotations

from trio_moon.model import errors

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
UNKNOWN_METHOD = -32601
INVALID_PARAMS = -32602

_HTTP: tuple[tuple[type[errors.MoonError], int], ...] = (
    (errors.BadParams, 400),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.NamesNothing, 400),
    (errors.NotFound, 404),
    (errors.WrongVerb, 405),
    (errors.Conflict, 409),
    (errors.TooLarge, 413),
    (errors.Unprocessable, 422),
    (errors.TooMany, 429),
    (errors.NoSpace, 507),
    (errors.KlippyAway, 503),
    (errors.KlippyRefused, 400),
    (errors.SpoolmanAway, 503),
    (errors.AgentRefused, 424),
    (errors.PeerTimeout, 504),
)


def http_status(error: errors.MoonError) -> int:
    """The HTTP status of an error; SpoolmanRefused keeps Spoolman's own."""
    if isinstance(error, errors.SpoolmanRefused):
        return error.status
    for kind, status in _HTTP:
        if isinstance(error, kind):
            return status
    return 500


def meanings() -> dict[int, str]:
    """What each HTTP status of an error says."""
    said: dict[int, list[str]] = {}
    for kind, status in (*_HTTP, (errors.MoonError, INTERNAL_ERROR)):
        text = INTERNAL_MESSAGE if status == INTERNAL_ERROR else (kind.__doc__ or "").partition(". ")[0]
        said.setdefault(status, []).append(text.rstrip("."))
    return {status: "; ".join(texts) for status, texts in sorted(said.items())}


def rpc_code(error: errors.MoonError) -> int:
    """The JSON-RPC code: Moonraker's habit is the HTTP status, but -32601 for 404 and -32602 for 401."""
    status = http_status(error)
    return {404: UNKNOWN_METHOD, 401: INVALID_PARAMS}.get(status, status)


INTERNAL_ERROR = 500
INTERNAL_MESSAGE = "Internal server error: see the log for details"
"""What a caller is told of a bug of ours; the traceback goes to the log alone."""
