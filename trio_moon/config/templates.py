"""Templates: settings that become text when they are rendered, with Klipper's delimiters `{ }`, `{% %}`, `{# #}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trio_moon.config.problems import TemplateFailed
from trio_moon.config.secrets import Secrets

if TYPE_CHECKING:
    import jinja2


class Template:
    """A setting that becomes text when it is rendered; it can be pickled and rebuilt in another process."""

    __slots__ = ("_compiled", "_secrets", "source")

    def __init__(self, source: str, secrets: Secrets | None = None) -> None:
        self.source = source.strip()
        self._secrets = secrets or Secrets({})
        self._compiled: jinja2.Template | None = None
        if "{" in self.source:
            from trio_moon.config.sandbox import compile_template  # Jinja2 only for those who write templates

            self._compiled = compile_template(self.source, self._secrets)

    def render(self, **context: object) -> str:
        """The text for this context, stripped. Blocks for as long as the template wants; changes nothing outside."""
        if self._compiled is None:
            return self.source
        try:
            return self._compiled.render(_own_copy(context)).strip()
        except TemplateFailed:
            raise
        except Exception as error:  # written by hand: whatever it stumbles over, the template is to blame
            raise TemplateFailed(f"template failed: {str(error) or type(error).__name__}") from error

    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    def __reduce__(self) -> tuple[type[Template], tuple[str, Secrets]]:
        return type(self), (self.source, self._secrets)


def _own_copy(value: object) -> Any:
    """The same lists and dicts, all the way down, for the template alone."""
    if isinstance(value, dict):
        return {key: _own_copy(item) for key, item in value.items()}
    return [_own_copy(item) for item in value] if isinstance(value, list) else value
