"""Putting an action's tags in their places, and working out what is then known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..record import Value
from .interpreting import Scope, evaluate
from .nodes import (
    Arithmetic,
    Call,
    Compare,
    Constant,
    Default,
    Feature,
    Given,
    In,
    Logic,
    Missing,
    Negate,
    Node,
    Not,
    children,
)

_NOTHING = Scope()


def folded(node: Node, action: Mapping[str, Value] | None = None) -> Node:
    """Return an expression that means the same for an action, and no longer reads ``action``.

    Parameters
    ----------
    node
        A typed expression.
    action
        Tags, ``id``, ``value``, ``cost``; None: leave ``action`` as it is.

    Examples
    --------
    >>> from nextbest.flows.decision.expressions import Names, parse, typed
    >>> node = typed(parse("action.kind == 'tea' and context.stock > 1 + 2"), "bool", Names())
    >>> folded(node, {"kind": "tea"}).right.right.value, folded(node, {"kind": "hat"}).value
    (3.0, False)
    """
    if isinstance(node, Feature):
        return _feature(node, action)
    if isinstance(node, Given):
        if node.source != "action" or action is None:
            return node
        return Constant(evaluate(node, Scope(action=action)), node.at)
    node = _with(node, [folded(child, action) for child in children(node)])
    if isinstance(node, Logic):
        return _logic(node)
    parts = children(node)
    if parts and all(isinstance(part, Constant) for part in parts):
        return Constant(evaluate(node, _NOTHING), node.at)
    return node


def _feature(node: Feature, action: Mapping[str, Value] | None) -> Node:
    if node.tag is None or action is None:
        return node
    word = action.get(node.tag)
    return replace(node, key=word, tag=None) if isinstance(word, str) else Constant(None, node.at)


def _logic(node: Logic) -> Node:
    """Leave out a side that decides nothing; the other one is a condition as before."""
    decides = node.operator == "or"
    for side, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(side, Constant):
            if (side.value is True) == decides:
                return Constant(decides, node.at)
            return Constant(other.value is True, node.at) if isinstance(other, Constant) else other
    return node


def _with(node: Node, parts: list[Node]) -> Node:
    match node:
        case Negate() | Not() | In() | Missing():
            return replace(node, operand=parts[0])
        case Arithmetic() | Default() | Compare() | Logic():
            return replace(node, left=parts[0], right=parts[1])
        case Call():
            return replace(node, arguments=tuple(parts))
    return node
