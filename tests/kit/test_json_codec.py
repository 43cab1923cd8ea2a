from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_moon.kit.json_codec import MAX_CONTAINERS, MAX_DEPTH, NotJson, Raw, decode, decode_call, encode

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_values_come_back_as_they_went(value: object) -> None:
    assert decode(encode(value)) == value
    assert decode(json.dumps(value)) == value


def test_what_python_writes_for_no_number_is_read_and_written_as_null() -> None:
    value = decode(b'{"position": [NaN, Infinity, -Infinity]}')
    assert isinstance(value, dict)
    nan, inf, minus = value["position"]
    assert math.isnan(nan)
    assert (inf, minus) == (math.inf, -math.inf)
    assert encode(value) == b'{"position":[null,null,null]}'


def test_a_byte_order_mark_is_accepted() -> None:
    assert decode(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_raw_json_passes_untouched() -> None:
    assert encode({"result": Raw(b'{"x":1.0}')}) == b'{"result":{"x":1.0}}'


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(NotJson):
        decode(data)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"", b"{", b'{"a" 1}', b"\xff\xfe", b'"\xff"'])
def test_nonsense_and_bottomless_nesting_are_refused(text: bytes) -> None:
    with pytest.raises(NotJson):
        decode(text)


@pytest.mark.parametrize(
    "text",
    ["NaN", "[Infinity]", "-Infinity", "1e999", '{"a": -1e999}', '"\\ud800"', '"\ud800"', "9" * 5000, "01", "{}{}"],
)
def test_what_clients_send_is_not_mended(text: str) -> None:
    for data in (text, text.encode(errors="surrogatepass")):
        with pytest.raises(NotJson):
            decode_call(data)


@pytest.mark.parametrize(("opener", "closer"), [("[", "]"), ('{"a":', "}"), ('[{"b":0,"a":', "}]")])
def test_what_clients_send_may_be_nested_so_deeply_and_no_deeper(opener: str, closer: str) -> None:
    levels = MAX_DEPTH // (2 if opener[0] == "[" and "{" in opener else 1)
    deep = opener * levels + '"' + "[" * 500 + '"' + closer * levels
    assert decode_call(deep) == decode_call(deep.encode()) == json.loads(deep)
    for text in (f"[{deep}]", f'{{"x": 1, "y": {deep}}}'):
        with pytest.raises(NotJson, match="levels deep"):
            decode_call(text)
        with pytest.raises(NotJson, match="levels deep"):
            decode_call(text.encode())
    assert decode_call('"' + "[" * 1000 + '"') == "[" * 1000


def test_what_clients_send_may_hold_so_many_lists_and_no_more() -> None:
    many = "[" + ",".join(["[]"] * (MAX_CONTAINERS - 1)) + "]"
    assert decode_call(many) == decode_call(many.encode()) == json.loads(many)
    for text in (f"[{many}]", f"[{many}]".encode()):
        with pytest.raises(NotJson, match="lists and objects"):
            decode_call(text)
