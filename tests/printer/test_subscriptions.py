from __future__ import annotations

import pytest

from trio_moon.model.errors import BadParams
from trio_moon.printer.subscriptions import LONGEST_NAME, MAX_FIELDS, MAX_OBJECTS, parse_wanted


def test_a_wish_names_objects_and_fields() -> None:
    wanted = parse_wanted({"toolhead": None, "extruder": ["target", "target"]})
    assert wanted == {"toolhead": None, "extruder": frozenset({"target"})}


def test_fields_may_come_as_text() -> None:
    wanted = parse_wanted({"fan": "speed", "toolhead": "position,homed_axes,", "heaters": ""})
    assert wanted == {"fan": frozenset({"speed"}), "toolhead": frozenset({"position", "homed_axes"}), "heaters": None}


@pytest.mark.parametrize(
    ("objects", "part"),
    [
        (["toolhead"], "must be an object"),
        ({"toolhead": 1}, "list of field names"),
        ({"toolhead": [1]}, "list of field names"),
        (dict.fromkeys(map(str, range(MAX_OBJECTS + 1))), f"more than {MAX_OBJECTS} objects"),
        ({str(n): [str(field) for field in range(MAX_FIELDS // 10 + 1)] for n in range(10)}, f"{MAX_FIELDS} fields"),
        ({"x" * (LONGEST_NAME + 1): None}, "longer than"),
        ({"toolhead": ["x" * (LONGEST_NAME + 1)]}, "longer than"),
    ],
)
def test_a_wish_that_can_not_be_meant_is_refused(objects: object, part: str) -> None:
    with pytest.raises(BadParams, match=part):
        parse_wanted(objects)
