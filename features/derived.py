"""Features computed from other features when they are read, written as Python arithmetic.

`feature` stands for the features that are declared before: ``feature.spend_30d / feature.views``,
``feature["affinity[shoes]"]`` for an element of a vector, ``feature["visits:views"]`` for a feature
of another view of the same entity.

Every step yields a float64, or nothing: expired if an operand is expired, else missing if an
operand is missing or the result is not a finite number, as over 0. ``fill`` puts a constant in the
place of either.

>>> feature.spend / feature.views
feature.spend / feature.views
>>> ((feature.spend / feature.views).fill(0.0) > 10) * feature["affinity[shoes]"].log1p()
((feature.spend / feature.views).fill(0.0) > 10.0) * feature['affinity[shoes]'].log1p()
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from .errors import DeclarationError

MAX_STEPS = 256
"""Operands, constants and operations of one formula."""
MAX_DEPTH = 32
"""Levels of one formula: what its evaluation keeps at a time."""

UnaryOperator = Literal["-", "abs", "log1p"]
BinaryOperator = Literal[
    "+", "-", "*", "/", "minimum", "maximum", "<", "<=", ">", ">=", "==", "!="
]  # fmt: skip


class Expression(msgspec.Struct, frozen=True, tag=True):
    """A formula as it is stored; written with `feature`."""


class Operand(Expression, frozen=True, tag=True):
    """A feature: ``name``, ``view:name``, or an element of a vector, ``name[key]``."""

    ref: str


class Constant(Expression, frozen=True, tag=True):
    """A finite number."""

    value: float


class Unary(Expression, frozen=True, tag=True):
    """``<operator> operand``."""

    operator: UnaryOperator
    operand: AnyExpression


class Binary(Expression, frozen=True, tag=True):
    """``left <operator> right``; a comparison is 1.0 where it holds and else 0.0."""

    operator: BinaryOperator
    left: AnyExpression
    right: AnyExpression


class Fill(Expression, frozen=True, tag=True):
    """The operand, and ``value`` where it is missing or expired."""

    operand: AnyExpression
    value: float


AnyExpression: TypeAlias = Operand | Constant | Unary | Binary | Fill


class Formula:
    """What `feature` and its operators make: an expression under way."""

    __slots__ = ("expression",)
    __hash__ = None  # type: ignore[assignment]  # == makes a formula, so a formula has no hash

    def __init__(self, expression: AnyExpression) -> None:
        self.expression = expression

    def __repr__(self) -> str:
        return _written(self.expression)

    def __bool__(self) -> bool:
        raise TypeError("a formula has no truth value: comparisons give 1.0 and 0.0, multiply them")

    def __add__(self, other: Formula | float) -> Formula:
        return _binary("+", self, other)

    def __radd__(self, other: float) -> Formula:
        return _binary("+", other, self)

    def __sub__(self, other: Formula | float) -> Formula:
        return _binary("-", self, other)

    def __rsub__(self, other: float) -> Formula:
        return _binary("-", other, self)

    def __mul__(self, other: Formula | float) -> Formula:
        return _binary("*", self, other)

    def __rmul__(self, other: float) -> Formula:
        return _binary("*", other, self)

    def __truediv__(self, other: Formula | float) -> Formula:
        return _binary("/", self, other)

    def __rtruediv__(self, other: float) -> Formula:
        return _binary("/", other, self)

    def __neg__(self) -> Formula:
        return Formula(Unary("-", self.expression))

    def __abs__(self) -> Formula:
        return Formula(Unary("abs", self.expression))

    def __lt__(self, other: Formula | float) -> Formula:
        return _binary("<", self, other)

    def __le__(self, other: Formula | float) -> Formula:
        return _binary("<=", self, other)

    def __gt__(self, other: Formula | float) -> Formula:
        return _binary(">", self, other)

    def __ge__(self, other: Formula | float) -> Formula:
        return _binary(">=", self, other)

    def __eq__(self, other: object) -> Formula:  # type: ignore[override]  # a formula, not a bool
        return _binary("==", self, other)

    def __ne__(self, other: object) -> Formula:  # type: ignore[override]  # a formula, not a bool
        return _binary("!=", self, other)

    def log1p(self) -> Formula:
        """Return log(1 + x); missing where x is -1 or less."""
        return Formula(Unary("log1p", self.expression))

    def clip(self, lo: float, hi: float) -> Formula:
        """Return the formula, but at least ``lo`` and at most ``hi``."""
        if not _number(lo) <= _number(hi):
            raise ValueError(f"clip to at least {lo!r} and at most {hi!r}")
        return maximum(minimum(self, hi), lo)

    def fill(self, value: float) -> Formula:
        """Return the formula, and ``value`` where it is missing or expired.

        A customer who is not known has no features, whatever they are filled with.
        """
        return Formula(Fill(self.expression, _number(value)))


def minimum(left: Formula | float, right: Formula | float) -> Formula:
    """Return the lesser of two.

    >>> minimum(feature.views, 10)
    minimum(feature.views, 10.0)
    """
    return _binary("minimum", left, right)


def maximum(left: Formula | float, right: Formula | float) -> Formula:
    """Return the greater of two."""
    return _binary("maximum", left, right)


class _Features:
    """Attribute or item access gives a `Formula`."""

    def __getattr__(self, name: str) -> Formula:
        if name.startswith("__"):
            raise AttributeError(name)
        return Formula(Operand(name))

    def __getitem__(self, ref: str) -> Formula:
        if not isinstance(ref, str):
            raise TypeError(f"feature[{ref!r}]: a feature is named by a string")
        return Formula(Operand(ref))


feature = _Features()
"""The features in a formula."""


def split_ref(ref: str) -> tuple[str | None, str, str | None]:
    """Split ``view:name[key]`` into its parts; a key may hold any character.

    >>> split_ref("visits:affinity[a:b]"), split_ref("views")
    (('visits', 'affinity', 'a:b'), (None, 'views', None))
    """
    head, bracket, key = ref.partition("[")
    if bracket and not key.endswith("]"):
        return None, ref, None
    view, colon, name = head.rpartition(":")
    return view if colon else None, name, key[:-1] if bracket else None


def operands(expression: AnyExpression) -> Iterator[str]:
    """Yield what a formula reads, from left to right."""
    waiting: list[AnyExpression] = [expression]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Operand):
            yield node.ref
        waiting += reversed(_children(node))


def check_expression(where: str, expression: object) -> None:
    """Check what a formula says by itself.

    Raises
    ------
    DeclarationError
        If it is none, is too long or too deep, or reads no feature.
    """
    if not isinstance(expression, Expression):
        raise DeclarationError(
            where, f"a formula such as feature.a / feature.b is needed, not {expression!r}"
        )
    waiting: list[tuple[AnyExpression, int]] = [(expression, 1)]  # type: ignore[list-item]  # it is one of them
    size = 0
    while waiting:
        node, depth = waiting.pop()
        size += 1
        if size > MAX_STEPS:
            raise DeclarationError(where, f"the formula has more than {MAX_STEPS} steps")
        if depth > MAX_DEPTH:
            raise DeclarationError(where, f"the formula is more than {MAX_DEPTH} levels deep")
        if isinstance(node, Constant | Fill) and not math.isfinite(node.value):
            raise DeclarationError(where, f"{node.value!r} is not a finite number")
        waiting += [(child, depth + 1) for child in _children(node)]
    if next(operands(expression), None) is None:  # type: ignore[arg-type]  # it is one of them
        raise DeclarationError(where, "the formula reads no feature")


def _children(node: AnyExpression) -> tuple[AnyExpression, ...]:
    match node:
        case Unary(operand=operand) | Fill(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return (left, right)
    return ()


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a formula is of features and numbers, not {value!r}")
    if not -1e300 < value < 1e300:
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _binary(operator: BinaryOperator, left: object, right: object) -> Formula:
    return Formula(Binary(operator, _node(left), _node(right)))


def _node(value: object) -> AnyExpression:
    return value.expression if isinstance(value, Formula) else Constant(_number(value))


def _written(node: AnyExpression, inside: bool = False) -> str:
    """Write a formula as it is written in Python."""
    match node:
        case Operand(ref=ref):
            return f"feature.{ref}" if ref.isidentifier() else f"feature[{ref!r}]"
        case Constant(value=value):
            return repr(value)
        case Fill(operand=operand, value=value):
            return f"{_written(operand, True)}.fill({value!r})"
        case Unary(operator="-", operand=operand):
            text = f"-{_written(operand, True)}"
        case Unary(operator="abs", operand=operand):
            return f"abs({_written(operand)})"
        case Unary(operator=name, operand=operand):
            return f"{_written(operand, True)}.{name}()"
        case Binary(operator="minimum" | "maximum" as name, left=left, right=right):
            return f"{name}({_written(left)}, {_written(right)})"
        case Binary(operator=symbol, left=left, right=right):
            text = f"{_written(left, True)} {symbol} {_written(right, True)}"
    return f"({text})" if inside else text
