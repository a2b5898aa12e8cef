"""Expressions in words, for a person who writes none."""

from __future__ import annotations

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
)

_COMPARED = {
    "==": "is",
    "!=": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SOURCES = {"context": "the app's", "action": "the action's", "now": "the", "event": "the event's"}


def in_words(node: Node) -> str:
    """Say what an expression says.

    Examples
    --------
    >>> from nextbest.flows.decision.expressions import parse
    >>> in_words(parse("visits.views >= 3 and not (context.device in ['phone', 'tablet'])"))
    "visits.views is at least 3 and it is not so that the app's device is one of phone, tablet"
    >>> in_words(parse("(visits.spend ?? 0) > 10 or now.weekday == 7"))
    'visits.spend (0 if not known) is more than 10 or the weekday is Sunday'
    """
    match node:
        case Constant(value=value):
            return _constant(value)
        case Feature():
            return _feature(node)
        case Given(source="channel"):
            return "the channel"
        case Given(source=source, name=name):
            return f"{_SOURCES[source]} {name}"
        case Negate(operand=operand):
            return f"minus {_inner(operand)}"
        case Not(operand=operand):
            return f"it is not so that {_inner(operand)}"
        case Missing(operand=operand, negated=negated):
            return f"{in_words(operand)} is {'' if negated else 'not '}known"
        case Default(left=left, right=right):
            return f"{_inner(left)} ({in_words(right)} if not known)"
        case Arithmetic(operator=sign):
            return f"{_inner(node.left)} {sign} {_inner(node.right)}"
        case Compare(operator=comparison):
            left, right = node.left, node.right
            return f"{_side(left, right)} {_COMPARED[comparison]} {_side(right, left)}"
        case In(operand=operand, items=items, negated=negated):
            words = [_constant(i, weekday=_is_weekday(operand)) for i in items]
            return f"{in_words(operand)} is {'none' if negated else 'one'} of {', '.join(words)}"
        case Logic(operator=word):
            return f"{_part(node.left, word)} {word} {_part(node.right, word)}"
        case Call():
            return _call(node)


def _constant(value: float | str | bool | None, *, weekday: bool = False) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if weekday and value in range(1, 8):
            return _DAYS[int(value) - 1]
        return f"{value:.12g}"
    return "nothing" if value is None else value or "an empty text"


def _is_weekday(node: Node) -> bool:
    return isinstance(node, Given) and (node.source, node.name) == ("now", "weekday")


def _side(node: Node, other: Node) -> str:
    if isinstance(node, Constant):
        return _constant(node.value, weekday=_is_weekday(other))
    return in_words(node)


def _feature(node: Feature) -> str:
    name = f"{node.view}.{node.name}"
    if node.tag is not None:
        return f"{name} of the action's {node.tag}"
    if node.key is None:
        return name
    # The keys of the last or the top few are places.
    return f"{name} ({int(node.key) + 1}.)" if node.key.isdecimal() else f"{name} of {node.key}"


def _inner(node: Node) -> str:
    simple = isinstance(node, Constant | Feature | Given | Call | Default | Compare | Missing | In)
    return in_words(node) if simple else f"({in_words(node)})"


def _part(node: Node, word: str) -> str:
    mixed = isinstance(node, Logic) and node.operator != word
    return f"({in_words(node)})" if mixed else in_words(node)


def _call(node: Call) -> str:
    parts = [in_words(argument) for argument in node.arguments]
    match node.function:
        case "min":
            return f"the least of {', '.join(parts)}"
        case "max":
            return f"the greatest of {', '.join(parts)}"
        case "abs":
            return f"the size of {parts[0]}"
        case "clip":
            return f"{parts[0]} (at least {parts[1]}, at most {parts[2]})"
    return f"log(1 + {parts[0]})"
