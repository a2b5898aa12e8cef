"""Expressions as postfix programs over one row, and rules over their results.

Missing is NaN. A text is the number of its word; true is 1.0 and false 0.0. So a program works on
one stack of float64, and a row's values are read where they lie.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ....features.kernels._jit import inline, kernel
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

    code: I64  # [3 x instructions]: instruction, a, b
    bounds: I64  # [programs + 1], in instructions
    constants: F64


# The parts of the rules' table, one after the other. It is one array as each array that is given
# to a kernel costs more than ten instructions. The first words say where each part begins, and
# where the last one ends.
(
    R_CODE,  # as in ProgramTables
    R_BOUNDS,
    R_ACTIONS,  # [actions, 4]: valid from, valid until, first clause, end of the clauses
    R_CLAUSES,  # [clauses, 4]: rule, forbidden, first term, end of the terms
    R_TERMS,  # programs, which all hold where the clause is met
    R_OPENED,  # [channels, 2]: first term, end of the terms
    R_ON,  # [channels, actions]
    R_END,
    R_DEPTH,  # no part: how deep a stack the programs need
) = range(9)

ELIGIBLE, ELSEWHERE, CLOSED, EARLY, LATE = range(5)
"""Rules that every strategy has; the clauses' own come after them."""


@inline
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
    for x in range(3 * tables.bounds[program], 3 * tables.bounds[program + 1], 3):
        what = code[x]
        a = code[x + 1]
        if what <= CONSTANT:
            top += 1
            if what == CONSTANT:
                v = constants[a]
            elif what == LOAD_EXTRA:
                v = extras[a]
            else:
                v = values[a] if state[a] == 0 else np.nan
                if what == LOAD_WORD:
                    words = code[x + 2]
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
                for i in range(a, a + code[x + 2]):
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


# The parts of the table of what models see, as R_CODE and so on are of the rules'.
(
    I_CODE,  # as in ProgramTables
    I_BOUNDS,
    I_FEATURES,  # [actions, action features]: programs
    I_BOOSTS,  # [., 3]: action, program, place among the constants of what it multiplies by
    I_END,
) = range(5)


@kernel
def look(
    table: I64,
    constants: F64,
    values: F64,
    state: U8,
    work: F64,
    largest: float,
    features: F64,
    boosts: F64,
) -> None:
    """Run all programs on one row; write the actions' features and the product of their boosts.

    Parameters
    ----------
    work
        float64[extras + programs + deepest stack]: the extras; receives the results.
    largest
        What the magnitude of a feature counts as at most.
    features, boosts
        float64[actions x action features] and float64[actions].
    """
    tables = ProgramTables(
        table[table[I_CODE] : table[I_BOUNDS]],
        table[table[I_BOUNDS] : table[I_FEATURES]],
        constants,
    )
    programs = len(tables.bounds) - 1
    depth = table[I_END + 1]
    extras = work[: len(work) - depth - programs]
    results = work[len(work) - depth - programs : len(work) - depth]
    run_all(tables, values, state, extras, work[len(work) - depth :], results)
    at = table[I_FEATURES]
    for j in range(len(features)):
        v = results[table[at + j]]
        features[j] = largest if v > largest else -largest if v < -largest else v
    boosts[:] = 1.0
    for at in range(table[I_BOOSTS], table[I_END], 3):
        if results[table[at + 1]] == 1.0:
            boosts[table[at]] *= constants[table[at + 2]]


@kernel
def judge(
    rules: I64,
    constants: F64,
    channel: Int,
    at: Int,
    values: F64,
    state: U8,
    work: F64,
    eligible: npt.NDArray[np.bool_],
    excluded: npt.NDArray[np.uint16],
) -> None:
    """Write for every action whether it may be offered, and the rule that excludes it, else 0.

    A clause that is forbidden excludes the action if its terms all hold, another one if not.

    Parameters
    ----------
    at
        Microseconds.
    work
        float64[extras + programs + deepest stack]: the extras, and memory for the results, each
        of which is made when it is first needed, and for the stack.
    """
    tables = ProgramTables(
        rules[rules[R_CODE] : rules[R_BOUNDS]], rules[rules[R_BOUNDS] : rules[R_ACTIONS]], constants
    )
    programs = len(tables.bounds) - 1
    depth = rules[R_DEPTH]
    extras = work[: len(work) - depth - programs]
    known = work[len(work) - depth - programs : len(work) - depth]
    stack = work[len(work) - depth :]
    known[:] = -1.0
    terms = rules[rules[R_TERMS] : rules[R_OPENED]]
    opened = rules[rules[R_OPENED] + 2 * channel :]
    closed = not _all(tables, terms, opened[0], opened[1], values, state, extras, known, stack)
    on = rules[rules[R_ON] + channel * len(eligible) :]
    for action in range(len(eligible)):
        row = rules[rules[R_ACTIONS] + 4 * action :]
        found = ELIGIBLE
        if on[action] == 0:
            found = ELSEWHERE
        elif closed:
            found = CLOSED
        elif at < row[0]:
            found = EARLY
        elif at >= row[1]:
            found = LATE
        else:
            for c in range(row[2], row[3]):
                clause = rules[rules[R_CLAUSES] + 4 * c :]
                held = _all(
                    tables, terms, clause[2], clause[3], values, state, extras, known, stack
                )
                if held == (clause[1] == 1):
                    found = clause[0]
                    break
        eligible[action] = found == ELIGIBLE
        excluded[action] = found


@kernel
def judge_rows(
    rules: I64,
    constants: F64,
    channels: I64,
    at: I64,
    values: F64,
    state: U8,
    extras: F64,
    work: F64,
    eligible: npt.NDArray[np.bool_],
    excluded: npt.NDArray[np.uint16],
) -> None:
    """As `judge`, for many rows: ``eligible`` is bool[rows, actions]; ``extras`` one row each."""
    for row in range(len(values)):
        for place in range(extras.shape[1]):
            work[place] = extras[row, place]
        judge(
            rules, constants, channels[row], at[row], values[row], state[row], work,
            eligible[row], excluded[row],
        )  # fmt: skip


@inline
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
