"""Stored rows as features of a time; knows no store.

It brings the compiler of the kernels with it: a process that only imports the client does without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..catalog import Catalog
from ..choosing import choose
from ..declaration import Feature, FeatureView
from ..errors import RowError, StateError, UnknownSchemaError
from ..kernels.layout import F64, I64, U8
from ..kernels.lookup import read_one, read_packed
from ..kernels.pack import BAD_CHECKSUM, BAD_LENGTH, BAD_MAGIC, OK, OTHER_SCHEMA
from ..kernels.read import MISSING, ReadTables
from ..plan import Plan
from ..rows import FeatureRows, empty_rows
from ..schema_ids import schema_ids

_DAMAGE = {
    BAD_MAGIC: "is not a row of ours",
    BAD_LENGTH: "is cut off or too long",
    BAD_CHECKSUM: "is damaged (checksum)",
}
_MOST_SCHEMAS = 256


class _Layout(NamedTuple):
    """How rows of one schema are read."""

    schema_id: int
    words: int
    reads: ReadTables


class RowDecoder:
    """Turns stored rows into features as of a time; knows no store.

    Parameters
    ----------
    plan
        Of one entity's views.
    chosen
        The features to read, as `Catalog.select` returns them; default: all.

    Examples
    --------
    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> v = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> RowDecoder(Plan.compile(Catalog(name="demo", views=[v]))).decode([None], 0).state
    array([[1]], dtype=uint8)
    """

    def __init__(
        self, plan: Plan, chosen: Sequence[tuple[FeatureView, Feature]] | None = None
    ) -> None:
        self.plan = plan
        self._chosen = tuple(plan.catalog.features() if chosen is None else chosen)
        self._columns = sum(len(feature.columns) for _, feature in self._chosen)
        reads = plan.reads if chosen is None else choose(plan, self._chosen)
        self._own = _Layout(plan.schema_id, plan.served_words, reads)
        self._learned: dict[int, _Layout | None] = {}

    def learn(self, catalog: Catalog) -> int:
        """Take in another declaration of the same rows; return the id of its schema.

        Features that a row's declaration lacks, or means otherwise, read as missing from it. A row
        that was found by other join keys is of another thing, and reads as none.

        Parameters
        ----------
        catalog
            Of the same name, with the views of the same entity.

        Raises
        ------
        StateError
            If it describes other rows.
        """
        mine = self.plan.catalog
        names = [entity.name for entity in catalog.entities]
        if catalog.name != mine.name or names != [mine.entity.name]:
            raise StateError(
                f"the declaration of {catalog.name!r} ({', '.join(names)}) is not of the rows of "
                f"{mine.name!r} ({mine.entity.name})"
            )
        plan = Plan.compile(catalog)
        is_same = catalog.entity.join_keys == mine.entity.join_keys
        # Whoever writes ever new schemas to the store must not fill the memory.
        if len(self._learned) >= _MOST_SCHEMAS:
            self._learned.clear()
        reads = choose(self.plan, self._chosen, stored=plan) if is_same else None
        for schema_id in schema_ids(catalog):
            self._learned[schema_id] = reads and _Layout(schema_id, plan.served_words, reads)
        return plan.schema_id

    def older(self, stored: Sequence[bytes | None]) -> npt.NDArray[np.bool_] | None:
        """Say which of n stored rows are of another declaration; None: none was ever read."""
        if not self._learned:
            return None
        own = self._own.schema_id.to_bytes(4, "little")
        return np.array([row is not None and row[:4] != own for row in stored], np.bool_)

    def decode(self, stored: Sequence[bytes | None], at: int | I64) -> FeatureRows:
        """Read n stored rows (None = unknown) as of ``at`` (microseconds, or int64[n]).

        Raises
        ------
        UnknownSchemaError
            Naming the ordinal of a row, and the declaration to `learn` before it can be read.
        RowError
            Naming the ordinal of a row that is damaged.
        """
        times: I64 = np.empty(len(stored), np.int64)
        times[:] = at
        rows, status = self._read(self._own, stored, times)
        if status is not None:
            self._read_others(rows, status, stored, times)
        return rows

    def decode_one(self, stored: bytes, at: int) -> tuple[F64, U8, int, int]:
        """Read one stored row; the fastest way for one.

        Returns
        -------
        float64[columns], uint8[columns], the log position and the age in milliseconds: what
        `decode` says of it.

        Raises
        ------
        UnknownSchemaError, RowError
            As `decode`.
        """
        own = self._own
        if not len(stored) % 8 and own.reads.columns == self._columns:
            values: F64 = np.empty(self._columns)
            state: U8 = np.empty(self._columns, np.uint8)
            status, age_ms, position = read_one(
                np.frombuffer(stored, np.uint64), own.schema_id, own.words, at, own.reads,
                values, state,
            )  # fmt: skip
            if status == OK:
                return values, state, int(position), int(age_ms)
        rows = self.decode([stored], at)
        return rows.values[0], rows.state[0], int(rows.positions[0]), int(rows.age_ms[0])

    def _read(
        self, layout: _Layout, stored: Sequence[bytes | None], times: I64
    ) -> tuple[FeatureRows, U8 | None]:
        """Read rows of one schema; return what became of each row unless all went well."""
        n = len(stored)
        try:
            joined = b"".join(stored)  # type: ignore[arg-type]  # that is what the error is for
            lengths: I64 = np.fromiter(map(len, stored), np.int64, n)  # type: ignore[arg-type]
        except TypeError:
            joined = b"".join([row for row in stored if row is not None])
            lengths = np.array([-1 if row is None else len(row) for row in stored], np.int64)
        packed = np.frombuffer(joined, np.uint64, len(joined) // 8)
        rows = empty_rows(n, layout.reads.columns)
        if layout is not self._own:
            # The tables say nothing of features that are not in these rows.
            rows.values.fill(np.nan)
            rows.state.fill(MISSING)
        status: U8 = np.empty(n, np.uint8)
        failed = read_packed(
            packed, lengths, layout.schema_id, layout.words, times, layout.reads, *rows, status
        )
        if layout.reads.columns > self._columns:
            kept = slice(self._columns)
            rows = rows._replace(values=rows.values[:, kept], state=rows.state[:, kept])
        return rows, status if failed else None

    def _read_others(
        self, rows: FeatureRows, status: U8, stored: Sequence[bytes | None], times: I64
    ) -> None:
        """Read the rows that are of other schemas to their places, or say what is wrong."""
        others: dict[int, list[int]] = {}
        unknown: UnknownSchemaError | None = None
        for ordinal in np.flatnonzero(status != OK).tolist():
            code = int(status[ordinal])
            if code != OTHER_SCHEMA:
                raise RowError(ordinal, _DAMAGE[code])
            schema_id = int.from_bytes((stored[ordinal] or b"")[:4], "little")
            others.setdefault(schema_id, []).append(ordinal)
            if schema_id not in self._learned:
                unknown = unknown or UnknownSchemaError(ordinal, schema_id)
        if unknown is not None:
            raise unknown
        for schema_id, ordinals in others.items():
            places = np.array(ordinals, np.int64)
            layout = self._learned[schema_id]
            texts = [None if layout is None else stored[ordinal] for ordinal in ordinals]
            found, failed = self._read(layout or self._own, texts, times[places])
            if failed is not None:
                bad = int(np.flatnonzero(failed != OK)[0])
                raise RowError(ordinals[bad], _DAMAGE[BAD_LENGTH])
            rows.put(places, found)
