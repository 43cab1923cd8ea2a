"""The API without sockets: a few of each kind, so that it is known here too what tests/peers compares in full."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_moon.testing.spoolman_api import SpoolmanApi
from trio_moon.testing.spoolman_items import length_of, weight_of
from trio_moon.testing.spoolman_messages import Answer, Request
from trio_moon.testing.spoolman_store import SpoolStore


@pytest.fixture
def store() -> SpoolStore:
    store = SpoolStore()
    store.add_vendor({"name": "Moonshot", "empty_spool_weight": 140.0})
    black = {"name": "Black", "material": "PLA", "density": 1.24, "diameter": 1.75, "weight": 1000.0, "vendor_id": 1}
    store.add_filament(dict(black))
    store.add_filament({"name": "White", "material": "PETG", "density": 1.27, "diameter": 2.85})
    store.add_spool({"filament_id": 1, "location": "Shelf A"})
    store.add_spool({"filament_id": 2, "archived": True})
    store.add_spool({"filament_id": 2})
    return store


@pytest.fixture
def api(store: SpoolStore) -> SpoolmanApi:
    return SpoolmanApi(store)


def ask(api: SpoolmanApi, method: str, target: str, body: object = None) -> tuple[int, object]:
    answer = answer_to(api, method, target, b"" if body is None else json.dumps(body).encode())
    return answer.status, json.loads(answer.body)


def answer_to(api: SpoolmanApi, method: str, target: str, body: bytes = b"") -> Answer:
    headers = {"host": "spoolman", "content-type": "application/json"}
    path = target.partition("?")[0]
    return api.answer(Request(method=method, path=path, target="/api/v1" + target, headers=headers, body=body))


def ids(listed: tuple[int, object]) -> list[int]:
    status, items = listed
    assert status == 200
    assert isinstance(items, list)
    return [item["id"] for item in items]


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "message"),
    [
        ("GET", "/spool/9", None, 404, "No spool with ID 9 found."),
        ("PUT", "/spool/9/use", {"use_length": 1}, 404, "Filament not found for spool."),
        ("PUT", "/spool/9/use", {"use_weight": 1}, 404, "No spool with ID 9 found."),
        ("PUT", "/spool/1/use", {}, 400, "Either use_weight or use_length must be specified."),
        (
            "PUT",
            "/spool/1/use",
            {"use_weight": 1, "use_length": 1},
            400,
            "Only specify either use_weight or use_length.",
        ),
        ("PUT", "/spool/9/measure", {"weight": 1}, 400, "Spool not found."),
        ("PUT", "/spool/3/measure", {"weight": 1}, 400, "Initial weight is not set."),
        ("POST", "/spool", {"filament_id": 7}, 404, "No filament with ID 7 found."),
        (
            "DELETE",
            "/filament/1",
            None,
            403,
            "Failed to delete filament, see server logs for more information.",
        ),
        ("GET", "/setting/nope", None, 404, "Setting nope does not exist."),
        (
            "GET",
            "/spool?sort=id",
            None,
            400,
            "Invalid sort 'id', expected the form 'field:asc' or 'field:desc'.",
        ),
    ],
)
def test_a_refusal_has_a_message(
    api: SpoolmanApi, store: SpoolStore, method: str, target: str, body: object, status: int, message: str
) -> None:
    assert ask(api, method, target, body) == (status, {"message": message})
    assert store.uses == []


@pytest.mark.parametrize(
    ("target", "body", "location", "kind"),
    [
        ("/spool/1/use", {"use_length": "abc"}, ["body", "use_length"], "float_parsing"),
        ("/spool/1/use", [1], ["body"], "model_attributes_type"),
        ("/spool/1/use", None, ["body"], "missing"),
        ("/spool/one/use", {"use_length": 1}, ["path", "spool_id"], "int_parsing"),
        ("/spool/" + "9" * 5000 + "/use", {"use_length": 1}, ["path", "spool_id"], "int_parsing_size"),
        ("/spool/1/measure", {}, ["body", "weight"], "missing"),
    ],
)
def test_what_is_not_valid_is_named_by_its_place(
    api: SpoolmanApi, store: SpoolStore, target: str, body: object, location: list[str], kind: str
) -> None:
    status, answer = ask(api, "PUT", target, body)
    assert status == 422
    assert isinstance(answer, dict)
    assert [(entry["loc"], entry["type"]) for entry in answer["detail"]] == [(location, kind)]
    assert store.uses == []


def test_broken_json_is_named_by_its_position(api: SpoolmanApi) -> None:
    answer = answer_to(api, "PUT", "/spool/1/use", b'{"use_length": 1')
    (entry,) = json.loads(answer.body)["detail"]
    assert (answer.status, entry["loc"], entry["type"]) == (422, ["body", 16], "json_invalid")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", [1, 3]),
        ("?allow_archived=true", [1, 2, 3]),
        ("?filament.material=pe", [3]),
        ("?filament.material=%22pla%22", []),
        ("?filament.vendor.id=-1", [3]),
        ("?location=shelf", [1]),
        ("?location=", [3]),
        ("?sort=id:desc", [3, 1]),
        ("?sort=location:asc&allow_archived=1", [1, 2, 3]),
        ("?limit=1&offset=1&allow_archived=1", [2]),
    ],
)
def test_lists_are_searched_sorted_and_paged(api: SpoolmanApi, query: str, wanted: list[int]) -> None:
    assert ids(ask(api, "GET", "/spool" + query)) == wanted


def test_a_page_says_how_many_there_are(api: SpoolmanApi) -> None:
    assert answer_to(api, "GET", "/spool?limit=1&allow_archived=1").headers == (("x-total-count", "3"),)


def test_a_measured_spool_is_used_by_what_is_missing(api: SpoolmanApi, store: SpoolStore) -> None:
    status, spool = ask(api, "PUT", "/spool/1/measure", {"weight": 700})
    assert status == 200
    assert isinstance(spool, dict)
    assert (spool["used_weight"], spool["remaining_weight"]) == (440.0, 560.0)
    assert store.uses[0].used_mm == pytest.approx(length_of(440, diameter=1.75, density=1.24))


def test_an_id_is_given_again_after_the_last_was_deleted(api: SpoolmanApi) -> None:
    ask(api, "DELETE", "/spool/3")
    _, spool = ask(api, "POST", "/spool", {"filament_id": 1})
    assert isinstance(spool, dict)
    assert spool["id"] == 3


def test_infinity_is_taken_and_breaks_the_list(api: SpoolmanApi) -> None:
    answer = answer_to(api, "PUT", "/spool/1/use", b'{"use_length": Infinity}')
    assert (answer.status, json.loads(answer.body)["used_length"]) == (200, None)
    assert answer_to(api, "GET", "/spool").status == 500


@given(st.lists(st.floats(-1e4, 1e4), max_size=30), st.floats(0.8, 3.0), st.floats(0.5, 25.0))
def test_a_spool_holds_the_sum_of_its_uses_and_never_less_than_nothing(
    uses: list[float], diameter: float, density: float
) -> None:
    store = SpoolStore()
    store.add_filament({"density": density, "diameter": diameter})
    spool = store.add_spool({"filament_id": 1})
    expected = 0.0
    for used_mm in uses:
        store.use_length(1, used_mm)
        expected = max(expected + used_mm, 0.0)
    assert math.isclose(spool.used_length, expected, abs_tol=1e-6)
    assert [use.used_mm for use in store.uses] == uses


@given(st.floats(0, 1e7), st.floats(0.5, 5.0), st.floats(0.5, 25.0))
def test_millimetres_survive_the_way_through_grams(length_mm: float, diameter: float, density: float) -> None:
    weight_g = weight_of(length_mm, diameter=diameter, density=density)
    assert math.isclose(
        length_of(weight_g, diameter=diameter, density=density), length_mm, rel_tol=1e-12, abs_tol=1e-300
    )
