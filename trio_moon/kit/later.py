"""Modules that are loaded when something of them is first used, whoever imports them.

Python's own `importlib.util.LazyLoader` loads a module already when a second place imports it (before 3.14).
"""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    Loader = object  # `importlib.abc` alone would load what this module is here to put off

NOTHING: Mapping[str, object] = MappingProxyType({})
TELLING = ("__all__", "__version__")
"""Names of the kind that Python looks for in every module, but only the module itself can tell."""


def import_later(*names: str, at_hand: Mapping[str, object] = NOTHING) -> None:
    """From now on importing one of these modules costs nothing. Those that are loaded already stay as they are.

    Using what is `at_hand` of them doesn't load them. Modules of a package that somebody may import before the package
    is used must be named too. What isn't there is missed by whoever imports it: small systems leave out much of Python.
    """
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    _FINDER.later.update(dict.fromkeys(names, at_hand))


def load(name: str) -> ModuleType:
    """The module itself: for what stands in for a part of it and is asked for more than it knows."""
    module = importlib.import_module(name)
    if isinstance(module, _Later):
        _load(module)
    return module


def forget(*names: str) -> None:
    """Give back what modules take that have had their one use; whoever imports them again gets them anew."""
    for name in names:
        sys.modules.pop(name, None)
    gc.collect()


class _Finder:
    """Finds a stand-in for each module that is to be loaded later."""

    def __init__(self) -> None:
        self.later: dict[str, Mapping[str, object]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.later:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (spec for finder in others if (spec := finder.find_spec(fullname, path, target)) is not None)
        if (spec := next(found, None)) is not None:
            spec.loader = _Standing(spec.loader, self.later[fullname])
        return spec


_FINDER = _Finder()


class _Standing(Loader):
    """Makes the stand-in; the module's own loader comes when something of it is used."""

    def __init__(self, own: Loader | None, at_hand: Mapping[str, object]) -> None:
        self.own = own
        self._at_hand = at_hand

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = _Later(spec.name)
        vars(module).update(self._at_hand)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Not yet."""


class _Later(ModuleType):
    """Stands in `sys.modules` until it becomes the module itself."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._begun = False
        self._loading = threading.RLock()  # its own, as modules have: with one for all, imports wait for each other

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name not in TELLING:  # the import system asks for some that needn't exist
            raise AttributeError(name)
        _load(self)
        if type(self) is _Later and name not in self.__dict__:
            raise AttributeError(f"module {self.__name__!r}, still being loaded, has no attribute {name!r}")
        return getattr(self, name)


def _load(module: _Later) -> None:
    spec = module.__spec__
    assert spec is not None
    package = sys.modules.get(spec.parent or "")
    if isinstance(package, _Later) and package is not module:
        _load(package)  # before what is in it, as ever
    with module._loading:  # two threads may ask first
        if not module._begun:
            module._begun = True
            standing = spec.loader
            assert isinstance(standing, _Standing)
            assert standing.own is not None
            spec.loader = module.__loader__ = standing.own
            try:
                standing.own.exec_module(module)
            except BaseException:
                module._begun, spec.loader = False, standing
                raise
            module.__class__ = ModuleType  # type: ignore[assignment]
