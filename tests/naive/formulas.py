"""Features of other features, in plain Python, each with what its rounding error is relative to."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nextbest.features.derived import AnyExpression, Binary, Constant, Fill, Operand, Unary

State = Literal["present", "missing", "expired"]
TOLERANCE = 1e-9
"""Of its scale: how far a value may be off."""
CLOSE = 1e-6
"""Of its scale: what is nearer than this may be nothing but rounding error."""


@dataclass(frozen=True)
class Cell:
    """One number of a row, and the magnitude that its rounding error is relative to.

    ``scale`` is 0 for what must be equal bit for bit, and infinite where rounding decides
    what it is.
    """

    value: float | None
    state: State
    scale: float = 0.0


MISSING = Cell(None, "missing")
EXPIRED = Cell(None, "expired")
UNSURE = Cell(0.0, "present", math.inf)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def evaluate(node: AnyExpression, source: Callable[[str], Cell]) -> Cell:
    """Return a formula's cell; ``source`` gives those of its operands."""
    match node:
        case Operand(ref=ref):
            return source(ref)
        case Constant(value=value):
            return Cell(value, "present")
        case Fill(operand=operand, value=value):
            cell = evaluate(operand, source)
            return Cell(value, "present") if cell.value is None else cell
        case Unary(operator=name, operand=operand):
            return _unary(name, evaluate(operand, source))
        case Binary(operator=name, left=left, right=right):
            return _binary(name, evaluate(left, source), evaluate(right, source))


def _unary(name: str, cell: Cell) -> Cell:
    x, scale = cell.value, cell.scale
    if x is None or math.isinf(scale):
        return cell
    if name == "-":
        return Cell(-x, "present", scale)
    if name == "abs":
        return Cell(abs(x), "present", scale)
    assert name == "log1p"
    room = 1 + x
    if scale and room <= CLOSE * scale:
        return UNSURE
    if room <= 0:
        return MISSING
    return Cell(math.log1p(x), "present", 2 * scale / room + abs(math.log1p(x)))


def _binary(name: str, left: Cell, right: Cell) -> Cell:
    if name == "/":
        return divide(left, right)
    nothing = _nothing(left, right)
    if nothing is not None:
        return nothing
    assert left.value is not None
    assert right.value is not None
    a, b, error = left.value, right.value, left.scale + right.scale
    if name in _COMPARE:
        unsure = error and abs(a - b) <= CLOSE * error
        return UNSURE if unsure else Cell(float(_COMPARE[name](a, b)), "present")
    if name == "*":
        error = abs(a) * right.scale + abs(b) * left.scale + left.scale * right.scale * TOLERANCE
        return _finite(a * b, error)
    if name in ("+", "-"):
        return _finite(a + b if name == "+" else a - b, error)
    return _finite(min(a, b) if name == "minimum" else max(a, b), max(left.scale, right.scale))


def divide(numerator: Cell, denominator: Cell) -> Cell:
    """Return a quotient's cell."""
    nothing = _nothing(numerator, denominator)
    if nothing is not None:
        return nothing
    above, below = numerator.value, denominator.value
    assert above is not None
    assert below is not None
    if denominator.scale and abs(below) <= CLOSE * denominator.scale:
        return UNSURE
    if below == 0:
        return MISSING
    quotient = above / below
    error = max(numerator.scale, abs(above)) / abs(below)
    error += abs(quotient) * (denominator.scale / abs(below))
    return _finite(quotient, error)


def _nothing(left: Cell, right: Cell) -> Cell | None:
    """What becomes of two cells that are not two sure numbers."""
    if "expired" in (left.state, right.state):
        return EXPIRED
    if "missing" in (left.state, right.state):
        return MISSING
    return UNSURE if math.isinf(left.scale) or math.isinf(right.scale) else None


def _finite(value: float, scale: float) -> Cell:
    if scale and not abs(value) < 1e290:
        return UNSURE
    return Cell(value, "present", scale) if math.isfinite(value) else MISSING


def greatest(cells: list[Cell], k: int) -> list[Cell]:
    """Places of the ``k`` greatest that are above 0; of equal ones the first comes first."""
    if any(cell.state == "expired" for cell in cells):
        return [EXPIRED] * k
    numbers = {place: cell for place, cell in enumerate(cells) if cell.value is not None}
    # Where rounding decides whether a number is above 0, it decides every place.
    if any(cell.scale and abs(cell.value or 0.0) <= _blur(cell) for cell in numbers.values()):
        return [UNSURE] * k
    ranked = sorted((-(cell.value or 0.0), place) for place, cell in numbers.items())
    made = []
    for negative, place in ranked[:k]:
        if negative >= 0:
            break
        own = numbers.pop(place)
        unsure = any(
            own.scale + cell.scale > 0
            and abs(-negative - (cell.value or 0.0)) <= _blur(own) + _blur(cell)
            for cell in numbers.values()
        )
        if unsure:
            return made + [UNSURE] * (k - len(made))
        made.append(Cell(float(place), "present"))
    return made + [MISSING] * (k - len(made))


def _blur(cell: Cell) -> float:
    return CLOSE * cell.scale
