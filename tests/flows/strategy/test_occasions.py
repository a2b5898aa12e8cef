"""Which events count for an objective, and at which we decide by ourselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nextbest.flows.decision.goals import Goal, goals_of
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.occasions import Triggers
from nextbest.flows.decision.reading import action_values
from nextbest.flows.decision.strategy import Strategy
from tests.flows.strategy.shop import EXAMPLE, HOUR, LEAST, START, catalog


def shown_by(goals: tuple[Goal, ...], kind: str) -> tuple[str, ...]:
    """The objectives that events of a type can show."""
    return tuple(goal.name for goal in goals if goal.event == kind)


def counts(
    strategy: Strategy, goals: tuple[Goal, ...], name: str, action: str, event: dict[str, Any]
) -> bool:
    """Does an event count for an objective, of an offer of this action?"""
    known = strategy.actions.get(action)
    values = {"id": action} if known is None else action_values(action, known)
    return next(goal for goal in goals if goal.name == name).admits(event, values)


@pytest.mark.parametrize("checked", [True, False], ids=["with a catalog", "without"])
def test_an_event_counts_for_the_actions_that_it_fits(checked: bool) -> None:
    strategy = load(EXAMPLE).strategy
    goals = goals_of(strategy, catalog if checked else None)
    assert (shown_by(goals, "purchase"), shown_by(goals, "view")) == (("conversion",), ())
    shoes = {"type": "purchase", "category": "shoes"}
    found = [
        counts(strategy, goals, "conversion", action, event)
        for action, event in [
            ("shoes_sale", shoes),
            ("hats_new", shoes),
            ("help", shoes),  # it has no category
            ("gone", shoes),
            ("shoes_sale", {"type": "purchase"}),
            ("shoes_sale", {"category": 3}),
        ]
    ]
    assert found == [True, False, False, False, False, False]


def test_without_a_condition_all_events_of_the_type_count() -> None:
    text = LEAST.replace("buy: {response: convert}", "buy: {event: cart}\n  more: {event: cart}")
    strategy = load(text, catalog).strategy
    goals = goals_of(strategy, catalog)
    assert shown_by(goals, "cart") == ("buy", "more")
    assert counts(strategy, goals, "more", "shoes", {})


def test_triggers_hold_for_rows(row: Any) -> None:
    text = EXAMPLE.replace(
        "triggers:\n",
        "triggers:\n  always: {event: view, channel: email}\n"
        "  late: {event: view, channel: email, when: now.hour >= 12}\n",
    )
    triggers = Triggers.compile(load(text, catalog).strategy, catalog)
    assert triggers.names == ("always", "late", "cart_left")
    assert triggers.events == ("view", "view", "leave")
    rows = [row(hesitates=1), row(hesitates=0), row()]
    values, state = (np.stack(part) for part in zip(*rows, strict=True))
    found = triggers.check_many(values, state, np.array([START, START + 12 * HOUR, START]))
    assert found.tolist() == [[True, False, True], [True, True, False], [True, False, False]]


def test_a_strategy_without_triggers_has_none(row: Any) -> None:
    values, state = row()
    none = Triggers.compile(load(LEAST, catalog).strategy, catalog)
    assert none.check_many(values[None], state[None], np.array([START])).shape == (1, 0)
