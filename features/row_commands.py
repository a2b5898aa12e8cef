"""Rows as the commands that publish them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .kernels.layout import I64, MAX_ID_BYTES, U8, U64
from .kernels.pack import encode_mset
from .plan import Plan

ROWS_PER_COMMAND = 512


@dataclass(frozen=True, slots=True)
class RowCommands:
    """Redis commands that publish rows: ``payload`` (uint8), replies to expect, rows in it."""

    payload: U8
    replies: int
    rows: int


def encode_rows(
    plan: Plan,
    memory: U64,
    slots: I64,
    names: I64,
    arena: U8,
    key_prefix: bytes,
    scratch: U64,
    trailing: bytes = b"",
) -> RowCommands:
    """Encode rows as ``MSET`` commands, and then perhaps one that is encoded already.

    The other parameters are those of `encode_mset`.
    """
    prefix = np.frombuffer(key_prefix, np.uint8)
    row_bytes = 8 * len(scratch) + len(prefix) + MAX_ID_BYTES + 64
    out = np.empty(row_bytes * min(len(slots), ROWS_PER_COMMAND) + 64, np.uint8)
    commands = []
    for first in range(0, len(slots), ROWS_PER_COMMAND):
        end = int(encode_mset(
            memory, plan.words, plan.header, plan.schema_id,
            slots[first : first + ROWS_PER_COMMAND], names, arena, prefix, scratch, out,
        ))  # fmt: skip
        commands.append(out[:end].copy())
    if trailing:
        commands.append(np.frombuffer(trailing, np.uint8))
    payload = np.concatenate(commands) if commands else out[:0]
    return RowCommands(payload, len(commands), len(slots))
