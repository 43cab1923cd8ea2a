"""Jinja2 with Klipper's delimiters, in a sandbox: `{ value }`, `{% statement %}`, `{# comment #}`."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import jinja2
import msgspec
from jinja2.sandbox import SandboxedEnvironment

from trio_moon.config.secrets import SecretGroup, Secrets
from trio_moon.model.errors import ConfigError

_log = logging.getLogger(__name__)


class TemplateFailed(ConfigError):
    """A template that cannot be read or rendered; the text says why."""


class _Sandbox(SandboxedEnvironment):
    """Templates may change the lists and dicts they are given (they get copies), and nothing else."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        # `{% do payload.__setitem__("key", value) %}` is how Moonraker's manual fills a dict.
        if attr == "__setitem__" and isinstance(obj, (dict, list)):
            return True
        return super().is_safe_attribute(obj, attr, value)

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self._strict_about_secrets(obj, attribute, super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self._strict_about_secrets(obj, argument, super().getitem(obj, argument))

    def _strict_about_secrets(self, obj: object, name: object, found: Any) -> Any:
        """A secret that isn't there must not become an empty password without a word."""
        if isinstance(obj, (Secrets, SecretGroup)) and isinstance(found, jinja2.Undefined):
            return jinja2.StrictUndefined(f"there is no secret '{name}'")
        return found


def _raise_error(message: object, code: int = 400) -> NoReturn:
    raise TemplateFailed(str(message))


@jinja2.pass_context
def _unchanged(context: object, value: object) -> object:
    return value


def _environment() -> jinja2.Environment:
    # Folding constants would compute 'x' * 10**11 while a template is only being read: `optimized` switches one place
    # off where Jinja2 does so, a `finalize` that asks for the context the other.
    environment = _Sandbox("{%", "%}", "{", "}", extensions=["jinja2.ext.do"], optimized=False, finalize=_unchanged)
    environment.filters["fromjson"] = msgspec.json.decode
    environment.globals["raise_error"] = _raise_error
    environment.globals["log_debug"] = _log.debug
    return environment


_ENVIRONMENT = _environment()


class Template:
    """A setting that becomes text when it is rendered; it can be pickled and rebuilt in another process."""

    __slots__ = ("_compiled", "_secrets", "source")

    def __init__(self, source: str, secrets: Secrets | None = None) -> None:
        self.source = source.strip()
        self._secrets = secrets or Secrets({})
        try:
            self._compiled = _ENVIRONMENT.from_string(self.source, globals={"secrets": self._secrets})
        except Exception as error:  # a parser fed by hand: whatever it stumbles over, the template is to blame
            raise TemplateFailed(f"template cannot be read: {_reason(error)}") from error

    def render(self, **context: object) -> str:
        """The text for this context, stripped. Blocks for as long as the template wants; changes nothing outside."""
        try:
            return self._compiled.render(_own_copy(context)).strip()
        except TemplateFailed:
            raise
        except Exception as error:  # as above
            raise TemplateFailed(f"template failed: {_reason(error)}") from error

    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    def __reduce__(self) -> tuple[type[Template], tuple[str, Secrets]]:
        return type(self), (self.source, self._secrets)


def _own_copy(value: object) -> Any:
    """The same lists and dicts, all the way down, for the template alone."""
    if isinstance(value, dict):
        return {key: _own_copy(item) for key, item in value.items()}
    return [_own_copy(item) for item in value] if isinstance(value, list) else value


def _reason(error: Exception) -> str:
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"{error.message} (its line {error.lineno})"
    return str(error) or type(error).__name__
