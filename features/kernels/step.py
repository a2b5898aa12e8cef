"""The shard step: a batch of event records into the rows of a shard."""

from __future__ import annotations

from ._jit import kernel
from .header import update_headers
from .layout import CHUNK, I64, U8, U64, Chunk, Dirty, Int, Rows, Tables
from .operations import operate
from .prepare import prepare
from .select import address, load_columns, select


@kernel
def apply_events(
    rows: Rows, tables: Tables, chunk: Chunk, records: U64, slots: I64, flags: U8, dirty: Dirty
) -> None:
    """Apply events in log order, operation by operation, in chunks.

    Parameters
    ----------
    rows, tables, chunk
        See `layout`.
    records
        uint64[n, words], see `nextbest.features.batch`.
    slots
        int64[n], the row of each event's customer; row 0 is nobody's.
    flags
        uint8[n], receives ACCEPTED, LATE or DUPLICATE; see `header.update_headers`.
    dirty
        See `header.update_headers`.
    """
    lo: Int = 0
    while lo < len(records):
        hi: Int = min(lo + CHUNK, len(records))
        prepare(tables, chunk, records, lo, hi)
        hi = update_headers(rows, tables, chunk, records, slots, lo, hi, flags, dirty)
        address(rows, tables, chunk, slots, lo, hi, flags)
        load_columns(tables, chunk, records, lo, hi)
        select(tables, chunk, lo, hi, flags)
        operate(rows, tables, chunk)
        lo = hi
