"""One row of the table of methods: a path, its verbs, the type of its parameters."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from msgspec import Struct

from trio_moon.kit.pending import Pending
from trio_moon.rpc.binding import Arguments, binder
from trio_moon.rpc.caller import Caller, Transport
from trio_moon.rpc.replies import Receive

Handler = Callable[[Any, Caller], object | Awaitable[object]]
"""Takes the parameters and the caller. An `async def` may wait; a plain function answers at once, promises by a
`Pending`, or returns a function that does the rest and may wait: for what seldom needs that."""

VERBS = ("GET", "POST", "DELETE")


class Endpoint(Struct, frozen=True):
    """A path of the API with a handler for each verb.

    The method's name follows from the path: one verb gives `server.spoolman.status`, several (of one row or of rows
    for the same path) `server.spoolman.get_spool_id` and `server.spoolman.post_spool_id`; `rpc_names` overrides it by
    verb.
    A path may end in `{name...}`: the rest of the path then arrives as the argument `name`, and there is no
    method name unless `rpc_names` gives one. A path may be "" for methods that only JSON-RPC has.
    """

    path: str
    params: type[Any]
    GET: Handler | None = None
    POST: Handler | None = None
    DELETE: Handler | None = None
    CALL: Handler | None = None
    """For methods without a path (`path=""`), named by `rpc_names["CALL"]`."""
    rpc_names: dict[str, str] | None = None
    transports: Transport = Transport.ALL
    wrapped: bool = True
    """Whether HTTP answers `{"result": value}`; the OctoPrint chapter doesn't."""
    open_to_all: bool = False
    """Whether a caller who isn't authorised may call."""
    acts_by_get: bool = False
    """Whether GET changes something, as old clients want it: then it takes credentials, which no foreign page has."""
    upload: Receive | None = None
    """For POST: a multipart body is streamed here instead of becoming arguments."""
    form: type[Any] | None = None
    """The fields that an upload may have beside its file, for the API's document."""


def session_call(name: str, params: type[Any], handler: Handler, *, open_to_all: bool = False) -> Endpoint:
    """A method without a path: it is about the connection over which it comes, so that must be one that lasts."""
    names = {"CALL": name}
    return Endpoint("", params, CALL=handler, rpc_names=names, transports=Transport.SESSION, open_to_all=open_to_all)


class Method(Struct, frozen=True):
    """One verb of one endpoint, ready to be called."""

    endpoint: Endpoint
    verb: str
    name: str
    """The JSON-RPC name; "" when HTTP alone has it."""
    handler: Handler
    waits: bool
    """Whether the handler is an `async def`."""
    bind: Callable[[Arguments], Any]
    transports: tuple[Transport, ...]
    """Each by itself: to look into a tuple takes a fifth of what looking into a Flag does."""

    async def __call__(self, arguments: Arguments, caller: Caller) -> object:
        """Bind and call. Raises MoonError for whatever the caller should be told."""
        value = self.handler(self.bind(arguments), caller)
        if callable(value):
            value = value()
        elif not (self.waits or isinstance(value, Pending)):
            return value
        return await value  # type: ignore[misc]


def methods_of(endpoints: Iterable[Endpoint]) -> list[Method]:
    """The methods that the endpoints of a room declare."""
    declared = [(endpoint, _handlers(endpoint)) for endpoint in endpoints]
    verbs = Counter(endpoint.path for endpoint, handlers in declared for verb in handlers)
    return [
        method
        for endpoint, handlers in declared
        for method in _methods(endpoint, handlers, several=verbs[endpoint.path] > 1)
    ]


def _handlers(endpoint: Endpoint) -> dict[str, Handler]:
    handlers = {verb: handler for verb in (*VERBS, "CALL") if (handler := getattr(endpoint, verb)) is not None}
    if endpoint.upload is not None:
        handlers.setdefault("POST", upload_only)
    return handlers


def _methods(endpoint: Endpoint, handlers: dict[str, Handler], *, several: bool) -> list[Method]:
    bind = binder(endpoint.params)
    return [
        Method(
            endpoint=endpoint,
            verb=verb,
            name=_rpc_name(endpoint, verb, several=several),
            handler=handler,
            waits=inspect.iscoroutinefunction(handler),
            bind=bind,
            transports=tuple(endpoint.transports),
        )
        for verb, handler in handlers.items()
    ]


def upload_only(params: object, caller: Caller) -> object:
    """Stands for POST on a path that takes nothing but uploads."""
    raise TypeError("an upload is received by the front, not called")


def _rpc_name(endpoint: Endpoint, verb: str, *, several: bool) -> str:
    if endpoint.rpc_names and verb in endpoint.rpc_names:
        return endpoint.rpc_names[verb]
    if not endpoint.transports & Transport.RPC or "{" in endpoint.path or endpoint.upload is not None:
        return ""
    *rooms, last = endpoint.path.strip("/").split("/")
    return ".".join([*rooms, f"{verb.lower()}_{last}" if several else last])
