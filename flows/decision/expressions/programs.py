"""Expressions of a strategy, compiled together: each different one is a program, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from ....features.catalog import Catalog
from ....features.kernels.layout import F64, I64
from ..record import Value
from . import kernel as k
from .interpreting import fits
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

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER_US = 15 * 60 * 1_000_000
"""Zones are apart by whole quarters of an hour since 1972; so is ``now`` the same within one."""
_MISSING = float("nan")
_ARITHMETIC = {"+": k.ADD, "-": k.SUBTRACT, "*": k.MULTIPLY, "/": k.DIVIDE}
_COMPARISONS = {
    "==": k.EQUAL,
    "!=": k.DIFFERS,
    "<": k.LESS,
    "<=": k.AT_MOST,
    ">": k.GREATER,
    ">=": k.AT_LEAST,
}


def moment(at_us: int, zone: ZoneInfo) -> dict[str, Value]:
    """Return what ``now`` is.

    >>> moment(1_767_225_600_000_000, ZoneInfo("Europe/Berlin"))
    {'hour': 1, 'weekday': 4, 'day': 1, 'month': 1}
    """
    there = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)
    return {
        "hour": there.hour,
        "weekday": there.isoweekday(),
        "day": there.day,
        "month": there.month,
    }


class Extras:
    """What programs read that is no feature, one place each."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.words: dict[str, int] = {}
        self.spelled: list[str] = []
        self._zone = zone
        self._places: dict[tuple[str, str, Kind], int] = {}
        self._context: list[tuple[int, str, Kind]] = []
        self._now: list[tuple[int, str]] = []
        self._channel: int | None = None
        self._moment: tuple[int, list[float]] = (-1, [])

    def __len__(self) -> int:
        return len(self._places)

    def place(self, node: Given) -> int:
        """Return the place of a reference."""
        key = (node.source, node.name, node.kind)
        if key not in self._places:
            place = self._places[key] = len(self._places)
            if node.source == "context":
                self._context.append((place, node.name, node.kind))
            elif node.source == "now":
                self._now.append((place, node.name))
            else:
                self._channel = place
        return self._places[key]

    def word(self, text: str) -> int:
        """Return the number of a word."""
        if text not in self.words:
            self.words[text] = len(self.spelled)
            self.spelled.append(text)
        return self.words[text]

    def fill(
        self,
        out: F64 | list[float],
        context: Mapping[str, Value],
        channel: str,
        at_us: int,
        unknown: dict[str, float] | None = None,
        first: int = 0,
    ) -> None:
        """Write every place, the first to ``first``.

        Words that no program knows get numbers below 0, in ``unknown``.
        """
        if unknown is None:
            unknown = {}
        words = self.words
        for place, name, kind in self._context:
            value = context.get(name)
            if value is None or not fits(value, kind):
                out[first + place] = _MISSING
            elif isinstance(value, str):
                number = words.get(value)
                out[first + place] = (
                    unknown.setdefault(value, -1.0 - len(unknown)) if number is None else number
                )
            else:
                out[first + place] = value
        if self._channel is not None:
            number = words.get(channel)
            out[first + self._channel] = (
                unknown.setdefault(channel, -1.0 - len(unknown)) if number is None else number
            )
        if self._now:
            quarter, numbers = self._moment
            if quarter != at_us // _QUARTER_US:
                found = moment(at_us, self._zone)
                numbers = [float(found[name] or 0) for _, name in self._now]
                self._moment = (at_us // _QUARTER_US, numbers)
            for (place, _), moment_number in zip(self._now, numbers, strict=True):
                out[first + place] = moment_number


class Programs:
    """Typed expressions that share one table of programs.

    Parameters
    ----------
    catalog
        Of the customer's features only, in the order of a row's columns.
    zone
        Of ``now``.
    """

    def __init__(self, catalog: Catalog, zone: ZoneInfo) -> None:
        self.extras = Extras(zone)
        self.columns = len(catalog.columns)
        self._column = {column: i for i, column in enumerate(catalog.columns)}
        self._words = {
            f"{view.name}:{column}": feature.of_words or feature.vocabulary
            for view, feature in catalog.features()
            if feature.is_categorical
            for column in feature.columns
        }
        self._places: dict[Node, int] = {}
        self._code: list[tuple[int, int, int]] = []
        self._bounds = [0]
        self._constants: list[float] = []
        self._numbers: dict[float, int] = {}
        self._vocabularies: dict[Sequence[str], int] = {}
        self._deepest = 1

    def __len__(self) -> int:
        return len(self._places)

    @property
    def depth(self) -> int:
        """How deep a stack the programs need."""
        return self._deepest

    def add(self, node: Node) -> int:
        """Return the place of an expression's program; equal ones are the same."""
        place = self._places.get(node)
        if place is None:
            place = self._places[node] = len(self._places)
            self._deepest = max(self._deepest, self._write(node))
            self._bounds.append(len(self._code))
        return place

    def tables(self) -> k.ProgramTables:
        """Return the programs as arrays."""
        code: I64 = np.array(self._code, np.int64).reshape(-1)
        constants: F64 = np.array(self._constants, np.float64)
        bounds: I64 = np.array(self._bounds, np.int64)
        return k.ProgramTables(code, bounds, constants)

    def text(self, number: float, unknown: Mapping[str, float]) -> str | None:
        """Return the word of a number; None for NaN."""
        if number != number:
            return None
        if number < 0.0:
            return next(word for word, known in unknown.items() if known == number)
        return self.extras.spelled[int(number)]

    def _constant(self, value: float | str | bool | None) -> int:
        number = _MISSING if value is None else self._number(value)
        if number != number:
            self._constants.append(number)
            return len(self._constants) - 1
        if number not in self._numbers:
            self._numbers[number] = len(self._constants)
            self._constants.append(number)
        return self._numbers[number]

    def _number(self, value: float | str | bool) -> float:
        return float(self.extras.word(value) if isinstance(value, str) else value)

    def _put(self, code: int, a: int = 0, b: int = 0) -> None:
        self._code.append((code, a, b))

    def _write(self, node: Node) -> int:
        """Append a program; return how deep a stack it needs."""
        match node:
            case Constant(value=value):
                self._put(k.CONSTANT, self._constant(value))
            case Feature():
                self._feature(node)
            case Given():
                self._put(k.LOAD_EXTRA, self.extras.place(node))
            case Negate():
                return self._unary(k.NEGATE, node.operand)
            case Not():
                return self._unary(k.NOT, node.operand)
            case Missing(negated=negated):
                return self._unary(k.IS_PRESENT if negated else k.IS_MISSING, node.operand)
            case In(items=items, negated=negated):
                depth = self._write(node.operand)
                self._put(k.NOT_IN if negated else k.IN, len(self._constants), len(items))
                self._constants += [self._number(item) for item in items]
                return depth
            case Logic(operator=operator):
                return self._binary(k.AND if operator == "and" else k.OR, node.left, node.right)
            case Default():
                return self._binary(k.DEFAULT, node.left, node.right)
            case Arithmetic(operator=sign):
                return self._binary(_ARITHMETIC[sign], node.left, node.right)
            case Compare(operator=comparison):
                return self._binary(_COMPARISONS[comparison], node.left, node.right)
            case Call():
                return self._call(node)
        return 1

    def _feature(self, node: Feature) -> None:
        column = self._column[node.column]
        words = self._words.get(node.column)
        if words is None:
            self._put(k.LOAD, column)
            return
        if words not in self._vocabularies:
            self._vocabularies[words] = len(self._constants)
            self._constants += [float(len(words)), *map(self._number, words)]
        self._put(k.LOAD_WORD, column, self._vocabularies[words])

    def _unary(self, code: int, operand: Node) -> int:
        depth = self._write(operand)
        self._put(code)
        return depth

    def _binary(self, code: int, left: Node, right: Node) -> int:
        depth = max(self._write(left), 1 + self._write(right))
        self._put(code)
        return depth

    def _call(self, node: Call) -> int:
        if node.function in ("abs", "log1p"):
            return self._unary(k.ABS if node.function == "abs" else k.LOG1P, node.arguments[0])
        arguments, codes = node.arguments, [k.MINIMUM if node.function == "min" else k.MAXIMUM] * 8
        if node.function == "clip":
            arguments, codes = (arguments[0], arguments[2], arguments[1]), [k.MINIMUM, k.MAXIMUM]
        depth = self._write(arguments[0])
        for argument, code in zip(arguments[1:], codes, strict=False):
            depth = max(depth, 1 + self._write(argument))
            self._put(code)
        return depth
