"""A compiled expression gives what the plain interpreter gives, whatever the row."""

from __future__ import annotations

import math
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features import Catalog, EventSchema, FeatureView
from nextbest.features import aggregations as agg
from nextbest.flows.decision.errors import ExpressionError
from nextbest.flows.decision.expressions import (
    Names,
    Programs,
    Scope,
    conjuncts,
    evaluate,
    folded,
    holds,
    kernel,
    kind_of,
    moment,
    parse,
    typed,
)

WORDS = ["shoes", "hats", "web"]
schema = EventSchema("shop", types=["view"], properties={"category": str, "value": float})
view = FeatureView(
    name="visits",
    source=schema,
    features=[
        agg.count("views"),
        agg.sum("spend", of="value"),
        agg.decayed("affinity", by="category", vocabulary=WORDS, half_life="7d"),
        agg.last("recent", of="category", vocabulary=WORDS[::-1]),
    ],
)
CATALOG = Catalog(name="shop", views=[view])
TAGS = {"category": frozenset(WORDS), "id": frozenset(["a"])}
NAMES = Names(catalog=CATALOG, channels=WORDS, tags=TAGS)
ZONE = ZoneInfo("Asia/Kathmandu")  # 5:45 from UTC


def two(template: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda found: template.format(*found))


def texts(depth: int) -> st.SearchStrategy[str]:
    leaf = st.sampled_from(
        ["'shoes'", "'hats'", "visits.recent", "context.s", "channel", "action.category"]
    )
    return leaf if not depth else leaf | two("({} ?? {})", texts(depth - 1), texts(depth - 1))


def numbers(depth: int) -> st.SearchStrategy[str]:
    leaf = st.sampled_from(
        ["0", "2.5", "1e300", "visits.views", "visits.spend", "visits.affinity[shoes]",
         "visits.affinity[action.category]", "context.n", "context['n']", "now.hour",
         "now.weekday", "action.cost", "action.value"]
    )  # fmt: skip
    if not depth:
        return leaf
    less = numbers(depth - 1)
    signs = st.sampled_from(["+", "-", "*", "/", "??"])
    return (
        leaf
        | two("({} {} {})", less, signs, less)
        | two("-{}", less)
        | two("{}({}, {})", st.sampled_from(["min", "max"]), less, less)
        | two("{}({})", st.sampled_from(["abs", "log1p"]), less)
        | two("clip({}, -1, {})", less, less)
    )


def conditions(depth: int) -> st.SearchStrategy[str]:
    compared = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    leaf = (
        st.sampled_from(["true", "context.flag", "context.flag != true"])
        | two("{} {} {}", numbers(2), compared, numbers(2))
        | two("{} {} {}", texts(1), st.sampled_from(["==", "!="]), texts(1))
        | two("{} {} ['shoes', 'web']", texts(1), st.sampled_from(["in", "not in"]))
        | two("{} {} [0, -1, 2.5]", numbers(1), st.sampled_from(["in", "not in"]))
        | two("{} {}", numbers(1), st.sampled_from(["is missing", "is not missing"]))
        | two("{} {}", texts(1), st.sampled_from(["is missing", "is not missing"]))
        | st.just("context.whatever is missing")
    )
    if not depth:
        return leaf
    less = conditions(depth - 1)
    return (
        leaf | two("not ({})", less) | two("({} {} {})", less, st.sampled_from(["and", "or"]), less)
    )


NUMBERS = st.sampled_from([0.0, -1.0, 1.0, 2.5, 1e308, math.nan, math.inf]) | st.floats()
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "n": NUMBERS | st.integers() | st.sampled_from(["2.5", True, None, 10**400]),
        "s": st.sampled_from([*WORDS, "boots", "", 3, None]),
        "flag": st.sampled_from([True, False, None, 1, "true"]),
        "whatever": st.sampled_from([1, "a", False, None, math.nan]),
    },
)
ACTIONS = st.fixed_dictionaries(
    {"cost": st.sampled_from([0.0, 2.5]), "value": st.sampled_from([None, 1.0])},
    optional={"category": st.sampled_from(WORDS)},
)
WIDTH = len(CATALOG.columns)


@st.composite
def rows(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    values = np.array(draw(st.lists(NUMBERS, min_size=WIDTH, max_size=WIDTH)))
    values[-1] = draw(st.sampled_from([0.0, 1.0, 2.0]))
    state = draw(st.lists(st.sampled_from([0, 0, 0, 1, 2]), min_size=WIDTH, max_size=WIDTH))
    return values, np.array(state, np.uint8)


def served(values: np.ndarray, state: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {
        column: float(value)
        for column, value, s in zip(CATALOG.columns, values, state, strict=True)
        if s == 0
    }
    if "visits:recent" in found:
        found["visits:recent"] = WORDS[::-1][int(found["visits:recent"])]
    return found


def compiled(node: Any, row: Any, context: Any, channel: str, at: int) -> Any:
    programs = Programs(CATALOG, ZONE)
    programs.add(node)
    extras, out = np.empty(len(programs.extras)), np.empty(1)
    unknown: dict[str, float] = {}
    programs.extras.fill(extras, context, channel, at, unknown)
    kernel.run_all(programs.tables(), *row, extras, np.empty(programs.depth), out)
    number = float(out[0])
    if math.isnan(number):
        return None
    return {"string": lambda: programs.text(number, unknown), "bool": lambda: bool(number)}.get(
        kind_of(node), lambda: number
    )()


def read(text: str) -> Any:
    try:
        return typed(parse(text), "any", NAMES)
    except ExpressionError as error:  # two things from the app: nothing says what they are
        assert "nothing says" in error.reason  # noqa: PT017
        return None


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(numbers(3), texts(2), conditions(2)), rows(), CONTEXTS, ACTIONS,
    st.sampled_from(["web", "kiosk"]), st.integers(0, 2**51),
)  # fmt: skip
def test_compiled_is_as_interpreted(
    text: str, row: Any, context: Any, action: Any, channel: str, at: int
) -> None:
    node = read(text)
    if node is None:
        return
    now = moment(at, ZONE)
    scope = Scope(served(*row), context, action, now, channel=channel)
    plain = evaluate(node, scope)
    if kind_of(node) == "any":
        return
    made = folded(node, action)
    assert evaluate(made, scope) == plain
    assert compiled(made, row, context, channel, at) == plain


@settings(max_examples=100, deadline=None)
@given(conditions(3), rows(), CONTEXTS, ACTIONS)
def test_a_condition_holds_if_all_its_conjuncts_do(
    text: str, row: Any, context: Any, action: Any
) -> None:
    node = read(text)
    if node is None:
        return
    scope = Scope(served(*row), context, action, moment(0, ZONE), channel="web")
    whole = holds(node, scope)
    assert all(holds(one, scope) for one in conjuncts(node)) == whole
    assert holds(parse_not(text), scope) != whole


def parse_not(text: str) -> Any:
    return typed(parse(f"not ({text})"), "bool", NAMES)
