"""From a catalog to the tables that the kernels interpret: no code is generated or compiled.

Features that need the same number share it: the mean and the sum of one property over one window
are three features of two operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .catalog import Catalog
from .declaration import Feature, FeatureView, Window
from .errors import DeclarationError
from .kernels import layout as L
from .kernels.read import ReadTables
from .kinds import FROM_FEATURES
from .predicates import PredicateCompiler
from .reads import compile_reads
from .schema_ids import schema_id

MAX_ROW_WORDS = 8192
_LINE = 8  # words of a cache line; rows begin on one
_PERIOD = 64  # half-lives between two bases of forward decay

_T = TypeVar("_T")
ScopeKey = tuple[str, int]
OpKey = tuple[int, ScopeKey, int, int, int, int, int, float]


@dataclass(slots=True)
class Scope:
    """A block of cells that lives and dies together: see `layout`."""

    key: ScopeKey
    kind: int
    span: int = 0
    tiles: int = 1
    keeps_previous: bool = False
    index: int = 0
    half_words: int = 0
    words: int = 0
    header: int = 0
    block: int = 0
    prev: int = 0
    prev2: int = -1


@dataclass(slots=True)
class Operation:
    """One cell (or one a key) and how an event changes it."""

    code: int
    scope: Scope
    predicate: int
    value: int = 0
    key: int = 0
    cells: int = 1
    extra: int = 0
    scale: float = 1.0
    stride: int = 1
    offset: int = 0

    @property
    def size(self) -> int:
        """Words (half words for a count) of all its cells."""
        return self.stride * self.cells


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled catalog.

    Attributes
    ----------
    catalog
        What it was compiled from.
    schema_id
        uint32 that changes when the meaning of a row changes.
    categorical
        ``(column, words)`` for every string column that an event record carries.
    numeric
        The numeric properties that an event record carries.
    words, header
        8-byte words of a row, and where its header begins: lookups need the words from there on.
    tables, reads
        What the kernels interpret.
    """

    catalog: Catalog
    schema_id: int
    categorical: tuple[tuple[str, tuple[str, ...]], ...]
    numeric: tuple[str, ...]
    words: int
    header: int
    tables: L.Tables
    reads: ReadTables

    @property
    def served_words(self) -> int:
        """Words of a row that a store holds."""
        return self.words - self.header

    @classmethod
    def compile(cls, catalog: Catalog) -> Plan:
        """Compile a catalog.

        Raises
        ------
        DeclarationError
            If a row would exceed 64 KiB, a filter is nested too deeply, or the views are of
            several entities: each has rows, and so a plan, of its own (`Catalog.of`).

        Examples
        --------
        >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
        >>> shop = EventSchema("shop", types=("view",), properties={"value": float})
        >>> views = FeatureView(
        ...     name="v",
        ...     source=shop,
        ...     features=[agg.mean("m", of="value", window="1h"), agg.sum("s", of="value")],
        ... )
        >>> plan = Plan.compile(Catalog(name="demo", views=[views]))
        >>> plan.numeric, len(plan.tables.operations)
        (('value',), 3)
        """
        if len(catalog.entities) > 1:
            names = ", ".join(entity.name for entity in catalog.entities)
            raise DeclarationError(catalog.name, f"compile one entity at a time: {names}")
        return _Compiler(catalog).finish()


class _Compiler:
    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.scopes: dict[ScopeKey, Scope] = {}
        self.operations: dict[OpKey, Operation] = {}
        self.values: list[tuple[int, int, int]] = [(L.V_ONE, 0, 0)]
        self.keys: list[tuple[int, int]] = [(-1, -1)]
        self.predicates = PredicateCompiler(catalog)

    def finish(self) -> Plan:
        plans = [
            (view, feature, self._operations_of(view, feature))
            for view, feature in self.catalog.features()
        ]
        words, header, hot_lines = self._lay_out()
        places = {key: i for i, key in enumerate(self.scopes)}
        tables = self._tables(words, header, hot_lines, places)
        reads = compile_reads(self.catalog, plans, tables.scopes, places, header)
        columns = self.predicates
        return Plan(
            catalog=self.catalog,
            schema_id=schema_id(self.catalog),
            categorical=tuple(columns.categorical.items()),
            numeric=tuple(columns.numeric),
            words=words,
            header=header,
            tables=tables,
            reads=reads,
        )

    def scope(self, view: FeatureView, window: Window) -> Scope:
        """Find or make the scope of a window; rings of one hop share tiles."""
        match window.kind:
            case "lifetime":
                made = Scope(("lifetime", 0), L.LIFETIME)
            case "decay":
                span = _PERIOD * window.half_life
                made = Scope(("decay", window.half_life), L.DECAY, span)
            case "sliding":
                made = Scope(("ring", window.hop), L.RING, window.hop)
            case _:
                made = Scope(("session", view.gap_us), L.SESSION, view.gap_us)
        scope = self.scopes.setdefault(made.key, made)
        if window.kind == "sliding":
            scope.tiles = max(scope.tiles, window.width // window.hop + 1)
        if window.kind == "last_session":
            scope.keeps_previous = True
        return scope

    def _operations_of(self, view: FeatureView, feature: Feature) -> list[Operation]:
        kind = feature.aggregation
        if kind in FROM_FEATURES:
            return []
        window = feature.window
        if window.kind == "sliding" and kind in ("last", "last_k", "time_since"):
            # What is newest of all is newest in every window that still holds it.
            window = Window("lifetime")
        scope = self.scope(view, window)
        predicate = self.predicates.add(f"{view.name}:{feature.name}", feature)
        if kind == "decayed":
            scale = feature.of if isinstance(feature.of, float) else 1.0
            made = [self._keyed(feature, L.OP_DECAY, scope, predicate, scale=scale)]
        elif kind in ("count", "evidence"):
            made = [self._keyed(feature, L.OP_COUNT, scope, predicate)]
        elif kind == "time_since":
            made = [self._keyed(feature, L.OP_SINCE, scope, predicate)]
        elif kind == "sum":
            made = [self._keyed(feature, L.OP_SUM, scope, predicate)]
        elif kind == "mean":
            made = [
                self._keyed(feature, L.OP_SUM, scope, predicate),
                self._keyed(feature, L.OP_COUNT, scope, predicate),
            ]
        elif kind in ("min", "max"):
            made = [self._keyed(feature, L.OP_MAX, scope, predicate, extra=int(kind == "min"))]
        elif kind == "distinct":
            bits = self._key(feature.of, feature.of_words)
            words = (len(feature.of_words) + 63) // 64
            made = [self._keyed(feature, L.OP_MASK, scope, predicate, extra=bits, stride=words)]
        elif kind == "last_k":
            k = feature.k
            made = [self._keyed(feature, L.OP_LAST_K, scope, predicate, extra=k, stride=2 * k)]
        else:
            code = {"first": L.OP_FIRST, "last": L.OP_LAST}[kind]
            made = [self._keyed(feature, code, scope, predicate, stride=2)]
        return [self._share(operation) for operation in made]

    def _keyed(
        self,
        feature: Feature,
        code: int,
        scope: Scope,
        predicate: int,
        *,
        extra: int = 0,
        scale: float = 1.0,
        stride: int = 1,
    ) -> Operation:
        has_value = code not in (L.OP_COUNT, L.OP_SINCE, L.OP_MASK)
        value = self._value(feature) if has_value else 0
        key, cells = 0, 1
        if feature.by is not None:
            key, cells = self._key(feature.by, feature.key_words), len(feature.key_words)
        return Operation(code, scope, predicate, value, key, cells, extra, scale, stride)

    def _share(self, op: Operation) -> Operation:
        identity = (
            op.code, op.scope.key, op.predicate, op.value, op.key, op.cells, op.extra, op.scale,
        )  # fmt: skip
        return self.operations.setdefault(identity, op)

    def _value(self, feature: Feature) -> int:
        if not isinstance(feature.of, str):
            return 0
        if feature.is_categorical:
            start = self.predicates.table(feature.of, feature.of_words)
            entry = (L.V_CODE, self.predicates.categorical_index(feature.of), start)
        else:
            entry = (L.V_NUMERIC, self.predicates.numeric_index(feature.of), 0)
        return _ordinal(self.values, entry)

    def _key(self, column: str | float | None, vocabulary: Sequence[str]) -> int:
        assert isinstance(column, str)
        start = self.predicates.table(column, vocabulary)
        return _ordinal(self.keys, (self.predicates.categorical_index(column), start))

    def _lay_out(self) -> tuple[int, int, int]:
        """Give every cell its place; return words, place of the header, lines every event needs."""
        operations = list(self.operations.values())
        for scope in self.scopes.values():
            own = [op for op in operations if op.scope is scope]
            for op in own:
                if op.code == L.OP_COUNT:
                    op.offset, scope.half_words = scope.half_words, scope.half_words + op.size
            scope.words = (scope.half_words + 1) // 2
            for op in own:
                if op.code != L.OP_COUNT:
                    op.offset, scope.words = scope.words, scope.words + op.size
        scopes = sorted(self.scopes.values(), key=lambda s: s.kind)
        self.scopes = {scope.key: scope for scope in scopes}
        seen = [0, 0, 0, 0]
        for scope in scopes:
            scope.index, seen[scope.kind] = seen[scope.kind], seen[scope.kind] + 1
        sessions = [scope for scope in scopes if scope.kind == L.SESSION]
        at = 0
        for scope in sessions:
            if scope.keeps_previous:
                scope.prev2 = at
            else:
                scope.prev = at
            at += scope.words
        ids = -(-at // _LINE) * _LINE
        header = ids + L.RECENT_IDS
        at = header + L.HEADER_WORDS
        for scope in scopes:
            scope.header = at
            if scope.kind == L.SESSION:
                at += 5 if scope.keeps_previous else 3
            elif scope.kind != L.LIFETIME:
                at += 1
        hot = at
        for scope in scopes:
            scope.block = at
            at += scope.words * (scope.tiles if scope.kind == L.RING else 1)
            if scope.keeps_previous:
                scope.prev, at = at, at + scope.words
            if scope.kind == L.SESSION:
                hot = at
        words = -(-at // _LINE) * _LINE
        if words > MAX_ROW_WORDS:
            raise DeclarationError(
                self.catalog.name, f"a row would take {words * 8} bytes, of at most 65536"
            )
        return words, header, -(-(hot - ids) // _LINE)

    def _tables(
        self, words: int, header: int, hot_lines: int, places: dict[ScopeKey, int]
    ) -> L.Tables:
        kinds = [scope.kind for scope in self.scopes.values()]
        config = [
            words,
            len(self.predicates.categorical),
            len(self.predicates.numeric),
            self.catalog.lateness_us,
            header,
            hot_lines,
            kinds.count(L.SESSION),
            kinds.count(L.SESSION) + kinds.count(L.LIFETIME),
            len(kinds) - kinds.count(L.RING),
        ]
        return L.Tables(
            config=np.array(config, np.int64),
            scopes=_matrix(
                [
                    (s.kind, s.block, s.words, s.header, s.span, s.tiles, s.prev, s.prev2, s.index)
                    for s in self.scopes.values()
                ],
                9,
            ),
            operations=_matrix(
                [
                    (
                        op.code,
                        places[op.scope.key],
                        op.predicate,
                        op.value,
                        op.key,
                        op.offset,
                        op.stride,
                        op.cells,
                        op.extra,
                    )
                    for op in self.operations.values()
                ],
                9,
            ),
            scales=np.array([op.scale for op in self.operations.values()], np.float64),
            program=_matrix(self.predicates.program, 3),
            # Kernels read a first constant, and code, whether or not there is one to be used.
            constants=np.array(self.predicates.constants or [0.0], np.float64),
            predicates=np.array(self.predicates.bounds, np.int64),
            codes=np.array(self.predicates.codes or [-1], np.int32),
            keys=_matrix(self.keys, 2),
            values=_matrix(self.values, 3),
        )


def _ordinal(entries: list[_T], entry: _T) -> int:
    if entry not in entries:
        entries.append(entry)
    return entries.index(entry)


def _matrix(rows: Sequence[Sequence[int]], columns: int) -> L.I64:
    """Stack rows into int64[n, columns], 2-D even when there are none."""
    return np.array(rows, np.int64).reshape(len(rows), columns)
