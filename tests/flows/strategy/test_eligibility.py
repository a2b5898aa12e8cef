"""Every action that may not be offered is excluded by the first rule that says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features.errors import SettingsError
from nextbest.flows.decision.eligibility import Rules
from nextbest.flows.decision.loading import load
from tests.flows.strategy.shop import COLUMNS, EXAMPLE, HOUR, LEAST, START, catalog

NOON = START + 11 * HOUR  # in Berlin
DAY = 24 * HOUR


def rules(text: str) -> Rules:
    return Rules.compile(load(text, catalog).strategy, catalog)


def said(made: Rules, row: Any, channel: str = "web", at: int = NOON, **context: Any) -> Any:
    verdicts = made.check(*row, context, channel, at)
    assert (verdicts.eligible == (verdicts.excluded == 0)).all()
    assert verdicts.excluded.dtype == np.uint16
    return {
        action: made.names[rule]
        for action, rule in zip(made.actions, verdicts.excluded, strict=True)
    }


def test_the_example_says_who_gets_what(row: Any) -> None:
    made = rules(EXAMPLE)
    keen = row(affinity__shoes=0.9, affinity__hats=0.05, hesitates=2, since_purchase=90_000)
    assert said(made, keen) == {"shoes_sale": "", "hats_new": "eligible", "help": ""}
    assert said(made, row(favourites__0=0))["shoes_sale"] == ""
    assert said(made, row(favourites__0=1))["shoes_sale"] == "eligible"
    bought = row(affinity__shoes=0.9, since_purchase=60)
    reason = "suppress 1: has just bought at the full price"
    assert said(made, bought)["shoes_sale"] == reason
    assert said(made, keen, "email", START + 2 * HOUR) == {
        "shoes_sale": "closed channel", "hats_new": "not on this channel", "help": "closed channel"
    }  # fmt: skip
    assert said(made, keen, "email")["help"] == ""


def test_validity_begins_and_ends_in_the_strategys_zone(row: Any) -> None:
    made = rules(EXAMPLE)
    fan = row(affinity__hats=1.0)
    assert said(made, fan, at=START - HOUR - 1)["hats_new"] == "not valid yet"
    assert said(made, fan, at=START - HOUR)["hats_new"] == ""
    assert said(made, fan, at=START - HOUR + 365 * DAY - 1)["hats_new"] == ""
    assert said(made, fan, at=START - HOUR + 365 * DAY)["hats_new"] == "expired"


def test_what_is_missing_or_expired_makes_nobody_eligible(row: Any) -> None:
    made = rules(LEAST.replace("tags: {category: shoes}", "eligible: visits.views < 3"))
    assert said(made, row(views=2))["shoes"] == ""
    assert said(made, row())["shoes"] == "eligible"
    values, state = row(views=2)
    assert said(made, (values, state * 2 + 2))["shoes"] == "eligible"
    assert said(made, row(views=np.nan))["shoes"] == "eligible"


def test_suppressions_are_of_named_or_tagged_actions_and_say_their_number(row: Any) -> None:
    made = rules(
        LEAST
        + "suppress:\n"
        + "- {when: context.a == 'x', actions: [hats]}\n"
        + "- {when: context.b > 0, tags: {category: shoes}, reason: why}\n"
        + "- {when: visits.recent == action.category}\n"
    )
    assert said(made, row(), a="x", b=1) == {"shoes": "suppress 2: why", "hats": "suppress 1"}
    assert said(made, row(), a="y", b=0) == {"shoes": "", "hats": ""}
    assert said(made, row(recent=0)) == {"shoes": "suppress 3", "hats": ""}
    assert said(made, row(recent=1)) == {"shoes": "", "hats": "suppress 3"}


def test_equal_conditions_are_one_program() -> None:
    text = LEAST + "suppress:\n" + "- {when: visits.views > 3 and context.a == 'x'}\n" * 20
    made = rules(text)
    assert made.work == len(made.extras) + 2 + 2


def test_a_foreign_row_or_channel_is_refused(row: Any) -> None:
    made = rules(LEAST)
    values, state = row()
    with pytest.raises(SettingsError, match="no channel 'kiosk'; there are: web, email"):
        made.check(values, state, {}, "kiosk", NOON)
    with pytest.raises(SettingsError, match="a row of 3 columns"):
        made.check(values[:3], state[:3], {}, "web", NOON)
    with pytest.raises(SettingsError, match="2 rows, but 1 contexts"):
        made.check_many(np.stack([values] * 2), np.stack([state] * 2), [{}], "web", NOON)
    with pytest.raises(SettingsError, match="a row of 3 columns"):
        made.check_many(values[None, :3], state[None, :3], {}, "web", NOON)


def test_a_place_outside_a_vocabulary_is_missing(row: Any) -> None:
    made = rules(LEAST + "suppress: [{when: visits.recent is missing}]")
    for place in (-1.0, 2.0, 1e300):
        assert said(made, row(recent=place))["hats"] == "suppress 1"
    assert said(made, row(recent=1.0))["hats"] == ""


WIDTH = len(COLUMNS)
CONTEXT = st.fixed_dictionaries({}, optional={"stock": st.floats() | st.integers()})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(CONTEXT, min_size=1, max_size=6))
def test_many_rows_are_as_each_by_itself(seed: int, contexts: list[Any]) -> None:
    made, n = rules(EXAMPLE), len(contexts)
    rng = np.random.default_rng(seed)
    values = rng.random((n, WIDTH)) * 3.0
    state = rng.integers(0, 3, (n, WIDTH)).astype(np.uint8)
    at = START + rng.integers(-400, 400, n) * DAY // 24
    channels = rng.choice(["web", "email"], n).tolist()
    many = made.check_many(values, state, contexts, channels, at)
    assert many.eligible.shape == (n, 3)
    for i in range(n):
        own = made.check(values[i], state[i], contexts[i], channels[i], int(at[i]))
        assert many.excluded[i].tolist() == own.excluded.tolist()


def test_one_context_and_channel_can_be_of_all_rows(row: Any) -> None:
    values, state = row(hesitates=2)
    many = rules(EXAMPLE).check_many(
        np.stack([values] * 3), np.stack([state] * 3), {}, "email", NOON
    )
    assert many.eligible.tolist() == [[False, False, True]] * 3
    none = rules(EXAMPLE).check_many(values[None][:0], state[None][:0], {}, "email", NOON)
    assert none.eligible.shape == (0, 3)
