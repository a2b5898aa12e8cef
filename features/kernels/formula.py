"""Features computed from other features of the same read: formulas and the greatest of a vector.

A formula is a postfix program over the numbers that a row has read as so far. States combine as
their greatest: present 0, missing 1, expired 2.
"""

from __future__ import annotations

import math

import numpy as np

from ._jit import kernel
from .intrinsics import float_from_bits
from .layout import F64, I64, U8, Int

# Instructions, with what their operand is; what follows DIFFERS takes two from the stack.
(
    D_OPERAND,  # column of the result
    D_CONSTANT,  # the bits of a float64
    D_FILL,  # the bits of a float64
    D_NEGATE,
    D_ABS,
    D_LOG1P,
    D_ADD,
    D_SUBTRACT,
    D_MULTIPLY,
    D_DIVIDE,
    D_MINIMUM,
    D_MAXIMUM,
    D_LESS,
    D_AT_MOST,
    D_GREATER,
    D_AT_LEAST,
    D_EQUAL,
    D_DIFFERS,
) = range(18)
DEPTH = 32
"""Numbers that a program keeps on its stack at most."""

_PRESENT, _MISSING, _EXPIRED = np.uint8(0), np.uint8(1), np.uint8(2)


@kernel
def evaluate(
    program: I64,
    begin: Int,
    end: Int,
    values: F64,
    state: U8,
    out: Int,
    stack: F64,
    states: U8,
) -> None:
    """Run instructions ``begin`` to ``end`` on one row; write column ``out``.

    Parameters
    ----------
    program
        int64[instructions, 2]: instruction and operand.
    values, state
        float64[columns], uint8[columns]: the row read so far.
    stack, states
        float64[DEPTH], uint8[DEPTH]: working memory.
    """
    top = -1
    for x in range(begin, end):
        code = program[x, 0]
        operand = program[x, 1]
        if code == D_OPERAND:
            top += 1
            a = values[operand]
            states[top] = state[operand]
        elif code == D_CONSTANT:
            top += 1
            a = float_from_bits(np.uint64(operand))
            states[top] = _PRESENT
        elif code == D_FILL:
            a = stack[top] if states[top] == _PRESENT else float_from_bits(np.uint64(operand))
            states[top] = _PRESENT
        elif code == D_NEGATE:
            a = -stack[top]
        elif code == D_ABS:
            a = abs(stack[top])
        elif code == D_LOG1P:
            a = math.log1p(stack[top])
        else:
            b = stack[top]
            top -= 1
            a = stack[top]
            states[top] = max(states[top], states[top + 1])
            if code == D_ADD:
                a += b
            elif code == D_SUBTRACT:
                a -= b
            elif code == D_MULTIPLY:
                a *= b
            elif code == D_DIVIDE:
                a /= b
            elif code == D_MINIMUM:
                a = b if b < a else a
            elif code == D_MAXIMUM:
                a = b if b > a else a
            elif code == D_LESS:
                a = 1.0 if a < b else 0.0
            elif code == D_AT_MOST:
                a = 1.0 if a <= b else 0.0
            elif code == D_GREATER:
                a = 1.0 if a > b else 0.0
            elif code == D_AT_LEAST:
                a = 1.0 if a >= b else 0.0
            elif code == D_EQUAL:
                a = 1.0 if a == b else 0.0
            else:
                a = 1.0 if a != b else 0.0
        stack[top] = a
        if states[top] == _PRESENT and not math.isfinite(a):
            states[top] = _MISSING
    state[out] = states[0]
    values[out] = stack[0] if states[0] == _PRESENT else np.nan


@kernel
def greatest(values: F64, state: U8, source: Int, words: Int, out: Int, k: Int) -> None:
    """Write to ``k`` columns from ``out`` the places of the greatest of ``words`` numbers.

    Only numbers that are present and greater than 0 count; of equal ones the first comes first.
    """
    found: Int = 0
    expired = False
    for w in range(words):
        expired |= state[source + w] == _EXPIRED
        v = values[source + w]
        if state[source + w] != _PRESENT or not v > 0.0:
            continue
        place = found
        while place > 0 and values[source + np.int64(values[out + place - 1])] < v:
            place -= 1
        if place < k:
            found = min(found + 1, k)
            for j in range(found - 1, place, -1):
                values[out + j] = values[out + j - 1]
            values[out + place] = w
    for j in range(k):
        if j < found and not expired:
            state[out + j] = _PRESENT
        else:
            values[out + j] = np.nan
            state[out + j] = _EXPIRED if expired else _MISSING
