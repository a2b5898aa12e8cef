"""What an expression means, said plainly: one value at a time.

Values are numbers, texts, true, false, or None for what is missing. A comparison with something
missing does not hold, whatever the operator; ``not`` inverts. Arithmetic with something missing,
or without a finite result, is missing. A condition holds if it is there and true.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..record import Value
from .nodes import (
    Arithmetic,
    Call,
    Compare,
    Constant,
    Default,
    Feature,
    Given,
    In,
    Kind,
    Logic,
    Missing,
    Negate,
    Node,
    Not,
)

_NONE: Mapping[str, Value] = {}


@dataclass(frozen=True)
class Scope:
    """What an expression can read.

    Attributes
    ----------
    features
        By column, as `nextbest.features` names it; what is missing or expired is not in it.
    context, action, now, event
        By name; of an action its tags, and ``id``, ``value`` and ``cost``.
    channel
        Of the decision.
    """

    features: Mapping[str, Value] = field(default_factory=dict)
    context: Mapping[str, Value] = field(default_factory=dict)
    action: Mapping[str, Value] = field(default_factory=dict)
    now: Mapping[str, Value] = field(default_factory=dict)
    event: Mapping[str, Value] = field(default_factory=dict)
    channel: str | None = None

    def given(self, node: Given) -> Value:
        """Return what a reference reads."""
        if node.source == "channel":
            return self.channel
        found: Mapping[str, Value] = getattr(self, node.source, _NONE)
        return found.get(node.name)


def holds(node: Node, scope: Scope) -> bool:
    """Does a condition hold?

    >>> from nextbest.flows.decision.expressions import Names, parse, typed
    >>> condition = typed(parse("context.stock > 3"), "bool", Names())
    >>> [holds(condition, Scope(context={"stock": n})) for n in (2, 5, None)]
    [False, True, False]
    """
    return evaluate(node, scope) is True


def fits(value: Value, kind: Kind) -> bool:
    """Is a value there, and of that kind?"""
    if value is None:
        return False
    if isinstance(value, bool):
        return kind in ("bool", "any")
    if isinstance(value, str):
        return kind in ("string", "any")
    return kind in ("number", "any") and math.isfinite(value)


def evaluate(node: Node, scope: Scope) -> Value:
    """Return the value of a typed expression; None if it is missing."""
    match node:
        case Constant(value=value):
            return value
        case Feature():
            return _feature(node, scope)
        case Given(kind=kind):
            value = scope.given(node)
            return value if fits(value, kind) else None
        case Negate(operand=operand):
            number = evaluate(operand, scope)
            return None if number is None else -float(number)
        case Not(operand=operand):
            return not holds(operand, scope)
        case Logic(operator="and"):
            return holds(node.left, scope) and holds(node.right, scope)
        case Logic():
            return holds(node.left, scope) or holds(node.right, scope)
        case Missing(operand=operand, negated=negated):
            return (evaluate(operand, scope) is None) != negated
        case Default():
            value = evaluate(node.left, scope)
            return evaluate(node.right, scope) if value is None else value
        case Arithmetic(operator=operator):
            return _finite(evaluate(node.left, scope), operator, evaluate(node.right, scope))
        case Compare(operator=operator):
            return _compare(evaluate(node.left, scope), operator, evaluate(node.right, scope))
        case In(items=items, negated=negated):
            value = evaluate(node.operand, scope)
            return value is not None and (value in items) != negated
        case Call():
            return _call(node, scope)


def _feature(node: Feature, scope: Scope) -> Value:
    column = node.column
    if node.tag is not None:
        word = scope.action.get(node.tag)
        if not isinstance(word, str):
            return None
        column += f"[{word}]"
    value = scope.features.get(column)
    return value if fits(value, node.kind) else None


def _finite(left: Value, operator: str, right: Value) -> float | None:
    if left is None or right is None:
        return None
    a, b = float(left), float(right)
    try:
        match operator:
            case "+":
                found = a + b
            case "-":
                found = a - b
            case "*":
                found = a * b
            case _:
                found = a / b
    except ZeroDivisionError:
        return None
    return found if math.isfinite(found) else None


def _compare(left: Value, operator: str, right: Value) -> bool:
    if left is None or right is None:
        return False
    if operator == "==":
        return left == right
    if operator == "!=":
        return left != right
    a, b = float(left), float(right)
    match operator:
        case "<":
            return a < b
        case "<=":
            return a <= b
        case ">":
            return a > b
    return a >= b


def _call(node: Call, scope: Scope) -> float | None:
    numbers = []
    for argument in node.arguments:
        value = evaluate(argument, scope)
        if value is None:
            return None
        numbers.append(float(value))
    match node.function:
        case "min":
            return min(numbers)
        case "max":
            return max(numbers)
        case "abs":
            return abs(numbers[0])
        case "clip":
            return max(min(numbers[0], numbers[2]), numbers[1])
    return math.log1p(numbers[0]) if numbers[0] > -1.0 else None
