"""A trial: false promotions within alpha however often one looks, and its evidence as defined."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from nextbest.learners import LearnerError, Trial
from nextbest.learners.kernels.trial import LOG_WEIGHTS, first_proven, log_evidence
from nextbest.learners.trial import Pairing
from tests.naive.trial import bounded_capital, pairs_of, real_capital


def test_evidence_is_the_bounded_capital_and_never_more_than_the_real_one() -> None:
    rng = np.random.default_rng(3)
    assert np.exp(LOG_WEIGHTS).sum() == pytest.approx(1.0, abs=1e-12)
    for size in (1, 7, 120):
        for mean in (-0.4, 0.0, 0.3):
            d = rng.choice([-1.0, -0.25, 0.0, 0.5, 1.0], size)
            log = log_evidence(size, float(d.sum()), float(d @ d), mean)
            assert log == pytest.approx(math.log(bounded_capital(d.tolist(), mean)), abs=1e-9)
            assert log <= math.log(real_capital(d.tolist(), mean)) + 1e-9


def test_false_promotions_stay_below_alpha_with_a_look_after_every_pair() -> None:
    false = _promotions(np.random.default_rng(5), 600, 6000, 0.05, 0.05, alpha=0.05)
    # At 5%, more than 45 of 600 has a probability of less than 0.5%.
    assert 0 < sum(n > 0 for n in false) <= 45
    tilted = _promotions(np.random.default_rng(5), 60, 20_000, 0.05, 0.06, alpha=0.05)
    assert 3000 < np.median([n if n > 0 else np.inf for n in tilted]) < 10_000


def test_three_challengers_that_share_alpha_promote_falsely_as_seldom_as_one() -> None:
    rng, wrong = np.random.default_rng(11), 0
    for _ in range(300):
        champion = rng.random(3000) < 0.1
        limit = -math.log(0.05 / 3)
        found = [
            first_proven((rng.random(3000) < 0.1) * 1.0 - champion, limit) > 0 for _ in range(3)
        ]
        wrong += any(found)
    assert wrong <= 27  # 5% of 300, and three standard deviations more


def test_interval_holds_the_mean_and_tells_what_better_and_worse_tell() -> None:
    rng = np.random.default_rng(2)
    left = 0
    for _ in range(40):
        trial = Trial(alpha=0.05)
        out = False
        for a, b in zip(rng.random(600) ** 2, rng.random(600), strict=True):
            trial.update(b, champion=a)
            if trial.pairs % 20 == 0:
                low, high = trial.interval()
                assert low <= trial.total / trial.pairs <= high
                assert (low >= 0.0, high <= 0.0) == (trial.better, trial.worse)
                out |= not low <= 1 / 2 - 1 / 3 <= high
        left += out
        assert trial.better
        assert not trial.worse
    assert left <= 8  # at most 10% in expectation


def test_a_snapshot_is_the_trial_and_what_cannot_be_is_refused() -> None:
    trial = Trial(alpha=0.01)
    for k in range(50):
        trial.update(float(k % 3 == 0), champion=0.5 * (k % 2))
    assert Trial(**asdict(trial)).evidence() == trial.evidence()
    before = asdict(trial)
    for bad in (math.nan, -0.1, 1.5):
        with pytest.raises(LearnerError, match="challenger must be in"):
            trial.update(bad, champion=0.0)
        with pytest.raises(LearnerError, match="champion must be in"):
            trial.update(0.0, champion=bad)
    assert asdict(trial) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"alpha": 0.6}, "alpha must be in", id="alpha"),
        pytest.param({"pairs": 1.0}, "pairs must be an int", id="pairs"),
        pytest.param({"pairs": 3, "differing": 4}, "differing must be in", id="differing"),
        pytest.param({"total": 1.0}, "total must be in", id="total"),
        pytest.param({"squares": math.nan}, "squares must be in", id="squares"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LearnerError, match=message):
        Trial(**change)


def test_pairs_are_the_nearest_and_do_not_depend_on_outcomes() -> None:
    rng = np.random.default_rng(8)
    sides = (rng.random(2000) < 0.8).tolist()
    values = [round(v, 3) for v in rng.random(2000).tolist()]
    pairing, found = Pairing(), []
    for k, (first, value) in enumerate(zip(sides, values, strict=True)):
        pair = pairing.add(first, value)
        if pair is not None:
            found.append(pair)
        if k == 1000:
            pairing = Pairing(**pairing.to_values())
    assert found == pairs_of(list(zip(sides, values, strict=True)), Pairing.MOST)
    assert len(found) == sides.count(False)


def _promotions(
    rng: np.random.Generator, runs: int, pairs: int, base: float, other: float, *, alpha: float
) -> list[int]:
    limit = -math.log(alpha)
    return [
        first_proven((rng.random(pairs) < other) * 1.0 - (rng.random(pairs) < base), limit)
        for _ in range(runs)
    ]
