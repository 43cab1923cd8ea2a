"""Who wants to hear of which objects: many wishes below, one subscription towards Klipper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from trio_moon.kit.status_box import StatusView
from trio_moon.model.errors import BadParams
from trio_moon.printer.mirror import pick
from trio_moon.rpc.caller import Session
from trio_moon.rpc.packet import notification

Wanted = dict[str, frozenset[str] | None]
"""Objects and their fields; None means every field."""

MAX_OBJECTS = 2000
MAX_FIELDS = 20_000
LONGEST_NAME = 200
"""A client's wish is kept as long as the client."""


def parse_wanted(objects: object) -> Wanted:
    """The `objects` argument of query and subscribe: `{"toolhead": null, "extruder": ["target"], "fan": "speed"}`."""
    if not isinstance(objects, Mapping):
        raise BadParams("argument 'objects' must be an object such as {\"toolhead\": null}")
    if len(objects) > MAX_OBJECTS:
        raise BadParams(f"argument 'objects' names more than {MAX_OBJECTS} objects")
    wanted: Wanted = {}
    for name, fields in objects.items():
        if isinstance(fields, str):  # a query string holds nothing else; in JSON Obico's agent sends it
            fields = [each for each in fields.split(",") if each] or None
        if fields is None:
            wanted[name] = None
        elif isinstance(fields, list) and all(isinstance(item, str) for item in fields):
            wanted[name] = frozenset(fields)
        else:
            raise BadParams(f"argument 'objects': {name:.80} must be null or a list of field names")
    _check_size(wanted)
    return wanted


def _check_size(wanted: Wanted) -> None:
    fields = [field for names in wanted.values() for field in names or ()]
    if len(fields) > MAX_FIELDS:
        raise BadParams(f"argument 'objects' names more than {MAX_FIELDS} fields")
    longest = max((*wanted, *fields), key=len, default="")
    if len(longest) > LONGEST_NAME:
        raise BadParams(f"argument 'objects': {longest:.40}… is longer than {LONGEST_NAME} letters")


def as_wire(wanted: Wanted) -> dict[str, list[str] | None]:
    """The form in which Klipper takes it."""
    return {name: None if fields is None else sorted(fields) for name, fields in wanted.items()}


def merge(wishes: Iterable[Wanted]) -> Wanted:
    """One wish that covers them all."""
    merged: Wanted = {}
    for wanted in wishes:
        for name, fields in wanted.items():
            if name in merged:
                known = merged[name]
                merged[name] = None if known is None or fields is None else known | fields
            else:
                merged[name] = fields
    return merged


class _Group(Struct, eq=False):
    key: object
    wanted: Wanted
    sessions: set[Session] = field(default_factory=set)


class Subscriptions:
    """The clients' wishes, grouped: sessions that want the same share one encoding of every update."""

    def __init__(self) -> None:
        self._groups: dict[object, _Group] = {}
        self._group_of: dict[Session, _Group] = {}

    def __len__(self) -> int:
        return len(self._group_of)

    def wishes(self) -> list[Wanted]:
        """The distinct wishes of all clients."""
        return [group.wanted for group in self._groups.values()]

    def set(self, session: Session, wanted: Wanted) -> None:
        """`session` wants this from now on, instead of what it wanted; {} unsubscribes."""
        self.drop(session)
        if not wanted:
            return
        key = frozenset(wanted.items())
        group = self._groups.setdefault(key, _Group(key, wanted))
        group.sessions.add(session)
        self._group_of[session] = group

    def drop(self, session: Session) -> None:
        """`session` is gone or wants nothing more."""
        group = self._group_of.pop(session, None)
        if group is None:
            return
        group.sessions.discard(session)
        if not group.sessions:
            del self._groups[group.key]

    def clear(self) -> None:
        """Nobody is subscribed: Klipper has gone, and its clients subscribe again when it is back."""
        self._groups.clear()
        self._group_of.clear()

    def distribute(self, changes: StatusView, eventtime: float) -> None:
        """Send an update to everybody whom it concerns: one encode for each distinct wish."""
        for group in tuple(self._groups.values()):
            news = pick(changes, group.wanted)
            if not news:
                continue
            packet = notification("notify_status_update", news, eventtime)
            for session in tuple(group.sessions):
                session.outbox.status(news, eventtime, packet)
