"""Forecasts that are compared at all times: the interval holds, and what is better is found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nextbest.learners import LearnerError, Trial
from nextbest.learners.forecasts import LEAST, SPAN, ForecastTrial, score


def loss(probability: float, happened: bool) -> float:
    p = min(max(probability, LEAST), 1.0 - LEAST)
    return -math.log(p if happened else 1.0 - p)


def test_a_score_is_the_log_loss_turned_over_and_the_mean_is_in_nats() -> None:
    for p in (0.0, 0.0005, 0.2, 0.999, 1.0):
        for happened in (False, True):
            assert score(p, happened) == pytest.approx(
                1.0 - (loss(p, happened) - loss(1.0, True)) / SPAN
            )
    one = ForecastTrial()
    told = [(0.2, 0.5, False), (0.9, 0.4, True), (0.3, 0.0, True)]
    for challenger, champion, happened in told:
        one.update(challenger, champion, happened=happened)
    gains = [loss(b, y) - loss(a, y) for a, b, y in told]
    assert one.evidence().mean == pytest.approx(sum(gains) / 3)
    assert one.verdict == "cannot tell"
    with pytest.raises(LearnerError, match="champion"):
        one.update(0.5, math.nan, happened=True)
    assert one.trial.pairs == 3


def test_the_interval_holds_at_all_times_where_what_is_expected_changes() -> None:
    rng = np.random.default_rng(11)
    missed = 0
    for _ in range(60):
        one, expected = ForecastTrial(Trial(0.05)), 0.0
        for k in range(1, 301):
            true = 0.1 if k % 40 < 20 else 0.6  # who is better changes all the time
            told = 0.2 if k % 3 else 0.6
            one.update(told, 0.35, happened=bool(rng.random() < true))
            for happened, part in ((True, true), (False, 1.0 - true)):
                expected += part * (loss(0.35, happened) - loss(told, happened))
            low, high = one.interval() if k % 20 == 0 else (-math.inf, math.inf)
            if not low <= expected / k <= high:
                missed += 1
                break
    assert missed <= 6  # at most 0.1 of them on average; it is far fewer


def test_a_better_forecast_is_found_and_the_other_way_round_is_worse() -> None:
    rng = np.random.default_rng(12)
    better, worse = ForecastTrial(), ForecastTrial()
    for _ in range(3000):
        true = rng.choice([0.02, 0.2])
        happened = bool(rng.random() < true)
        better.update(true, 0.11, happened=happened)
        worse.update(0.11, true, happened=happened)
    assert (better.verdict, worse.verdict) == ("forecasts better", "forecasts worse")
    assert better.evidence().low == pytest.approx(-worse.evidence().high)
