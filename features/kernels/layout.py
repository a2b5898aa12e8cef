"""What the tables of a plan and the words of a row mean, shared by compiler and kernels.

A row is ``words`` 8-byte words, zero when new:

    sessions    blocks that only bridging needs: the previous session, or the one before it
    ids         the last RECENT_IDS event-id hashes, from a line's beginning to the header
    header      HEADER_WORDS fixed words, then 3 or 5 a session gap, one a ring, one a half-life
    blocks      one a scope: the open session; lifetime; one a half-life; rings of tiles

Lookups need the words from the header on; a store holds only those. What every event touches, ids
to open session, lies together, so that one run of prefetches brings it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]
Int = int | np.int64
"""An integer in a kernel; read from an array it is numpy's to the type checker."""

CHUNK = 256
"""Events that one pass of the operations covers: their hot lines stay in the L2 cache."""
RECENT_IDS = 16
MAX_ID_BYTES = 256
"""The longest event or customer id."""

# Words of an event record (see `nextbest.features.batch`); columns follow.
TIMESTAMP, EVENT_ID, KEY_1, KEY_2, POSITION, ID_TEXT = range(6)
FIXED_WORDS = 6
MISSING = -1
"""Code of a string column that the event does not carry."""
UNKNOWN = -2
"""Code of a string that no filter or vocabulary mentions."""
ACCEPTED, LATE, DUPLICATE = 0, 1, 2
"""What became of an event: applied; applied, but not to sessions; dropped."""

# Header words of a row. LAST is the newest event that was on time; LATEST_LATE, the newest late one
# if that is newer still, which it is only where history is replayed in the order of time.
COUNT, LAST, FIRST, LOG_POSITION, BOUNDARY, LATEST_LATE = range(6)
HEADER_WORDS = 6
# Words of a session gap's header: open session's start, previous session, the one before it.
START, PREV_START, PREV_END, PREV2_START, PREV2_END = range(5)

# Kinds of scope, and columns of the scope table.
SESSION, LIFETIME, DECAY, RING = range(4)  # the order of the scopes, too
(
    S_KIND,  # one of the four above
    S_BLOCK,  # word offset of the block in the row
    S_WORDS,  # words of one block
    S_HEADER,  # word offset of the ring head, decay base or session header
    S_SPAN,  # half-life x 64 (decay), hop (ring) or gap (session), microseconds
    S_TILES,  # tiles of the ring
    S_PREV,  # word offset of the previous session's block
    S_PREV2,  # the one before it, or -1
    S_INDEX,  # ordinal among the scopes of its kind
) = range(9)

# Opcodes, and columns of the operation table.
OP_COUNT, OP_SUM, OP_MAX, OP_SINCE, OP_LAST, OP_FIRST, OP_MASK, OP_DECAY, OP_LAST_K = range(9)
(
    O_CODE,
    O_SCOPE,
    O_PREDICATE,
    O_VALUE,  # row of the chunk's values
    O_KEY,  # row of the chunk's keys: which cell
    O_OFFSET,  # in the block: words, or half words for OP_COUNT
    O_STRIDE,  # of a cell, in the same unit
    O_CELLS,  # keys
    O_EXTRA,  # OP_MAX: 1 = store the complement (a minimum); OP_LAST_K: k; OP_MASK: row of bits
) = range(9)

# Predicate instructions (postfix) and their columns: code, column, operand.
P_TRUE, P_EQ, P_NE, P_TABLE, P_HAS_CODE, P_HAS_VALUE = range(6)
P_VALUE_EQ, P_VALUE_NE, P_VALUE_LT, P_VALUE_LE, P_VALUE_GT, P_VALUE_GE = range(6, 12)
P_AND, P_OR, P_NOT = range(12, 15)
STACK = 16

# Where a chunk's value row comes from: constant 1, a numeric column, codes of a column.
V_ONE, V_NUMERIC, V_CODE = range(3)

# Configuration words.
(
    C_WORDS,
    C_CATEGORICAL,
    C_NUMERIC,
    C_LATENESS,
    C_HEADER,  # word of the row at which its header begins
    C_HOT_LINES,  # cache lines that every event needs, from the ids on
    C_SESSIONS,  # how many scopes are sessions: the first ones
    C_MOVING,  # the first scope that moves with time: the half-lives, then the rings
    C_RINGS,  # the first scope that is a ring: the last ones
) = range(9)


class Tables(NamedTuple):
    """The compiled plan, as arrays (2-D even when empty)."""

    config: I64  # [9]
    scopes: I64  # [scopes, 9]
    operations: I64  # [operations, 9]
    scales: F64  # [operations], factor on the value
    program: I64  # [instructions, 3]
    constants: F64  # [constants]
    predicates: I64  # [predicates + 1], bounds into program
    codes: I32  # lookup tables end to end: column code -> word of a vocabulary or -1
    keys: I64  # [keys, 2]: categorical column, start in codes (row 0 unused: no key)
    values: I64  # [values, 3]: source, column, start in codes


class Rows(NamedTuple):
    """The rows of a shard, end to end, as four views of one memory."""

    u64: U64
    i64: I64
    f64: F64
    u32: U32


class Chunk(NamedTuple):
    """Working memory for one chunk of events, column by column."""

    time: I64  # [CHUNK]
    tiles: I64  # [rings, CHUNK]
    places: I64  # [rings, CHUNK], tile modulo tiles of the ring
    periods: I64  # [decays, CHUNK], 64-half-life periods since the epoch
    weights: F64  # [decays, CHUNK]
    base: I64  # [scopes, CHUNK], word address of the block to update
    codes: I32  # [categorical, CHUNK]
    values: F64  # [values, CHUNK]
    value_bits: U64  # the same memory
    numbers: F64  # [numeric, CHUNK]
    keys: I32  # [keys, CHUNK]
    stack: U8  # [STACK, CHUNK]
    selected: I32  # [predicates, CHUNK]
    counts: I64  # [predicates]


Dirty = tuple[U8, I64, I64, I64]
"""Marks a slot (1 store, 2 log), slots for the store, slots for the log, lengths of the two."""


def make_chunk(tables: Tables) -> Chunk:
    """Allocate working memory for a plan."""
    kinds = tables.scopes[:, S_KIND]
    rings, decays = int((kinds == RING).sum()), int((kinds == DECAY).sum())
    values = np.ones((len(tables.values), CHUNK))
    return Chunk(
        time=np.zeros(CHUNK, np.int64),
        tiles=np.zeros((rings, CHUNK), np.int64),
        places=np.zeros((rings, CHUNK), np.int64),
        periods=np.zeros((decays, CHUNK), np.int64),
        weights=np.zeros((decays, CHUNK)),
        base=np.zeros((len(tables.scopes), CHUNK), np.int64),
        codes=np.zeros((int(tables.config[C_CATEGORICAL]), CHUNK), np.int32),
        values=values,
        value_bits=values.view(np.uint64),
        numbers=np.zeros((int(tables.config[C_NUMERIC]), CHUNK)),
        keys=np.zeros((len(tables.keys), CHUNK), np.int32),
        stack=np.zeros((STACK, CHUNK), np.uint8),
        selected=np.zeros((len(tables.predicates) - 1, CHUNK), np.int32),
        counts=np.zeros(len(tables.predicates) - 1, np.int64),
    )
