"""Templates that can do no harm in our own process: each part is done once, and nothing in them can grow.

Most are like this: `Print of {event_args[1].filename} is {event_name}`. They need no process of their own, which takes
a second to start on a small Pi. Loops, calls, macros and arithmetic (`'x' * 10**11`) are not among them.
"""

from __future__ import annotations

from functools import lru_cache

from jinja2 import nodes

from trio_moon.config.sandbox import parse_template

_PARTS = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.If,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
)
_FILTERS = frozenset(
    {"upper", "lower", "title", "capitalize", "trim", "int", "float", "round", "length", "escape", "e"}
)
_WITH_A_DEFAULT = frozenset({"default", "d"})
_TESTS = frozenset({"defined", "undefined", "none", "string", "number"})


@lru_cache(maxsize=256)
def is_straight(source: str) -> bool:
    """Whether rendering this takes no longer than reading it and the values that it names."""
    return _is_straight(parse_template(source))


def _is_straight(node: nodes.Node) -> bool:
    match node:
        case nodes.Getitem(arg=nodes.Const()):
            return _is_straight(node.node)
        case nodes.Filter(name=name, args=args, kwargs=[], dyn_args=None, dyn_kwargs=None):
            plain = name in _FILTERS and not args
            with_default = name in _WITH_A_DEFAULT and all(isinstance(argument, nodes.Const) for argument in args)
            return (plain or with_default) and node.node is not None and _is_straight(node.node)
        case nodes.Test(name=name, args=[], kwargs=[], dyn_args=None, dyn_kwargs=None):
            return name in _TESTS and _is_straight(node.node)
        case _:
            return type(node) in _PARTS and all(_is_straight(child) for child in node.iter_child_nodes())
