"""Jinja2 with Klipper's delimiters, in a sandbox: `{ value }`, `{% statement %}`, `{# comment #}`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn

import jinja2
import msgspec
from jinja2.sandbox import ImmutableSandboxedEnvironment

from trio_moon.config.secrets import Secrets
from trio_moon.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger(__name__)


class TemplateFailed(ConfigError):
    """A template that cannot be read or rendered; the text says why."""


def _raise_error(message: object, code: int = 400) -> NoReturn:
    raise TemplateFailed(str(message))


def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment("{%", "%}", "{", "}", extensions=["jinja2.ext.do"])
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
        except (jinja2.TemplateSyntaxError, RecursionError, SyntaxError, ValueError) as error:
            raise TemplateFailed(f"template cannot be read: {_reason(error)}") from error

    def render(self, **context: object) -> str:
        """The text for this context, stripped. Blocks for as long as the template wants."""
        try:
            return self._compiled.render(context).strip()
        except TemplateFailed:
            raise
        except Exception as error:  # whatever the owner's template does, it is the template that failed
            raise TemplateFailed(f"template failed: {_reason(error)}") from error

    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    def __reduce__(self) -> tuple[type[Template], tuple[str, Secrets]]:
        return type(self), (self.source, self._secrets)


def render_text(source: str, secrets: Secrets, context: Mapping[str, object]) -> str:
    """A templated setting as plain text, at once."""
    return Template(source, secrets).render(**context)


def _reason(error: BaseException) -> str:
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"{error.message} (its line {error.lineno})"
    return str(error) or type(error).__name__
