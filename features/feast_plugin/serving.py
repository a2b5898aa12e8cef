"""Computed views as of now: from the ids asked for to the bytes of Feast's answer.

Imported at the first lookup, since it brings the compiler of the kernels with it: a process that
only applies or lists definitions does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..declaration import Feature
from ..declared import pick_schema, schema_key
from ..entity_keys import key_text
from ..errors import RowError as UnreadableRow
from ..errors import SettingsError, StateError, UnknownSchemaError
from ..kernels.layout import COUNT, I64, LAST, U8
from ..kernels.read import PRESENT
from ..online import RowDecoder, key_prefix, now_us
from ..plan import Plan
from ..state import FeatureRows
from . import wire
from .definitions import schema_tag
from .errors import IdError, RegistryError, RowError
from .source import EventSource

__all__ = ["ServedCatalog", "ServedRows", "now_us", "served"]

_KINDS = {
    ("int64", False): wire.W_INT,
    ("float64", False): wire.W_FLOAT,
    ("string", False): wire.W_STRING,
    ("int64", True): wire.W_INTS,
    ("float64", True): wire.W_FLOATS,
    ("string", True): wire.W_STRINGS,
}
Wanted = tuple[tuple[str, str], ...]
"""Features of a catalog, as ``(view, feature)``."""
Command = tuple[str | bytes, ...]
"""A command of the store, as its name and its arguments."""
_MOST_SCHEMAS = 256  # in one lookup
_PACKED_HEAD = 2  # words before the bitmap of a packed row


@dataclass(frozen=True)
class ServedRows:
    """Features of n keys of an entity, read from their stored rows."""

    rows: FeatureRows
    stored: Sequence[bytes | None]

    @cached_property
    def newest(self) -> I64:
        """int64[n]: the newest event's microseconds, 0 if unknown."""
        newest = np.array([0 if row is None else _newest(row) for row in self.stored], np.int64)
        newest[self.rows.age_ms < 0] = 0
        return newest


_Convert = Callable[[float], Any] | None


class _Part(NamedTuple):
    """How the numbers of one feature become Python values."""

    width: int
    is_vector: bool
    is_ragged: bool
    convert: _Convert


class _Answer(NamedTuple):
    """What to write for one choice of features: see `wire.encode_features`."""

    features: I64
    bounds: I64
    arena: U8
    bytes_per_row: int
    columns: I64  # of a row, those of each feature after those of the one before
    parts: list[_Part]


class ServedCatalog:
    """Reads the rows of one entity and writes them as Feast's messages; knows no store.

    Attributes
    ----------
    entity
        What the rows describe.
    schema
        What the tag ``nextbest.schema`` of its views says.
    """

    def __init__(self, plan: Plan) -> None:
        self.entity = plan.catalog.entity
        self._catalog = plan.catalog.name
        self.schema = schema_tag(plan)
        self._decoder = RowDecoder(plan)
        self._prefix = key_prefix(plan.catalog).decode()
        self._features: dict[tuple[str, str], tuple[int, Feature]] = {}
        column = 0
        for view, feature in plan.catalog.features():
            self._features[view.name, feature.name] = (column, feature)
            column += len(feature.columns)
        self._answers: dict[Wanted, _Answer] = {}

    def feature(self, view: str, name: str) -> Feature:
        """Return how a feature was declared."""
        return self._features[view, name][1]

    def texts(self, columns: Sequence[Sequence[str]]) -> Sequence[str]:
        """Return the key texts of n things: strings by join key, in declared order.

        Raises
        ------
        IdError
            If one is no text; of a single join key, the store's client finds out.
        """
        if len(columns) == 1:
            return columns[0]
        try:
            return [key_text(self.entity, parts) for parts in zip(*columns, strict=True)]
        except SettingsError as error:
            raise IdError(str(error)) from None

    def lookup(self, texts: Sequence[str]) -> Generator[Command, Any, ServedRows]:
        """Read the rows of n things as of when they come, whoever talks to the store.

        Parameters
        ----------
        texts
            The key texts.

        Yields
        ------
        Command
            To be answered with the reply of the store.

        Returns
        -------
        ServedRows
            The features, in the order of ``texts``.

        Raises
        ------
        RowError
            Naming whose row is damaged, or of a declaration that is not in the store.
        """
        if not texts:
            return self._read(texts, [])
        stored = yield ("MGET", *[self._prefix + text for text in texts])
        for _ in range(_MOST_SCHEMAS):
            try:
                return self._read(texts, stored)
            except UnknownSchemaError as error:
                self._learn(error, texts, (yield ("GET", self._schema_key(error.schema_id))))
        raise RowError(f"rows of more than {_MOST_SCHEMAS} schemas in one lookup")

    def _read(self, texts: Sequence[str], stored: Sequence[bytes | None]) -> ServedRows:
        """Read stored rows as of now; here and nowhere else are they decoded."""
        try:
            return ServedRows(self._decoder.decode(stored, now_us()), stored)
        except UnknownSchemaError:
            raise
        except UnreadableRow as error:
            raise RowError(f"{self._row(texts, error)} {error.reason}") from error

    def _learn(self, error: UnknownSchemaError, texts: Sequence[str], reply: object) -> None:
        """Take in the declaration that a row was written under, if the store has it."""
        try:
            known = pick_schema(reply, self._catalog, self.entity, error.schema_id)
        except StateError as other:
            raise RowError(f"{self._row(texts, error)} {error.reason}: {other}") from other
        if known is None:
            raise RowError(
                f"{self._row(texts, error)} {error.reason}: is the worker running a catalog that "
                "was applied to the registry?"
            ) from error
        self._decoder.learn(known)

    def _schema_key(self, schema_id: int) -> bytes:
        return schema_key(self._catalog, self.entity, schema_id)

    def _row(self, texts: Sequence[str], error: UnreadableRow) -> str:
        return f"the row of {self.entity.name} {texts[error.ordinal]!r}"

    def encode(self, served: ServedRows, wanted: Wanted) -> bytes:
        """Encode features ``(view, feature)`` as ``results`` of Feast's response, in this order."""
        answer = self._answer(wanted)
        values, state = served.rows[:2]
        n = len(served.newest)
        out: U8 = np.empty(answer.bytes_per_row * n + 64 * len(wanted), np.uint8)
        length = wire.encode_features(  # type: ignore[no-untyped-call]  # see `wire`
            values, values.view(np.uint64), state, served.newest, answer.features,
            answer.bounds, answer.arena, out,
        )  # fmt: skip
        return out[:length].tobytes()

    def to_lists(self, served: ServedRows, wanted: Wanted) -> list[list[Any]]:
        """Return the same features as Python objects by row, None where there is none."""
        answer = self._answer(wanted)
        values = served.rows.values[:, answer.columns].T.tolist()
        gaps = served.rows.state[:, answer.columns] != PRESENT
        has_gaps = gaps.any(axis=0).tolist()
        absent = gaps.T.tolist() if True in has_gaps else []
        found: list[list[Any]] = []
        start = 0
        for width, is_vector, is_ragged, convert in answer.parts:
            stop = start + width
            if is_vector:
                rows = zip(*values[start:stop], strict=True)
                if True in has_gaps[start:stop]:
                    each = zip(rows, zip(*absent[start:stop], strict=True), strict=True)
                    found.append([_array(row, gap, is_ragged, convert) for row, gap in each])
                elif convert is None:
                    found.append([[*row] for row in rows])
                else:
                    found.append([[*map(convert, row)] for row in rows])
            elif has_gaps[start]:
                pairs = zip(values[start], absent[start], strict=True)
                if convert is None:
                    found.append([None if none else value for value, none in pairs])
                else:
                    found.append([None if none else convert(value) for value, none in pairs])
            else:
                found.append(values[start] if convert is None else [*map(convert, values[start])])
            start = stop
        return found

    def _answer(self, wanted: Wanted) -> _Answer:
        found = self._answers.get(wanted)
        if found is None:
            # Whoever asks for ever new choices of features must not fill the memory.
            if len(self._answers) >= 256:
                self._answers.clear()
            found = self._answers[wanted] = self._compile(wanted)
        return found

    def _compile(self, wanted: Wanted) -> _Answer:
        table, columns = list[list[int]](), list[int]()
        words, parts = list[bytes](), list[_Part]()
        room = 0
        for name in wanted:
            column, feature = self._features[name]
            width = len(feature.columns)
            own = [word.encode() for word in feature.vocabulary] if feature.is_categorical else []
            entry = [0] * 5
            entry[wire.A_KIND] = _KINDS[feature.dtype, feature.is_vector]
            entry[wire.A_START], entry[wire.A_WIDTH] = column, width
            entry[wire.A_WORD] = len(words)
            entry[wire.A_RAGGED] = int(feature.is_ragged)
            table.append(entry)
            words += own
            columns += range(column, column + width)
            parts.append(
                _Part(width, feature.is_vector, bool(entry[wire.A_RAGGED]), _converter(feature))
            )
            room += wire.BYTES_PER_CELL + width * (16 + max(map(len, own), default=0))
        return _Answer(
            np.array(table, np.int64).reshape(len(wanted), 5),
            np.cumsum([0, *map(len, words)], dtype=np.int64),
            np.frombuffer(b"".join(words) or b"\0", np.uint8),
            room,
            np.array(columns, np.int64),
            parts,
        )


def served(source: EventSource, view: str, schema: str) -> ServedCatalog:
    """Return the reader of a view's entity, compiled once a process.

    Parameters
    ----------
    source
        The source of the view.
    view
        The view's name.
    schema
        The tag ``nextbest.schema`` of the view.

    Raises
    ------
    RegistryError
        If this version of nextbest would read the rows of that declaration otherwise.
    """
    catalog = _compiled(source.name, source.declaration).get(view)
    if catalog is None:
        raise RegistryError(
            f"the declaration in data source {source.name!r} has no view {view!r}: apply the "
            "catalog again"
        )
    if schema != catalog.schema:
        raise RegistryError(
            f"the registry's view {view!r} of {source.name!r} has schema {schema or 'none'}, but "
            f"its declaration now means schema {catalog.schema}: apply the catalog again"
        )
    return catalog


@lru_cache(maxsize=64)
def _compiled(name: str, declaration: bytes) -> dict[str, ServedCatalog]:
    """Compile a catalog: the reader of each view, by name."""
    catalog = EventSource(name=name, declaration=declaration).catalog
    readers = {
        entity.name: ServedCatalog(Plan.compile(catalog.of(entity.name)))
        for entity in catalog.entities
    }
    return {view.name: readers[view.entity.name] for view in catalog.views}


def _converter(feature: Feature) -> _Convert:
    """Return what makes a Python value of a feature from its number, None if that is the value."""
    if feature.dtype == "float64":
        return None
    if feature.dtype == "int64":
        return int
    words = feature.vocabulary
    return lambda place: words[int(place)] if place == place else ""  # a gap in an array


def _array(
    row: Sequence[float],
    gaps: Sequence[bool],
    ragged: bool,
    convert: _Convert,
) -> list[Any] | None:
    """Make one array; one that is ragged ends at its first gap."""
    if all(gaps):
        return None
    width = gaps.index(True) if ragged and True in gaps else len(row)
    return [*row[:width]] if convert is None else [convert(value) for value in row[:width]]


def _newest(row: bytes) -> int:
    """Read the time of the newest event from a packed row that has been checked.

    The header begins the row; its first words, the count and the time, are never zero, so that
    they are the first that were kept.
    """
    words = int.from_bytes(row[4:6], "little")
    at = 8 * (_PACKED_HEAD + (words + 63) // 64 + LAST - COUNT)
    return int.from_bytes(row[at : at + 8], "little")
