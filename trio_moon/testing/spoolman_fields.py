"""Which fields Spoolman's bodies and queries may have, and how it says what is wrong with them (status 422).

The words are those of the validation library behind the real one, because frontends show them to people.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

Problem = dict[str, object]
Location = list[str | int]
TRUE_WORDS = frozenset({"1", "on", "t", "true", "y", "yes"})
WHOLE_NUMBER = re.compile(r"([+-]?[0-9]+)(\.0*)?\Z")
MOST_DIGITS = 4300  # of a number in text; Python and Pydantic read no longer ones
FALSE_WORDS = frozenset({"0", "off", "f", "false", "n", "no"})


class Wrong(Exception):
    """A value that a field refuses: the problem's type, its words and what else it tells."""

    def __init__(self, kind: str, message: str, **context: object) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.context = context


class ValidationError(Exception):
    """A request that Spoolman answers with 422 and `{"detail": [...]}`."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


class UnreadableBody(Exception):
    """A body that isn't UTF-8, or is nested too deeply to be read: status 400."""


@dataclass(frozen=True)
class Field:
    """One named value of a body or query."""

    name: str
    read: Callable[[object], object]
    required: bool = False
    not_null: bool = False
    """Null is refused with Spoolman's own words."""
    typed_null: bool = False
    """Null is a value of the wrong type, like any other."""


def problem(location: Location, given: object, wrong: Wrong) -> Problem:
    """One entry of a 422's `detail`."""
    entry: Problem = {"type": wrong.kind, "loc": location, "msg": wrong.message, "input": given}
    return entry | ({"ctx": wrong.context} if wrong.context else {})


def decode_body(body: bytes) -> object:
    """The JSON of a body; ValidationError or UnreadableBody."""
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        wrong = Wrong("json_invalid", "JSON decode error", error=error.msg)
        raise ValidationError([problem(["body", error.pos], {}, wrong)]) from None
    except (UnicodeDecodeError, RecursionError):
        raise UnreadableBody from None


def read_fields(given: Mapping[str, object], known: tuple[Field, ...], place: str) -> dict[str, object]:
    """The known fields that were given, read; raises ValidationError with every problem at once."""
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for field in known:
        if field.name not in given:
            if field.required:
                missing = Wrong("missing", "Field required")
                problems.append(problem([place, field.name], None if place == "query" else given, missing))
            continue
        try:
            values[field.name] = _read(field, given[field.name])
        except Wrong as wrong:
            problems.append(problem([place, field.name], given[field.name], wrong))
    if problems:
        raise ValidationError(problems)
    return values


def _read(field: Field, given: object) -> object:
    if given is None and field.not_null:
        raise Wrong("value_error", "Value error, Value must not be None.", error={})
    if given is None and not (field.required or field.typed_null):
        return None
    return field.read(given)


def number(*, at_least: float | None = None, above: float | None = None) -> Callable[[object], float]:
    """A float, also as text or true/false, within limits. NaN passes where there is no limit."""

    def read(given: object) -> float:
        if isinstance(given, str):
            try:
                value = float(given.strip())
            except ValueError:
                words = "Input should be a valid number, unable to parse string as a number"
                raise Wrong("float_parsing", words) from None
        elif isinstance(given, int | float):
            value = float(given)
        else:
            raise Wrong("float_type", "Input should be a valid number")
        if at_least is not None and not value >= at_least:
            raise Wrong("greater_than_equal", f"Input should be greater than or equal to {at_least:g}", ge=at_least)
        if above is not None and not value > above:
            raise Wrong("greater_than", f"Input should be greater than {above:g}", gt=above)
        return value

    return read


def integer(*, at_least: int | None = None) -> Callable[[object], int]:
    """A whole number, also as text, true/false or a float without fraction."""

    def read(given: object) -> int:
        value = _whole(given)
        if at_least is not None and value < at_least:
            raise Wrong("greater_than_equal", f"Input should be greater than or equal to {at_least}", ge=at_least)
        return value

    return read


def _whole(given: object) -> int:
    if isinstance(given, str):
        if (match := WHOLE_NUMBER.match(given.strip())) is None:
            raise Wrong("int_parsing", "Input should be a valid integer, unable to parse string as an integer")
        if len(match[1]) > MOST_DIGITS:
            raise Wrong("int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size")
        return int(match[1])
    if isinstance(given, float) and not math.isfinite(given):
        raise Wrong("finite_number", "Input should be a finite number")
    if isinstance(given, float) and given != int(given):
        words = "Input should be a valid integer, got a number with a fractional part"
        raise Wrong("int_from_float", words)
    if isinstance(given, int | float):
        return int(given)
    raise Wrong("int_type", "Input should be a valid integer")


def text(longest: int | None = None) -> Callable[[object], str]:
    """A string of limited length."""

    def read(given: object) -> str:
        if not isinstance(given, str):
            raise Wrong("string_type", "Input should be a valid string")
        if longest is not None and len(given) > longest:
            words = f"String should have at most {longest} characters"
            raise Wrong("string_too_long", words, max_length=longest)
        return given

    return read


def read_flag(given: object) -> bool:
    """True or false, also as 0, 1 or one of the usual words."""
    if isinstance(given, bool):
        return given
    if isinstance(given, int | float | str):
        word = str(given).lower().removesuffix(".0")
        if word in TRUE_WORDS or word in FALSE_WORDS:
            return word in TRUE_WORDS
        raise Wrong("bool_parsing", "Input should be a valid boolean, unable to interpret input")
    raise Wrong("bool_type", "Input should be a valid boolean")


def read_moment(given: object) -> datetime:
    """An ISO 8601 moment (or seconds since 1970), in UTC."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return datetime.fromtimestamp(given, UTC)
    if not isinstance(given, str):
        raise Wrong("datetime_type", "Input should be a valid datetime")
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        words = "Input should be a valid datetime or date, input is too short"
        raise Wrong("datetime_from_date_parsing", words, error="input is too short") from None
    return moment.astimezone(UTC)


def read_extra(given: object) -> dict[str, object]:
    """A map of custom fields; each value is JSON in a string, or null."""
    if not isinstance(given, dict):
        raise Wrong("dict_type", "Input should be a valid dictionary")
    return given


def read_color(given: object) -> str | None:
    """Six or eight hexadecimal digits; a leading # is forgiven, an empty string is no colour."""
    code = text()(given).removeprefix("#")
    if not code:
        return None
    if any(digit not in "0123456789abcdefABCDEF" for digit in code):
        raise Wrong("value_error", "Value error, Invalid character in color code.", error={})
    if len(code) not in (6, 8):
        raise Wrong("value_error", "Value error, Color code must be 6 or 8 characters long.", error={})
    return code


def read_colors(given: object) -> str | None:
    """Several colours with commas between them."""
    codes = text()(given)
    return ",".join(read_color(code) or "" for code in codes.split(",")) if codes else None


def read_direction(given: object) -> str:
    """How a multi-colour filament's colours lie."""
    if given not in ("coaxial", "longitudinal"):
        expected = "'coaxial' or 'longitudinal'"
        raise Wrong("enum", f"Input should be {expected}", expected=expected)
    return str(given)


_WEIGHT = number(at_least=0.0)
_COMMENT = Field("comment", text(1024))
_EXTERNAL_ID = Field("external_id", text(256))
_EXTRA = Field("extra", read_extra)

VENDOR_FIELDS = (
    Field("name", text(64), required=True),
    _COMMENT,
    Field("empty_spool_weight", _WEIGHT),
    _EXTERNAL_ID,
    _EXTRA,
)
FILAMENT_FIELDS = (
    Field("name", text(64)),
    Field("vendor_id", integer()),
    Field("material", text(64)),
    Field("price", _WEIGHT),
    Field("density", number(above=0.0), required=True),
    Field("diameter", number(above=0.0), required=True),
    Field("weight", number(above=0.0)),
    Field("spool_weight", _WEIGHT),
    Field("article_number", text(64)),
    _COMMENT,
    Field("settings_extruder_temp", integer(at_least=0)),
    Field("settings_bed_temp", integer(at_least=0)),
    Field("color_hex", read_color),
    Field("multi_color_hexes", read_colors),
    Field("multi_color_direction", read_direction),
    _EXTERNAL_ID,
    _EXTRA,
)
SPOOL_FIELDS = (
    Field("first_used", read_moment),
    Field("last_used", read_moment),
    Field("filament_id", integer(), required=True),
    Field("price", _WEIGHT),
    Field("initial_weight", _WEIGHT),
    Field("spool_weight", _WEIGHT),
    Field("remaining_weight", _WEIGHT),
    Field("used_weight", _WEIGHT),
    Field("location", text(64)),
    Field("lot_nr", text(64)),
    _COMMENT,
    Field("archived", read_flag, typed_null=True),
    _EXTRA,
)
USE_FIELDS = (Field("use_length", number()), Field("use_weight", number()))
MEASURE_FIELDS = (Field("weight", number(), required=True),)


def all_optional(known: tuple[Field, ...]) -> tuple[Field, ...]:
    """The same fields for a PATCH: none must be given, and a required one may still not be null."""
    return tuple(Field(field.name, field.read, not_null=field.required, typed_null=field.typed_null) for field in known)
