"""The read side of a plan: where each feature lies in a row and how it is finished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .catalog import Catalog
from .declaration import Feature, FeatureView
from .derived import (
    AnyExpression,
    Binary,
    BinaryOperator,
    Constant,
    Fill,
    Operand,
    Unary,
    UnaryOperator,
    operands,
    split_ref,
)
from .kernels import formula as D
from .kernels import read as R
from .kernels.layout import I64
from .kinds import FROM_FEATURES, Aggregation

if TYPE_CHECKING:
    from .plan import Operation

FeatureKey = tuple[str, str]
"""The names of a view and of its feature."""
Entry = list[int]
"""A row of `ReadTables.features`."""

_KINDS: dict[Aggregation, int] = {
    "count": R.R_COUNT,
    "sum": R.R_SUM,
    "mean": R.R_MEAN,
    "max": R.R_MAX,
    "min": R.R_MIN,
    "first": R.R_FIRST,
    "last": R.R_LAST,
    "last_k": R.R_LAST_K,
    "distinct": R.R_DISTINCT,
    "decayed": R.R_DECAYED,
    "time_since": R.R_SINCE,
    "evidence": R.R_EVIDENCE,
    "ratio": R.R_DERIVED,
    "derived": R.R_DERIVED,
    "top_k": R.R_TOP_K,
}
_UNARY: dict[UnaryOperator, int] = {"-": D.D_NEGATE, "abs": D.D_ABS, "log1p": D.D_LOG1P}
_BINARY: dict[BinaryOperator, int] = {
    "+": D.D_ADD,
    "-": D.D_SUBTRACT,
    "*": D.D_MULTIPLY,
    "/": D.D_DIVIDE,
    "minimum": D.D_MINIMUM,
    "maximum": D.D_MAXIMUM,
    "<": D.D_LESS,
    "<=": D.D_AT_MOST,
    ">": D.D_GREATER,
    ">=": D.D_AT_LEAST,
    "==": D.D_EQUAL,
    "!=": D.D_DIFFERS,
}


def compile_reads(
    catalog: Catalog,
    planned: Sequence[tuple[FeatureView, Feature, Sequence[Operation]]],
    scopes: I64,
    places: dict[tuple[str, int], int],
    header: int,
) -> R.ReadTables:
    """Compile how every feature is read: one entry each, in declared order.

    Parameters
    ----------
    catalog
        What is read.
    planned
        Every feature with its laid-out operations.
    scopes, places
        The scope table, and the ordinal of each scope in it.
    header
        Where the header of a row begins.
    """
    cells = {
        (view.name, feature.name): _entry(feature, operations, places)
        for view, feature, operations in planned
        if operations
    }
    return arrange(
        catalog, [(view, feature) for view, feature, _ in planned], cells, scopes, header
    )


def arrange(
    catalog: Catalog,
    chosen: Sequence[tuple[FeatureView, Feature]],
    cells: Mapping[FeatureKey, Entry],
    scopes: I64,
    header: int,
) -> R.ReadTables:
    """Arrange how chosen features are read: their columns first, then those that they need.

    Parameters
    ----------
    catalog
        Where the features are declared.
    chosen
        Features of the catalog, in the order of the columns.
    cells
        How each is read that lies in a row; one that is not here is missing.
    scopes, header
        As in `ReadTables`.
    """
    sources = Sources(catalog)
    columns = 0
    outs: dict[FeatureKey, list[int]] = {}
    for view, feature in chosen:
        outs.setdefault((view.name, feature.name), []).append(columns)
        columns += len(feature.columns)
    # A feature is declared after those that it reads.
    for key in reversed(sources.features):
        if key in outs:
            for needed, _ in sources.of(key):
                if needed not in outs:
                    outs[needed] = [columns]
                    columns += len(sources.features[needed][1].columns)
    program: list[tuple[int, int]] = []
    entries: list[Entry] = []
    for key, (view, feature) in sources.features.items():
        for out in outs.get(key, ()):
            entry = list(cells[key]) if key in cells else [0] * R.F_WORDS
            entry[R.F_OUT], entry[R.F_TTL] = out, view.ttl_us
            entry[R.F_CELLS] = len(feature.columns)
            if feature.aggregation in FROM_FEATURES:
                entry[R.F_KIND] = _KINDS[feature.aggregation]
                read = [outs[needed][0] + element for needed, element in sources.of(key)]
                if feature.aggregation == "top_k":
                    entry[R.F_FROM], entry[R.F_STOP] = read[0], len(feature.vocabulary)
                else:
                    entry[R.F_FROM] = len(program)
                    program += _postfix(_formula(feature), iter(read))
                    entry[R.F_STOP] = len(program)
            elif key not in cells:
                entry[R.F_KIND], entry[R.F_TTL] = R.R_ABSENT, 0
            entries.append(entry)
    return R.ReadTables(
        np.array(entries, np.int64).reshape(len(entries), R.F_WORDS),
        np.array(program, np.int64).reshape(len(program), 2),
        scopes,
        header,
        columns,
    )


class Sources:
    """The features of a catalog, and what those read that are made of others."""

    def __init__(self, catalog: Catalog) -> None:
        self.features = {(v.name, f.name): (v, f) for v, f in catalog.features()}

    def of(self, key: FeatureKey) -> list[tuple[FeatureKey, int]]:
        """Return the features that a feature reads, each with the element that it reads."""
        view, feature = self.features[key]
        if feature.aggregation not in FROM_FEATURES:
            return []
        found = []
        for ref in operands(_formula(feature)):
            other, name, element = split_ref(ref)
            source = (other or view.name, name)
            place = 0
            if element is not None:
                place = self.features[source][1].columns.index(f"{name}[{element}]")
            found.append((source, place))
        return found

    def needed(self, chosen: Iterable[FeatureKey]) -> set[FeatureKey]:
        """Return the features that are chosen, and all that they are made of."""
        found = set(chosen)
        # A feature is declared after those that it reads.
        for key in reversed(self.features):
            if key in found:
                found.update(source for source, _ in self.of(key))
        return found


def _entry(
    feature: Feature, operations: Sequence[Operation], places: dict[tuple[str, int], int]
) -> Entry:
    """Say where a feature's cells lie in a row."""
    cell = operations[0]
    entry = [0] * R.F_WORDS
    entry[R.F_KIND] = _KINDS[feature.aggregation]
    entry[R.F_SCOPE] = places[cell.scope.key]
    entry[R.F_OFFSET] = cell.offset
    entry[R.F_COUNT_OFFSET] = operations[-1].offset
    entry[R.F_WIDTH] = feature.window.width
    entry[R.F_HOP] = feature.window.hop or 1
    entry[R.F_LAST_SESSION] = int(feature.window.kind == "last_session")
    entry[R.F_STRIDE] = cell.stride
    return entry


def _formula(feature: Feature) -> AnyExpression:
    """Return what a feature that is made of others reads; a ratio is a quotient."""
    if feature.expression is not None:
        return feature.expression
    assert feature.numerator is not None
    assert feature.denominator is not None
    return Binary("/", Operand(feature.numerator), Operand(feature.denominator))


def _postfix(node: AnyExpression, columns: Iterator[int]) -> list[tuple[int, int]]:
    """Compile a formula, whose operands lie in these columns, in their order."""
    match node:
        case Operand():
            return [(D.D_OPERAND, next(columns))]
        case Constant(value=value):
            return [(D.D_CONSTANT, _bits(value))]
        case Fill(operand=operand, value=value):
            filled = _postfix(operand, columns)
            return [*filled, (D.D_FILL, _bits(value))]
        case Unary(operator=unary, operand=operand):
            return [*_postfix(operand, columns), (_UNARY[unary], 0)]
        case Binary(operator=binary, left=left, right=right):
            first = _postfix(left, columns)
            return [*first, *_postfix(right, columns), (_BINARY[binary], 0)]


def _bits(value: float) -> int:
    """Return the bits of a float64 as an int64."""
    return int(np.float64(value).view(np.int64))
