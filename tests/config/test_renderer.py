"""Templates are rendered in another process, and none of them can harm ours. Real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import trio

from tests.until import until
from trio_moon.config.problems import TemplateFailed
from trio_moon.config.renderer import NoRenderer, Renderer
from trio_moon.config.secrets import Secrets
from trio_moon.config.straight import is_straight
from trio_moon.config.templates import Template

ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
async def renderer(nursery: trio.Nursery) -> Renderer:
    renderer = Renderer(budget=1.0)
    await nursery.start(renderer.run)
    return renderer


async def test_templates_see_their_context_and_secrets(renderer: Renderer) -> None:
    template = Template("{secrets.who}: {% for a in event_args %}{a.filename} {% endfor %}", Secrets({"who": "me"}))
    context = {"event_args": [{"filename": "a"}, {"filename": "Bär {x}"}]}
    assert await renderer.render(template, context) == "me: a Bär {x}"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("The print is done", "The print is done"),
        ("{secrets.who}: { event_args[1].filename|upper } is {event_args[1]['state']}", "me: A.GCODE is complete"),
        ("{% if event_args[1].message %}{ event_args[1].message }{% else %}none{% endif %}", "none"),
        ("{ event_args[1].none|default('-') }{ 'x' if event_args[1].total_duration > 1 and not y else 'z' }", "-x"),
        ("{ event_args[1].total_duration|round|int }{# a remark #}{ 1 if nobody is defined else 2 }", "22"),
    ],
)
async def test_what_can_not_loop_or_grow_needs_no_process(renderer: Renderer, source: str, text: str) -> None:
    stats = {"filename": "a.gcode", "state": "complete", "message": "", "total_duration": 2.25}
    assert await renderer.render(Template(source, Secrets({"who": "me"})), {"event_args": [{}, stats]}) == text
    assert renderer.vitals() == {"idle": 0, "busy": 0}


@pytest.mark.parametrize(
    "source",
    [
        ENDLESS,
        "{ 2 * 3 }",
        "{ 'x' ~ 'y' }",
        "{ range(3) }",
        "{ 'x'|center(9) }",
        "{ 1.5|round(9) }",
        "{ x[y] }",
        "{ x[1:2] }",
        "{ 'a'.upper() }",
        "{% set x = 1 %}",
        "{% macro f() %}{% endmacro %}",
        "{% filter upper %}x{% endfilter %}",
        "{% do x.append(1) %}",
        "{ [1, 2] }",
        "{ x is divisibleby(3) }",
    ],
)
def test_what_might_loop_or_grow_is_kept_out_of_our_process(source: str) -> None:
    assert not is_straight(source)


@pytest.mark.parametrize("source", ["{ x.y.z }", "{% set a = 1 %}{ x.y.z }"])
async def test_a_template_that_raises_says_why(renderer: Renderer, source: str) -> None:
    with pytest.raises(TemplateFailed, match=r"^template failed: 'x' is undefined$"):
        await renderer.render(Template(source), {})
    assert await renderer.render(Template("{ 1 + 0 }"), {}) == "1"


async def test_one_that_never_ends_is_stopped_and_delays_nobody(renderer: Renderer) -> None:
    failed = []

    async def loop() -> None:
        with pytest.raises(TemplateFailed, match="not done within 1 s"):
            await renderer.render(Template(ENDLESS), {})
        failed.append(time.monotonic())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop)
        await trio.sleep(0.5)
        with trio.fail_after(20):
            assert await renderer.render(Template("{ x + 0 }"), {"x": 2}) == "2"
    assert len(failed) == 1
    assert await renderer.render(Template("{ x + 0 }"), {"x": 3}) == "3"


async def test_one_that_eats_memory_is_stopped(renderer: Renderer) -> None:
    with pytest.raises(TemplateFailed):
        await renderer.render(Template("{ 'x' * 10000000000 }"), {})
    with pytest.raises(TemplateFailed, match="longer than 65536 characters"):
        await renderer.render(Template("{ 'x' * 100000 }"), {})
    assert await renderer.render(Template("{ 1 + 0 }"), {}) == "1"


async def test_many_at_once_share_a_few_processes(renderer: Renderer) -> None:
    texts: list[str] = []

    async def render(number: int) -> None:
        texts.append(await renderer.render(Template("{ x + 0 }"), {"x": number}))

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(render, number)
    assert sorted(texts, key=int) == [str(number) for number in range(20)]
    idle = renderer.vitals()["idle"]
    assert isinstance(idle, int)
    assert 1 <= idle <= 3


async def test_a_process_that_can_not_start_is_no_fault_of_the_template(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(NoRenderer, match="no process for templates: No such file or directory"):
        await renderer.render(Template("{ 1 + 0 }"), {})
    monkeypatch.undo()
    assert await renderer.render(Template("{ 1 + 0 }"), {}) == "1"


def children() -> set[str]:
    lists = Path("/proc/self/task").glob("*/children")
    return {process for children in lists for process in children.read_text().split()}


async def test_no_process_outlives_its_renderer() -> None:
    before = children()
    async with trio.open_nursery() as nursery:
        renderer = Renderer()
        await nursery.start(renderer.run)
        await renderer.render(Template("{ 1 + 0 }"), {})
        assert len(children() - before) == 1
        nursery.cancel_scope.cancel()
    assert children() == before


async def test_a_process_that_was_killed_while_idle_costs_no_message(renderer: Renderer) -> None:
    template = Template("{% for a in x %}{a}{% endfor %}")
    before = children()
    assert await renderer.render(template, {"x": [1, 2]}) == "12"
    [worker] = children() - before
    os.kill(int(worker), signal.SIGKILL)  # the kernel does that when memory runs out
    await until(lambda: Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z")
    assert await renderer.render(template, {"x": [3, 4]}) == "34"


async def test_files_where_we_were_started_are_not_taken_for_modules(
    renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    assert await renderer.render(Template("{ 1 + 0 }"), {}) == "1"
