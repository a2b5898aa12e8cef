"""What the models see: categories, numbers, segments, the actions' features, and the boosts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nextbest.features.errors import SettingsError
from nextbest.flows.decision.inputs import Inputs
from nextbest.flows.decision.loading import load
from tests.flows.strategy.shop import EXAMPLE, HOUR, LEAST, START, catalog

EVENING = START + 17 * HOUR  # in Berlin 18:00


def inputs(text: str) -> Inputs:
    return Inputs.compile(load(text, catalog).strategy, catalog)


def test_the_example_is_seen(row: Any) -> None:
    made = inputs(EXAMPLE)
    known = row(views=np.e - 1, favourites__0=1, affinity__hats=0.25)
    seen = made.read(*known, {"device": "watch", "stock": 101}, "web", EVENING)
    assert seen.contexts == {"device": "watch", "favourite": "hats", "evening": "true"}
    assert seen.numbers == {"views": pytest.approx(0.2)}
    assert seen.segments == {"screen": "watch"}
    assert made.actions == ("shoes_sale", "hats_new", "help")
    assert made.action_features == ("affinity", "discount")
    assert seen.features.tolist() == [[0.0, 1.0], [0.25, 0.0], [0.0, 0.0]]
    assert seen.boosts.tolist() == [1.5, 1.0, 1.0]


def test_what_is_missing_is_not_there(row: Any) -> None:
    seen = inputs(EXAMPLE).read(*row(), {}, "web", START)
    assert seen.contexts == {"evening": "false"}
    assert seen.numbers == {}
    assert seen.segments == {"screen": "unknown"}
    assert seen.boosts.tolist() == [1.0, 1.0, 1.0]
    model = "model: {action_features: {a: 'visits.affinity[action.category]'}}"
    assert np.isnan(inputs(LEAST + model).read(*row(), {}, "web", START).features).all()


@pytest.mark.parametrize(
    ("text", "context", "category"),
    [
        ("context.a", {"a": "x"}, "x"),
        ("context.a", {"a": 3}, "3"),
        ("context.a", {"a": 3.0}, "3"),
        ("context.a", {"a": 0.5}, "0.5"),
        ("context.a", {"a": True}, "true"),
        ("context.a", {"a": None}, None),
        ("context.a", {"a": float("nan")}, None),
        ("context.a ?? context.b", {"b": "y"}, "y"),
        ("context.a ?? channel", {"a": "new word"}, "new word"),
        ("context.a ?? channel", {}, "web"),
        ("now.weekday", {}, "4"),
        ("context.a > 2", {"a": 3}, "true"),
        ("visits.views / 2", {}, "1.5"),
    ],
)
def test_a_category_is_a_text(row: Any, text: str, context: Any, category: str | None) -> None:
    made = inputs(LEAST + f"model: {{contexts: {{it: '{text}'}}}}")
    found = made.read(*row(views=3), context, "web", START).contexts
    assert found == ({} if category is None else {"it": category})


def test_a_condition_is_a_number_too(row: Any) -> None:
    made = inputs(LEAST + "model: {numbers: {a: visits.views > 2, b: context.flag}}")
    assert made.read(*row(views=3), {"flag": 0.5}, "web", START).numbers == {"a": 1.0, "b": 0.5}
    assert made.read(*row(), {"flag": "x"}, "web", START).numbers == {"a": 0.0}


def test_boosts_multiply(row: Any) -> None:
    boosts = (
        "boosts:\n- {when: 'true', times: 2}\n- {when: 'true', times: 3, actions: [hats]}\n"
        "- {when: visits.recent == action.category, times: 0}\n"
    )
    made = inputs(LEAST + boosts)
    assert made.read(*row(), {}, "web", START).boosts.tolist() == [2.0, 6.0]
    assert made.read(*row(recent=0), {}, "web", START).boosts.tolist() == [0.0, 6.0]


def test_a_strategy_may_say_nothing(row: Any) -> None:
    made = inputs(LEAST)
    seen = made.read(*row(), {}, "web", START)
    assert seen[:3] == ({}, {}, {})
    assert seen.features.shape == (2, 0)
    assert seen.boosts.tolist() == [1.0, 1.0]
    with pytest.raises(SettingsError, match="a row of 2 columns"):
        made.read(np.zeros(2), np.zeros(2, np.uint8), {}, "web", START)
