"""A rehearsal knows all that has a kernel; the long form plays it with real processes."""

from __future__ import annotations

import inspect
import os

import pytest

from nextbest.features import aggregations as agg
from nextbest.flows.commands.rehearsal import RehearsalError, _ask, _event, rehearse
from nextbest.flows.commands.rehearsal_shop import STRATEGY, catalog, source
from nextbest.flows.decision.loading import load


def test_it_declares_every_kind_of_feature_and_two_entities() -> None:
    kinds = {feature.aggregation for view in catalog.views for feature in view.features}
    made = {
        name
        for name, value in inspect.getmembers(agg, inspect.isfunction)
        if value.__module__ == agg.__name__ and not name.startswith("_")
    }
    assert made - kinds <= {"ratio"}, "a quotient is a formula like any other"
    assert len(catalog.entities) == 2


def test_its_strategy_has_all_that_is_learned_and_triggered() -> None:
    strategy = load(STRATEGY, catalog).strategy
    assert strategy.triggers
    assert strategy.caps
    assert strategy.cool_downs
    model = strategy.model
    assert model.contexts
    assert model.numbers
    assert model.action_features
    assert model.segments
    assert model.personal


def test_its_events_are_of_its_schema() -> None:
    event = _event("c0", 3, "purchase", 1)
    assert event["type"] in source.types
    assert set(event["properties"]) == set(source.properties)


def test_a_service_that_is_away_is_one_clear_error() -> None:
    with pytest.raises(RehearsalError, match=r"http://127\.0\.0\.1:9/: .*refused"):
        _ask("http://127.0.0.1:9/")


@pytest.mark.skipif(os.environ.get("NEXTBEST_CHAOS") != "long", reason="NEXTBEST_CHAOS=long")
def test_the_whole_rehearsal_ends_well() -> None:
    done = rehearse()
    assert done.kernels > 100
    assert done.size > 1_000_000
