"""Expressions as postfix programs over one row, and rules over their results.

Missing is NaN. A text is the number of its word; true is 1.0 and false 0.0. So a program works on
one stack of float64, and a row's values are read where they lie.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ....features.kernels._jit import kernel
from ....features.kernels.layout import F64, I64, U8, Int

# Instructions; a and b are their operands. What follows IS_PRESENT takes two from the stack.
(
    LOAD,  # a: column
    LOAD_WORD,  # a: column; b: place of how many words it has; their numbers follow
    LOAD_EXTRA,  # a: place among the extras
    CONSTANT,  # a: place among the constants
    IN,  # a: place of the first item; b: how many
    NOT_IN,
    NEGATE,
    ABS,
    LOG1P,
    NOT,
    IS_MISSING,
    IS_PRESENT,
    ADD,
    SUBTRACT,
    MULTIPLY,
    DIVIDE,
    MINIMUM,
    MAXIMUM,
    DEFAULT,
    AND,
    OR,
    EQUAL,
    DIFFERS,
    LESS,
    AT_MOST,
    GREATER,
    AT_LEAST,
) = range(27)


class ProgramTables(NamedTuple):
    """Programs, one after the other."""

    code: I64  # [instructions, 3]: instruction, a, b
    bounds: I64  # [programs + 1]
    constants: F64


class RuleTables(NamedTuple):
    """Which programs must hold, or must not, for an action.

    A clause is (rule, forbidden, begin, end): the terms begin to end hold, all of them; if it is
    forbidden that excludes the action, else that they do not.
    """

    actions: I64  # [actions, 4]: valid from, valid until, first clause, end of the clauses
    clauses: I64  # [clauses, 4]
    terms: I64  # programs
    opened: I64  # [channels, 2]: first term, end of the terms
    on: U8  # [channels, actions]


ELIGIBLE, ELSEWHERE, CLOSED, EARLY, LATE = range(5)
"""Rules that every strategy has; the clauses' own come after them."""


@kernel
def run(
    tables: ProgramTables, program: Int, values: F64, state: U8, extras: F64, stack: F64
) -> float:
    """Return the result of one program on one row; NaN: missing.

    Parameters
    ----------
    values, state
        float64[columns], uint8[columns]: a row as read; state 0 is present.
    extras
        float64[extras]: what is no feature; NaN where it is missing.
    stack
        Working memory, as deep as the deepest program.
    """
    code = tables.code
    constants = tables.constants
    top = -1
    for x in range(tables.bounds[program], tables.bounds[program + 1]):
        what = code[x, 0]
        a = code[x, 1]
        if what <= CONSTANT:
            top += 1
            if what == CONSTANT:
                v = constants[a]
            elif what == LOAD_EXTRA:
                v = extras[a]
            else:
                v = values[a] if state[a] == 0 else np.nan
                if what == LOAD_WORD:
                    words = code[x, 2]
                    if v >= 0.0 and v < constants[words]:
                        v = constants[words + 1 + np.int64(v)]
                    else:
                        v = np.nan
        elif what <= IS_PRESENT:
            v = stack[top]
            if what == NEGATE:
                v = -v
            elif what == ABS:
                v = abs(v)
            elif what == LOG1P:
                v = math.log1p(v) if v > -1.0 else np.nan
            elif what == NOT:
                v = 0.0 if v == 1.0 else 1.0
            elif what == IS_MISSING:
                v = 1.0 if v != v else 0.0
            elif what == IS_PRESENT:
                v = 1.0 if v == v else 0.0
            else:
                found = False
                for i in range(a, a + code[x, 2]):
                    found |= constants[i] == v
                v = 1.0 if found == (what == IN) and v == v else 0.0
        else:
            r = stack[top]
            top -= 1
            v = stack[top]
            if what == ADD:
                v += r
            elif what == SUBTRACT:
                v -= r
            elif what == MULTIPLY:
                v *= r
            elif what == DIVIDE:
                v /= r
            elif what == MINIMUM:
                v = np.nan if r != r else r if r < v else v
            elif what == MAXIMUM:
                v = np.nan if r != r else r if r > v else v
            elif what == DEFAULT:
                v = r if v != v else v
            elif what == AND:
                v = 1.0 if v == 1.0 and r == 1.0 else 0.0
            elif what == OR:
                v = 1.0 if v == 1.0 or r == 1.0 else 0.0
            elif what == EQUAL:
                v = 1.0 if v == r else 0.0
            elif what == DIFFERS:
                v = 1.0 if v < r or v > r else 0.0
            elif what == LESS:
                v = 1.0 if v < r else 0.0
            elif what == AT_MOST:
                v = 1.0 if v <= r else 0.0
            elif what == GREATER:
                v = 1.0 if v > r else 0.0
            else:
                v = 1.0 if v >= r else 0.0
        if math.isinf(v):
            v = np.nan
        stack[top] = v
    return float(stack[0])


@kernel
def run_all(
    tables: ProgramTables, values: F64, state: U8, extras: F64, stack: F64, out: F64
) -> None:
    """Write the result of every program on one row."""
    for program in range(len(tables.bounds) - 1):
        out[program] = run(tables, program, values, state, extras, stack)


@kernel
def run_rows(
    tables: ProgramTables, values: F64, state: U8, extras: F64, stack: F64, out: F64
) -> None:
    """Write the result of every program on every row: ``out`` is float64[rows, programs]."""
    for row in range(len(values)):
        run_all(tables, values[row], state[row], extras[row], stack, out[row])


@kernel
def judge(
    tables: ProgramTables,
    rules: RuleTables,
    channel: Int,
    at: Int,
    values: F64,
    state: U8,
    extras: F64,
    work: F64,
    out: I64,
) -> None:
    """Write for every action the rule that excludes it, 0 if none does.

    Parameters
    ----------
    at
        Microseconds.
    work
        float64[programs + deepest stack]: results, each made when it is first needed.
    """
    programs = len(tables.bounds) - 1
    known = work[:programs]
    stack = work[programs:]
    known[:] = -1.0
    opened = rules.opened[channel]
    closed = not _all(
        tables, rules.terms, opened[0], opened[1], values, state, extras, known, stack
    )
    for action in range(len(out)):
        row = rules.actions[action]
        found = ELIGIBLE
        if rules.on[channel, action] == 0:
            found = ELSEWHERE
        elif closed:
            found = CLOSED
        elif at < row[0]:
            found = EARLY
        elif at >= row[1]:
            found = LATE
        else:
            for c in range(row[2], row[3]):
                clause = rules.clauses[c]
                held = _all(
                    tables, rules.terms, clause[2], clause[3], values, state, extras, known, stack
                )
                if held == (clause[1] == 1):
                    found = clause[0]
                    break
        out[action] = found


@kernel
def judge_rows(
    tables: ProgramTables,
    rules: RuleTables,
    channels: I64,
    at: I64,
    values: F64,
    state: U8,
    extras: F64,
    work: F64,
    out: I64,
) -> None:
    """As `judge`, for many rows: ``out`` is int64[rows, actions]."""
    for row in range(len(out)):
        judge(
            tables, rules, channels[row], at[row], values[row], state[row], extras[row], work,
            out[row],
        )  # fmt: skip


@kernel
def _all(
    tables: ProgramTables,
    terms: I64,
    begin: Int,
    end: Int,
    values: F64,
    state: U8,
    extras: F64,
    known: F64,
    stack: F64,
) -> bool:
    """Do all these terms hold?"""
    for t in range(begin, end):
        program = terms[t]
        if known[program] < 0.0:
            result = run(tables, program, values, state, extras, stack)
            known[program] = 1.0 if result == 1.0 else 0.0
        if known[program] == 0.0:
            return False
    return True
