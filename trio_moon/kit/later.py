"""Modules that are loaded when something of them is first used, whoever imports them.

Python's own `importlib.util.LazyLoader` loads a module already when a second place imports it (before 3.14).
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType

NOTHING: Mapping[str, object] = MappingProxyType({})
TELLING = ("__all__", "__version__")
"""Names of the kind that Python looks for in every module, but only the module itself can tell."""


class _Later(ModuleType):
    """Stands in `sys.modules` until it becomes the module itself."""

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec
        self.__loader__ = spec.loader
        self.__file__ = spec.origin
        self.__package__ = spec.parent
        if spec.submodule_search_locations is not None:
            self.__path__ = spec.submodule_search_locations
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
    assert spec.loader is not None
    package = sys.modules.get(spec.parent or "")
    if isinstance(package, _Later) and package is not module:
        _load(package)  # before what is in it, as ever
    with module._loading:  # two threads may ask first
        if not module._begun:
            module._begun = True
            try:
                spec.loader.exec_module(module)
            except BaseException:
                module._begun = False
                raise
            module.__class__ = ModuleType  # type: ignore[assignment]


def import_later(*names: str, at_hand: Mapping[str, object] = NOTHING) -> None:
    """From now on importing one of these modules costs nothing. Those that are loaded already stay as they are.

    Using what is `at_hand` of them doesn't load them. Modules of a package that somebody may import before the package
    is used must be named too. What isn't there is missed by whoever imports it: small systems leave out much of Python.
    """
    for name in names:
        if name not in sys.modules and (spec := importlib.util.find_spec(name)) is not None:
            module = sys.modules[name] = _Later(spec)
            vars(module).update(at_hand)
            package, _, own_name = name.rpartition(".")
            if package:
                setattr(sys.modules[package], own_name, module)
