"""Decoding lines of JSON one by one: exact about what is wrong, kind to all that is right."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .arrow_columns import TIME_TYPE, WORDS_TYPE, Findings, check_id, check_timestamps
from .decoded import Rejected
from .event_check import BAD_LINE, EventReader, explain
from .events import EXTRA, EventSchema, PropertyType

_WIRE: dict[PropertyType, Any] = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}


class Lines(NamedTuple):
    """Lines that are not blank; a column each, as an object each would cost the collector."""

    ordinals: npt.NDArray[np.int64]
    """int64[n]: which of the chunk's records they are."""
    numbers: npt.NDArray[np.int64]
    """int64[n]: which of its lines, from 0."""
    raws: list[bytes]
    """Without blanks around them, or the newline."""


class LineDecoder:
    """Decode lines that may be anything.

    Parameters
    ----------
    schema
        What an event is.
    max_event_bytes
        The longest line.

    Examples
    --------
    >>> shop = EventSchema("shop", types=("view", "cart"), properties={"value": float})
    >>> good = '{"event_id":"1","event_timestamp":7,"customer_id":"\\u00e9","type":"cart"}'
    >>> lines = Lines(np.array([0, 1]), np.array([0, 2]), [good.encode(), b"{}"])
    >>> table, ordinals, rejected = LineDecoder(shop, max_event_bytes=99).decode(lines, 8, 9)
    >>> table["customer_id"].to_pylist(), ordinals.tolist(), rejected[0].reason
    (['é'], [0], 'Object missing required field `event_id`')
    """

    def __init__(self, schema: EventSchema, *, max_event_bytes: int) -> None:
        self.schema = schema
        self._reader = EventReader(schema, max_event_bytes=max_event_bytes)
        self._none, _ = self._to_table([], [], 0, 0)

    def decode(
        self, lines: Lines, now: int, latest: int
    ) -> tuple[pa.Table, npt.NDArray[np.int64], list[Rejected]]:
        """Decode lines, whose timestamps are at most ``latest``; ``now`` is for what is said.

        Returns
        -------
        events, ordinals, rejected
            n events in the canonical form (see `nextbest.features.codec`); int64[n], which of the
            chunk's records they are; the others.
        """
        if not lines.raws:
            return self._none, lines.ordinals, []
        rejected: list[Rejected] = []

        def reject(row: int, reason: str, path: str | None) -> None:
            ordinal, number = int(lines.ordinals[row]), int(lines.numbers[row])
            rejected.append(Rejected(ordinal, number, reason, path, lines.raws[row]))

        whole = self._decode_whole(lines.raws)
        if whole is not None:
            events, extras = whole
            good = np.arange(len(events))
        else:
            events, extras, rows = [], [], []
            for row, raw in enumerate(lines.raws):
                try:
                    event, extra = self._reader.read(raw)
                except BAD_LINE as error:
                    reject(row, *explain(error))
                else:
                    events.append(event)
                    extras.append(extra)
                    rows.append(row)
            good = np.array(rows, dtype=np.int64)
        table, found = self._to_table(events, extras, now, latest)
        for place, (reason, path) in found.rows.items():
            reject(int(good[place]), reason, path)
        rejected.sort()
        table, kept = found.drop_from(table)
        return table, lines.ordinals[good[kept]], rejected

    def _decode_whole(self, raws: list[bytes]) -> tuple[list[Any], list[str | None] | None] | None:
        """Decode lines without a fault in one call, or return None."""
        reader = self._reader
        # Then no object spans lines, as ``}`` and ``{`` never follow each other inside one, and
        # `decode_lines` has found one a line if it has found that many.
        regular = (raw.startswith(b"{") and raw.endswith(b"}") for raw in raws)
        if not all(regular) or max(map(len, raws)) > reader.max_event_bytes:
            return None
        payload = b"\n".join(raws)
        extras: list[str | None] | None = None
        try:
            if not payload.isascii():
                payload.decode()  # msgspec does not look into strings that it skips
            try:
                events = reader.closed.decode_lines(payload)
            except msgspec.ValidationError:
                # Where the first event has undeclared properties most have; else one by one is
                # faster.
                if reader.read(raws[0])[1] is None:
                    return None
                events = reader.open.decode_lines(payload)
                extras = [reader.undeclared(bag) for bag in reader.bags.decode_lines(payload)]
        except BAD_LINE:
            return None
        return (events, extras) if len(events) == len(raws) else None

    def _to_table(
        self, events: list[Any], extras: list[str | None] | None, now: int, latest: int
    ) -> tuple[pa.Table, Findings]:
        stamps = np.array([event.event_timestamp for event in events], dtype=np.int64)
        columns: dict[str, Any] = {
            "event_id": pa.array([event.event_id for event in events], pa.string()),
            "event_timestamp": pa.array(stamps).cast(TIME_TYPE),
            "customer_id": pa.array([event.customer_id for event in events], pa.string()),
            "type": pa.array([event.type for event in events], WORDS_TYPE),
            "channel": pa.array([event.channel or None for event in events], WORDS_TYPE),
        }
        properties = [event.properties for event in events]
        for name, kind in self.schema.properties.items():
            values = pa.array(list(map(attrgetter(name), properties)), _WIRE.get(kind, WORDS_TYPE))
            columns[name] = values if kind == "string" else values.cast(pa.float64())
        columns[EXTRA] = pa.array(extras or [None] * len(events), pa.string())
        found = Findings()
        check_id(columns["event_id"], "$.event_id", found)
        check_timestamps(stamps, now, latest, found)
        check_id(columns["customer_id"], "$.customer_id", found)
        return pa.table(columns), found
