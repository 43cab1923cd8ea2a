"""Everything that may go wrong, as one tree.

Messages are sentences for a printer owner; numbers live in `rpc/error_codes.py` alone.

    MoonError
    ├─ ConfigError            a file, section or option that can't be used
    ├─ RequestError           the caller asked for something that can't be done
    │  ├─ BadParams           wrong, missing or impossible arguments
    │  ├─ Unauthorized        we don't know who is calling
    │  ├─ Forbidden           we know, and it may not be done
    │  ├─ NotFound            no such file, spool, item …
    │  │  ├─ UnknownMethod    no such path or JSON-RPC method
    │  │  └─ NamesNothing     an argument names something that doesn't exist
    │  ├─ WrongVerb           the path is there, the verb isn't
    │  ├─ Conflict            not in this state (printing, busy)
    │  ├─ TooLarge            a body, message or file above its limit
    │  ├─ Unprocessable       well-formed, but contradicts itself (a wrong checksum)
    │  ├─ TooMany             too many requests, connections or subscriptions
    │  └─ NoSpace             the disk is full
    └─ PeerError              somebody we talk to
       ├─ KlippyAway          no connection to Klipper, or it isn't ready
       ├─ KlippyRefused       Klipper answered with an error
       ├─ SpoolmanAway        no answer from Spoolman
       ├─ SpoolmanRefused     Spoolman answered with an error; holds its status
       ├─ AgentRefused        an agent answered with an error; holds it
       └─ PeerTimeout         a peer took longer than its deadline
"""


class MoonError(Exception):
    """The root of our errors; the text is for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigError(MoonError):
    """A configuration file, section or option can't be used."""


class RequestError(MoonError):
    """The caller asked for something that can't be done."""


class BadParams(RequestError):
    """Wrong, missing or impossible arguments."""


class Unauthorized(RequestError):
    """We don't know who is calling. Mainsail tells its user only if the message is this one word."""

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class Forbidden(RequestError):
    """The caller is known, but this may not be done."""


class NotFound(RequestError):
    """What was asked for doesn't exist."""


class UnknownMethod(NotFound):
    """No such path or JSON-RPC method."""


class NamesNothing(NotFound):
    """An argument names something that doesn't exist. Frontends show this; other things not found they pass over."""


class WrongVerb(RequestError):
    """The path exists, but not with this HTTP verb."""

    def __init__(self, message: str, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class Conflict(RequestError):
    """It can't be done in the present state."""


class TooLarge(RequestError):
    """A body, message or file above its limit."""


class Unprocessable(RequestError):
    """Well-formed, but it contradicts itself."""


class TooMany(RequestError):
    """Too many requests, connections or subscriptions."""


class NoSpace(RequestError):
    """The disk is full."""


class PeerError(MoonError):
    """Somebody we talk to is away, refuses, or takes too long."""


class KlippyAway(PeerError):
    """There is no connection to Klipper, or it isn't ready."""


class KlippyRefused(PeerError):
    """Klipper answered with an error."""


class SpoolmanAway(PeerError):
    """Spoolman can't be reached."""


class SpoolmanRefused(PeerError):
    """Spoolman answered with an error."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AgentRefused(PeerError):
    """An agent answered with an error."""

    def __init__(self, message: str, data: object) -> None:
        super().__init__(message)
        self.data = data


class PeerTimeout(PeerError):
    """A peer took longer than its deadline."""
