"""Computed views as of now: from the ids asked for to the bytes of Feast's answer.

Imported at the first lookup, since it brings the compiler of the kernels with it: a process that
only applies or lists definitions does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..declaration import Feature
from ..errors import RowError as UnreadableRow
from ..kernels.layout import COUNT, I64, LAST, U8
from ..kernels.read import PRESENT
from ..online import RowDecoder, key_prefix, now_us
from ..plan import Plan
from ..state import FeatureRows
from . import wire
from .definitions import schema_tag
from .errors import RegistryError, RowError
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
_PACKED_HEAD = 2  # words before the bitmap of a packed row


class ServedRows(NamedTuple):
    """Features of n customers, and int64[n]: the newest event's microseconds, 0 if unknown."""

    rows: FeatureRows
    newest: I64


_Convert = Callable[[float], Any] | None


class _Part(NamedTuple):
    feature: Feature
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
    """Reads the rows of one catalog and writes them as Feast's messages; knows no store."""

    def __init__(self, plan: Plan) -> None:
        self.schema = schema_tag(plan)
        self._decoder = RowDecoder(plan)
        self._prefix = key_prefix(plan.catalog).decode()
        self._features: dict[tuple[str, str], tuple[int, Feature]] = {}
        column = 0
        for view, feature in plan.catalog.features():
            self._features[view.name, feature.name] = (column, feature)
            column += len(feature.columns)
        self._answers: dict[Wanted, _Answer] = {}

    def keys(self, ids: Sequence[str]) -> list[str]:
        """Return under which keys the rows of customers are stored."""
        return [self._prefix + customer_id for customer_id in ids]

    def read(self, ids: Sequence[str], stored: Sequence[bytes | None], at: int) -> ServedRows:
        """Read stored rows as of ``at``, microseconds.

        Raises
        ------
        RowError
            Naming the customer whose row is damaged or was written under another declaration.
        """
        try:
            rows = self._decoder.decode(stored, at)
        except UnreadableRow as error:
            raise RowError(
                f"the row of customer {ids[error.ordinal]!r} {error.reason}: is the worker running "
                "the catalog that was applied to the registry?"
            ) from error
        newest = np.array([0 if row is None else _newest(row) for row in stored], np.int64)
        newest[rows.age_ms < 0] = 0
        return ServedRows(rows, newest)

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
        """Return the same features as Python objects by customer, None where there is none."""
        answer = self._answer(wanted)
        values = served.rows.values[:, answer.columns].T.tolist()
        absent = (served.rows.state[:, answer.columns] != PRESENT).T.tolist()
        found = []
        start = 0
        for feature, convert in answer.parts:
            if not feature.is_vector:
                pairs = zip(values[start], absent[start], strict=True)
                if convert is None:
                    found.append([None if none else value for value, none in pairs])
                else:
                    found.append([None if none else convert(value) for value, none in pairs])
                start += 1
                continue
            stop = start + len(feature.columns)
            rows = zip(*values[start:stop], strict=True)
            gaps = zip(*absent[start:stop], strict=True)
            ragged = feature.is_ragged
            found.append([_array(*x, ragged, convert) for x in zip(rows, gaps, strict=True)])
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
            parts.append(_Part(feature, _converter(feature)))
            room += wire.BYTES_PER_CELL + width * (16 + max(map(len, own), default=0))
        return _Answer(
            np.array(table, np.int64).reshape(len(wanted), 5),
            np.cumsum([0, *map(len, words)], dtype=np.int64),
            np.frombuffer(b"".join(words) or b"\0", np.uint8),
            room,
            np.array(columns, np.int64),
            parts,
        )


def served(source: EventSource, schema: str) -> ServedCatalog:
    """Return the reader of a view's catalog, compiled once a process.

    Parameters
    ----------
    source
        The source of the view.
    schema
        The tag ``nextbest.schema`` of the view.

    Raises
    ------
    RegistryError
        If this version of nextbest would read the rows of that declaration otherwise.
    """
    catalog = _compiled(source.name, source.declaration)
    if schema != catalog.schema:
        raise RegistryError(
            f"the registry's views of {source.name!r} have schema {schema or 'none'}, but "
            f"their declaration now means schema {catalog.schema}: apply the catalog again"
        )
    return catalog


@lru_cache(maxsize=64)
def _compiled(name: str, declaration: bytes) -> ServedCatalog:
    return ServedCatalog(Plan.compile(EventSource(name=name, declaration=declaration).catalog))


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
    """Make one customer's array; one that is ragged ends at its first gap."""
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
