"""What an expression is made of. ``at`` is the place in the text, from 1; it makes no difference.

Two nodes are equal if they mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind = Literal["number", "string", "bool", "any"]
"""The type of a value; ``any`` is known only when it is there."""
Source = Literal["context", "action", "now", "event", "channel"]
ArithmeticOperator = Literal["+", "-", "*", "/"]
CompareOperator = Literal["==", "!=", "<", "<=", ">", ">="]
Function = Literal["min", "max", "abs", "log1p", "clip"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a text, or true or false; None is missing."""

    value: float | str | bool | None
    at: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Feature:
    """``view.name``, or with a key: a word, or the action's tag that says the word."""

    view: str
    name: str
    key: str | None = None
    tag: str | None = None
    at: int = field(default=1, compare=False)
    kind: Kind = "any"

    @property
    def column(self) -> str:
        """As `nextbest.features` names it."""
        return f"{self.view}:{self.name}" + (f"[{self.key}]" if self.key is not None else "")

    @property
    def written(self) -> str:
        """As it stands in an expression."""
        key = f"action.{self.tag}" if self.tag is not None else self.key
        return f"{self.view}.{self.name}" + (f"[{key}]" if key is not None else "")


@dataclass(frozen=True, slots=True)
class Given:
    """``context.name``, ``action.name``, ``now.name``, ``event.name`` or ``channel``.

    A value of another type than ``kind`` counts as missing.
    """

    source: Source
    name: str = ""
    at: int = field(default=1, compare=False)
    kind: Kind = "any"

    @property
    def written(self) -> str:
        """As it stands in an expression."""
        return f"{self.source}.{self.name}" if self.name else self.source


@dataclass(frozen=True, slots=True)
class Negate:
    """``-operand``."""

    operand: Node
    at: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """The operand does not hold."""

    operand: Node
    at: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``left <operator> right``; missing if either is, or if the result is not finite."""

    operator: ArithmeticOperator
    left: Node
    right: Node
    at: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Default:
    """``left ?? right``: the right one where the left is missing."""

    left: Node
    right: Node
    at: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """``left <operator> right``; does not hold if either is missing."""

    operator: CompareOperator
    left: Node
    right: Node
    at: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class In:
    """``operand in [...]``, or not in it; neither holds if the operand is missing."""

    operand: Node
    items: tuple[float | str | bool, ...]
    negated: bool = False
    at: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Missing:
    """``operand is missing``, or is not."""

    operand: Node
    negated: bool = False
    at: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """Both hold, or at least one."""

    operator: Literal["and", "or"]
    left: Node
    right: Node
    at: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function of numbers."""

    function: Function
    arguments: tuple[Node, ...]
    at: int = field(default=1, compare=False)


Node: TypeAlias = (
    Constant
    | Feature
    | Given
    | Negate
    | Not
    | Arithmetic
    | Default
    | Compare
    | In
    | Missing
    | Logic
    | Call
)


def children(node: Node) -> tuple[Node, ...]:
    """Return what a node is of, from left to right."""
    match node:
        case Negate() | Not() | In() | Missing():
            return (node.operand,)
        case Arithmetic() | Default() | Compare() | Logic():
            return (node.left, node.right)
        case Call():
            return node.arguments
    return ()


def leaves(node: Node) -> list[Feature | Given]:
    """Return what a node reads, from left to right."""
    waiting, found = [node], []
    while waiting:
        one = waiting.pop()
        if isinstance(one, Feature | Given):
            found.append(one)
        waiting += reversed(children(one))
    return found


def conjuncts(node: Node) -> list[Node]:
    """Return the conditions that must all hold for this one to hold."""
    if isinstance(node, Logic) and node.operator == "and":
        return conjuncts(node.left) + conjuncts(node.right)
    return [node]
