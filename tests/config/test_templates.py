"""Templates: Klipper's delimiters, in a sandbox, repeatable in another process."""

from __future__ import annotations

import pickle
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_moon.config import Secrets, Template, TemplateFailed

SECRETS = Secrets({"mqtt": {"user": "me", "password": "it's"}, "token": "t0k3n"})


def render(source: str, **context: object) -> str:
    return Template(source, SECRETS).render(**context)


def test_klippers_delimiters_are_ours() -> None:
    source = """{# nothing #}{% set name = event_name|upper %}
{% if name == "STARTED" %}Print { name } of {event_args[1].filename}{% endif %}"""
    assert render(source, event_name="started", event_args=[{}, {"filename": "x.gcode"}]) == "Print STARTED of x.gcode"


def test_the_manuals_way_to_build_a_payload_works() -> None:
    source = """
{% set payload = {"a": 1} %}
{% do payload.update({"b": 2}) %}
{% do payload.__setitem__("c", command) %}
{ payload|tojson }"""
    assert render(source, command="on") == '{"a": 1, "b": 2, "c": "on"}'


def test_fromjson_reads_json() -> None:
    assert render('{ (text|fromjson)["a"][1] }', text='{"a": [1, 2]}') == "2"


def test_secrets_are_at_hand_and_a_misspelt_one_is_an_error() -> None:
    assert render("mqtt://{secrets.mqtt.user}:{secrets.mqtt.password}@{ secrets['token'] }") == "mqtt://me:it's@t0k3n"
    assert render("{ secrets.pushover|default('none') }") == "none"
    for source in ("{ secrets.tokn }", "{ secrets.mqtt.pasword }", "{ secrets['mqtt']['x'] }", "{ secrets.tokn.x }"):
        with pytest.raises(TemplateFailed, match="there is no secret"):
            render(source)


def test_a_template_cannot_change_what_it_was_given() -> None:
    given_to = {"state": {"filename": "a"}, "events": ["x"]}
    assert render(
        "{% do c.state.update({'filename': 'b'}) %}{% do c.events.append('y') %}{c.state.filename}", c=given_to
    )
    assert given_to == {"state": {"filename": "a"}, "events": ["x"]}
    assert render("{% do secrets.mqtt.update({'user': 'you'}) %}{secrets.mqtt.user}") == "me"


@pytest.mark.parametrize(
    "source",
    [
        "{ ''.__class__.__mro__ }",
        "{ render.__globals__ }",
        "{ secrets._values }",
        "{ secrets.__reduce__() }",
        "{ cycler.__init__.__globals__ }",
        "{% do x.__delitem__(0) %}",
        "{ range(10000000)|list }",
        "{% include 'x' %}",
        "{ 1 / 0 }",
        "{ undefined.attribute }",
    ],
)
def test_what_a_template_may_not_do_gives_nothing_or_one_error(source: str) -> None:
    with suppress(TemplateFailed):
        assert render(source, render=render, x=[1]) == ""


def test_raise_error_speaks_for_the_owner() -> None:
    with pytest.raises(TemplateFailed, match=r"^no such device$"):
        render("{ raise_error('no such device') }")


@pytest.mark.parametrize("source", ["{ 9**(9**9) }", "{ 'x' * 10**13 }", "{ 'x'|center(9999999999999) }"])
def test_reading_a_template_computes_nothing(source: str) -> None:
    assert Template(source).source == source


def test_templates_travel_to_another_process() -> None:
    copy = pickle.loads(pickle.dumps(Template("  {secrets.token}-{x} ", SECRETS)))
    assert copy.source == "{secrets.token}-{x}"
    assert copy.render(x=1) == "t0k3n-1"
    assert "t0k3n" not in repr(copy) + repr(SECRETS)


@given(st.text(alphabet="{}%#|. \n'\"ab1()[]-_"))
def test_templates_raise_nothing_but_their_own_error(source: str) -> None:
    with suppress(TemplateFailed):
        render(source, a={"b": [1]}, b=1)
