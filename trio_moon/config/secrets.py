"""Passwords and tokens kept out of `moonraker.conf`, in an INI or JSON file of their own."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import msgspec

from trio_moon.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


LARGEST_BYTES = 1 << 20


class SecretGroup(dict[str, object]):
    """The secrets of one section; a type of its own, so that templates can tell a misspelt secret from an empty one."""


class Secrets:
    """What templates see as `secrets`; never shows its values by accident."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = {
            name: SecretGroup(value) if isinstance(value, dict) else value for name, value in values.items()
        }

    # A Mapping's own methods would hide secrets called "items" or "values" from templates.
    def __getitem__(self, key: str) -> object:
        return deepcopy(self._values[key])  # a template may change what it was given

    def get(self, key: str, default: object = None) -> object:
        """The secret, or `default` where there is none."""
        return self[key] if key in self._values else default

    def __len__(self) -> int:
        return len(self._values)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._values)} sections>"

    def __reduce__(self) -> tuple[type[Secrets], tuple[dict[str, object]]]:
        return type(self), (self._values,)


def load_secrets(path: Path) -> Secrets:
    """The secrets of a file, JSON if it reads as JSON, otherwise INI; ConfigError if it is neither."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"secrets file '{path}' cannot be read: it is not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise ConfigError(f"secrets file '{path}' is larger than 1 MiB")
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigError(f"secrets file '{path}' cannot be read: {_reason(error)}") from error
    return parse_secrets(text, str(path))


def parse_secrets(text: str, name: str = "moonraker.secrets") -> Secrets:
    """The secrets of a text; `name` is what errors call it. Errors never quote the text."""
    try:
        values = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        values = _parse_ini(text, name)
    if not isinstance(values, dict):
        raise ConfigError(f"secrets file '{name}': the outermost JSON value must be an object")
    return Secrets(values)


def _parse_ini(text: str, name: str) -> dict[str, object]:
    import configparser  # most configurations have no secrets

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        line = getattr(error, "lineno", None)
        place = f", line {line}" if line else ""
        raise ConfigError(f"secrets file '{name}'{place} is neither JSON nor INI") from None
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _reason(error: OSError | ValueError) -> str:
    return "it is not UTF-8 text" if isinstance(error, UnicodeError) else getattr(error, "strerror", "") or str(error)
