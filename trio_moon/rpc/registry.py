"""The only table of methods: HTTP routes, JSON-RPC names and the printed list all come from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from trio_moon.model.errors import Unauthorized, UnknownMethod, WrongVerb
from trio_moon.rpc.binding import Arguments
from trio_moon.rpc.caller import Caller
from trio_moon.rpc.endpoint import Endpoint, Method, methods_of

Fallback = Callable[[str], Method | None]
"""Finds a method that isn't in the table (those that only Klipper knows) by its JSON-RPC name."""


class Registry:
    """Every method of the service, by path and by name."""

    def __init__(self) -> None:
        self._by_path: dict[str, dict[str, Method]] = {}
        self._by_prefix: dict[str, tuple[str, dict[str, Method]]] = {}  # the longest first
        self._by_name: dict[str, Method] = {}
        self._fallback: Fallback | None = None

    def __iter__(self) -> Iterator[Method]:
        for verbs in self._by_path.values():
            yield from verbs.values()
        for _, verbs in self._by_prefix.values():
            yield from verbs.values()
        yield from (method for method in self._by_name.values() if not method.endpoint.path)

    def add(self, endpoints: Iterable[Endpoint]) -> None:
        """Enter the endpoints of a room. The same path or name twice is a bug and raises ValueError."""
        for method in methods_of(endpoints):
            self._add_path(method)
            if method.name:
                if method.name in self._by_name:
                    raise ValueError(f"{method.name} is declared twice")
                self._by_name[method.name] = method

    def _add_path(self, method: Method) -> None:
        path = method.endpoint.path
        if not path:
            return
        if path.endswith("...}"):
            prefix, _, name = path.removesuffix("...}").partition("{")
            argument, verbs = self._by_prefix.setdefault(prefix, (name, {}))
            if argument != name:
                raise ValueError(f"{path} names its rest differently elsewhere")
            self._by_prefix = dict(sorted(self._by_prefix.items(), key=lambda item: -len(item[0])))
        else:
            verbs = self._by_path.setdefault(path, {})
        if method.verb in verbs:
            raise ValueError(f"{method.verb} {path} is declared twice")
        verbs[method.verb] = method

    def fall_back(self, fallback: Fallback) -> None:
        """Ask `fallback` for names that the table doesn't have."""
        self._fallback = fallback

    def named(self, name: str) -> Method:
        """The method of a JSON-RPC name; UnknownMethod if there is none."""
        method = self._by_name.get(name)
        if method is None and self._fallback is not None:
            method = self._fallback(name)
        if method is None:
            raise UnknownMethod(f"Method not found: {name:.120}")
        return method

    def route(self, verb: str, path: str) -> tuple[Method, dict[str, object]]:
        """The method for an HTTP request (path already unquoted), and the arguments that the path itself holds.

        Raises UnknownMethod or WrongVerb. HEAD is answered as GET by the front.
        """
        verbs = self._by_path.get(path)
        held: dict[str, object] = {}
        if verbs is None:
            verbs, held = self._route_prefix(path)
        if verbs is None:
            found = self._fallback(path.strip("/").replace("/", ".")) if self._fallback else None
            if found is None:
                raise UnknownMethod(f"Not found: {path:.200}")
            verbs = {verb: found for verb in ("GET", "POST") if getattr(found.endpoint, verb) is not None}
        method = verbs.get(verb)
        if method is None:
            allowed = tuple(verbs)
            raise WrongVerb(f"{verb:.20} is not possible on {path:.200}: use {' or '.join(allowed)}", allowed)
        return method, held

    def _route_prefix(self, path: str) -> tuple[dict[str, Method] | None, dict[str, object]]:
        for prefix, (name, verbs) in self._by_prefix.items():
            if path.startswith(prefix) and len(path) > len(prefix):
                return verbs, {name: path[len(prefix) :]}
        return None, {}

    async def call(self, method: Method, arguments: Arguments, caller: Caller) -> object:
        """Check that `caller` may, then call. Raises MoonError for whatever the caller should be told."""
        permit(method, caller)
        return await method(arguments, caller)


def permit(method: Method, caller: Caller) -> None:
    """Raise unless `caller` may use `method` over its transport. Every lane comes through here."""
    if not (caller.authorized or method.endpoint.open_to_all):
        raise Unauthorized
    if caller.transport not in method.transports:
        raise UnknownMethod(f"{method.name or method.endpoint.path} is not available over this transport")
