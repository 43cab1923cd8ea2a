"""The sandbox that templates run in; loaded with the first template that has something to render."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import jinja2
import msgspec
from jinja2.sandbox import SandboxedEnvironment

from trio_moon.config.problems import TemplateFailed
from trio_moon.config.secrets import SecretGroup, Secrets

_log = logging.getLogger(__name__)


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


def compile_template(source: str, secrets: Secrets) -> jinja2.Template:
    """The compiled template; TemplateFailed when its text makes no sense."""
    try:
        return _ENVIRONMENT.from_string(source, globals={"secrets": secrets})
    except jinja2.TemplateSyntaxError as error:
        raise TemplateFailed(f"template cannot be read: {error.message} (its line {error.lineno})") from error
    except Exception as error:  # a parser fed by hand: whatever it stumbles over, the template is to blame
        raise TemplateFailed(f"template cannot be read: {str(error) or type(error).__name__}") from error


def parse_template(source: str) -> jinja2.nodes.Template:
    """The syntax tree of a template that can be compiled."""
    return _ENVIRONMENT.parse(source)
