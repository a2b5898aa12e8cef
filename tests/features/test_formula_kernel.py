"""The kernels of features made of others, beside their twins in plain Python."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nextbest.features import Catalog, EventSchema, FeatureView, feature
from nextbest.features import aggregations as agg
from nextbest.features.derived import Formula
from nextbest.features.kernels import formula as kernels
from nextbest.features.plan import Plan
from tests.laws.declarations import formulas
from tests.naive import formulas as naive

STATES = ("present", "missing", "expired")
NAMES = ("a", "b", "c", "d")
NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.5, -7.25, 1e-300, 1e200, -1e200, 1e308, math.inf, 0.1, 3.0)
SHOP = EventSchema("shop", types=("view",), properties={"value": float})
Cells = list[tuple[str, float]]

cells = st.tuples(st.sampled_from((*STATES, "present", "present")), st.sampled_from(NUMBERS))


@numba.njit
def call_evaluate(program, values, state, out, stack, states):  # type: ignore[no-untyped-def]
    kernels.evaluate(program, 0, len(program), values, state, out, stack, states)


@numba.njit
def call_greatest(values, state, words, k):  # type: ignore[no-untyped-def]
    kernels.greatest(values, state, 1, words, words + 1, k)


def row(given_: Cells, more: int) -> tuple[Any, Any]:
    """Values and states as a row reads them, and room for more; the others are 77."""
    values = np.full(len(given_) + more, 77.0)
    state = np.full(len(given_) + more, 77, np.uint8)
    for i, (name, value) in enumerate(given_):
        values[i] = value if name == "present" else np.nan
        state[i] = STATES.index(name)
    return values, state


def program_of(made: Formula) -> Any:
    """What a plan compiles a formula over `NAMES` to."""
    sources = [agg.sum(name, of="value") for name in NAMES]
    view = FeatureView(name="v", source=SHOP, features=[*sources, agg.derived("f", made)])
    return Plan.compile(Catalog(name="c", views=[view])).reads.program


def twin(made: Formula, given_: Cells) -> naive.Cell:
    known = {}
    for name, (state, value) in zip(NAMES, given_, strict=True):
        known[name] = naive.Cell(value if state == "present" else None, state)  # type: ignore[arg-type]
        if state == "present" and math.isinf(value):
            known[name] = naive.MISSING  # a formula takes no infinite number
    return naive.evaluate(made.expression, known.__getitem__)


@settings(max_examples=400, deadline=None)
@given(formulas(NAMES), st.lists(cells, min_size=4, max_size=4))
@example((feature.a / feature.b).fill(5.0), [("present", 1.0), ("present", -0.0)] * 2)
@example(feature.a + feature.b, [("expired", 1.0), ("missing", 0.0)] * 2)
@example(feature.a + feature.b, [("missing", 1.0), ("expired", 0.0)] * 2)
@example((feature.a - 1).log1p(), [("present", 0.0), ("missing", 0.0)] * 2)
@example(feature.a * feature.a, [("present", 1e200)] * 4)
@example(feature.a.fill(1) + 0, [("present", math.inf)] * 4)
@example(feature.b.log1p() <= feature.b.log1p(), [("present", 1.0)] * 4)
def test_evaluate(made: Formula, given_: Cells) -> None:
    values, state = row(given_, 2)
    before = values.tobytes()[:32], state[:4].tolist()
    program = program_of(made)
    depth = kernels.DEPTH
    stack, states = np.full(depth + 1, 55.0), np.full(depth + 1, 55, np.uint8)
    call_evaluate(program, values, state, 4, stack, states)
    expected = twin(made, given_)
    is_sure = not math.isinf(expected.scale)  # else rounding decides what it is
    if is_sure:
        assert STATES[state[4]] == expected.state
    if is_sure and expected.value is None:
        assert math.isnan(values[4])
    elif is_sure:
        assert math.isclose(values[4], expected.value, rel_tol=1e-12)
    assert (values.tobytes()[:32], state[:4].tolist()) == before
    assert (values[5], state[5], stack[depth], states[depth]) == (77.0, 77, 55.0, 55)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("present", "present", "present", "missing")),
            st.sampled_from((0.0, -1.0, 1.0, 2.0, 2.0, 3.0, 1e-320, math.inf)),
        ),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
def test_greatest(given_: Cells, data: st.DataObject) -> None:
    if data.draw(st.integers(0, 9)) == 0:
        given_[data.draw(st.integers(0, len(given_) - 1))] = ("expired", 9.0)
    k = data.draw(st.integers(1, len(given_)))
    values, state = row([("expired", 9.0), *given_], k + 1)
    call_greatest(values, state, len(given_), k)
    known = [naive.Cell(v if s == "present" else None, s) for s, v in given_]  # type: ignore[arg-type]
    expected = naive.greatest(known, k)
    out = slice(len(given_) + 1, len(given_) + 1 + k)
    assert [STATES[s] for s in state[out]] == [cell.state for cell in expected]
    found = [None if math.isnan(v) else v for v in values[out].tolist()]
    assert found == [cell.value for cell in expected]
    assert (values[-1], state[-1]) == (77.0, 77)


@pytest.mark.parametrize(
    ("numbers", "places"),
    [
        ([1.0, 3.0, 2.0], [1.0, 2.0]),
        ([2.0, 2.0, 2.0], [0.0, 1.0]),
        ([1.0, 2.0, 2.0], [1.0, 2.0]),
        ([0.0, 5.0, -1.0], [1.0, None]),
        ([0.0, 0.0, 0.0], [None, None]),
    ],
    ids=str,
)
def test_the_greatest_by_hand(numbers: list[float], places: list[float | None]) -> None:
    values, state = row([("present", 0.0), *(("present", n) for n in numbers)], 2)
    call_greatest(values, state, 3, 2)
    assert [None if math.isnan(v) else v for v in values[4:].tolist()] == places
