"""Macros as in printer.cfg: Jinja2 text with Klipper's delimiters, or a Python callable."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import jinja2

from trio_moon.testing.klipper_gcode import Command, GCode, KlipperError

MacroCall = Callable[[Mapping[str, str]], Awaitable[str | None]]


@dataclass(frozen=True)
class Macro:
    """A `[gcode_macro]`: its body is G-code with Jinja2, or a callable that may return G-code to run.

    The callable gets the parameters. A macro with a built-in command's name needs `rename_existing`.
    """

    body: str | MacroCall
    description: str = "G-Code macro"
    rename_existing: str | None = None
    variables: Mapping[str, object] = field(default_factory=dict)


SPOOL_MACROS: dict[str, Macro] = {
    "SET_ACTIVE_SPOOL": Macro(
        "{% if params.ID %}\n"
        '{action_call_remote_method("spoolman_set_active_spool", spool_id=params.ID|int)}\n'
        "{% endif %}"
    ),
    "CLEAR_ACTIVE_SPOOL": Macro('{action_call_remote_method("spoolman_set_active_spool", spool_id=None)}'),
}


class _Status:
    """What a template sees as `printer`: `printer.toolhead.position`, `printer["gcode_macro X"].variable`."""

    def __init__(self, status: Callable[[str], Mapping[str, object] | None]) -> None:
        self._status = status

    def __getitem__(self, name: str) -> Mapping[str, object]:
        found = self._status(str(name))
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: str) -> bool:
        return self._status(str(name)) is not None


class Macros:
    """The macros of one life of the host."""

    def __init__(
        self,
        gcode: GCode,
        macros: Mapping[str, Macro],
        *,
        status: Callable[[str], Mapping[str, object] | None],
        call_remote: Callable[..., None],
        shut_down: Callable[[str], None],
    ) -> None:
        self._gcode = gcode
        self._status = _Status(status)
        self._call_remote = call_remote
        self._shut_down = shut_down
        self._environment = jinja2.Environment(
            block_start_string="{%",
            block_end_string="%}",
            variable_start_string="{",
            variable_end_string="}",
            extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
            autoescape=False,  # G-code, not a page
        )
        self.variables: dict[str, dict[str, object]] = {}
        for name, macro in macros.items():
            self._add(name, macro)
        gcode.register("SET_GCODE_VARIABLE", self._set_variable, help_text="Set the value of a G-Code macro variable")

    def _add(self, name: str, macro: Macro) -> None:
        alias = name.upper()
        if macro.rename_existing is not None and self._gcode.has(alias):
            self._gcode.rename(alias, macro.rename_existing.upper())
        self.variables[name] = dict(macro.variables)
        template = self._environment.from_string(macro.body) if isinstance(macro.body, str) else None

        async def run(command: Command) -> None:
            if template is not None:
                await self._gcode.run_lines(self._render(name, template, command))
            elif not isinstance(macro.body, str):
                lines = await macro.body(command.params)
                if lines:
                    await self._gcode.run_lines(lines)

        self._gcode.register(alias, run, help_text=macro.description)

    def _render(self, name: str, template: jinja2.Template, command: Command) -> str:
        context: dict[str, Any] = {
            **self.variables[name],
            "params": command.params,
            "rawparams": command.raw,
            "printer": self._status,
            "action_call_remote_method": self._action(self._call_quietly),
            "action_respond_info": self._action(self._gcode.info),
            "action_raise_error": self._raise,
            "action_emergency_stop": self._action(self._stop),
        }
        try:
            return template.render(context)
        except KlipperError as error:
            text = f"Error evaluating 'gcode_macro {name}:gcode': gcode.CommandError: {error}"
        except Exception as error:  # whatever a template may raise, Klipper tells it like this
            text = f"Error evaluating 'gcode_macro {name}:gcode': {type(error).__name__}: {error}"
        raise KlipperError(text)

    @staticmethod
    def _action(function: Callable[..., None]) -> Callable[..., str]:
        def act(*arguments: Any, **named: Any) -> str:
            function(*arguments, **named)
            return ""

        return act

    def _call_quietly(self, method: str, **params: Any) -> None:
        with suppress(KlipperError):  # Klipper only logs that nobody listens
            self._call_remote(method, **params)

    @staticmethod
    def _raise(message: str) -> str:
        raise KlipperError(message)

    def _stop(self, message: str = "action_emergency_stop") -> None:
        self._shut_down(f"Shutdown due to {message}")

    async def _set_variable(self, command: Command) -> None:
        name, variable = command.text("MACRO"), command.text("VARIABLE")
        for known, variables in self.variables.items():
            if known.upper() == name.upper() and variable in variables:
                variables[variable] = _literal(command.text("VALUE"))
                return
        raise KlipperError(f"Unknown gcode_macro variable '{variable}'")


def _literal(text: str) -> object:
    try:
        return jinja2.Environment(autoescape=False).compile_expression(text)()
    except jinja2.TemplateError:
        return text
