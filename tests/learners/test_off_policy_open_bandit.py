"""Published figures of the Open Bandit sample, uniform policy to Thompson sampling, made again.

"Published" is the quickstart of the Open Bandit Pipeline: 100,000 simulations, seed 12345,
logistic regression with three folds, 10,000 bootstrap replicates.
"""

import numpy as np
import pytest

from nextbest.learners.off_policy import (
    Log,
    bootstrap,
    dm,
    dr,
    dros,
    evaluate,
    ips,
    overlap,
    sndr,
    snips,
    switch_dr,
)
from tests.learners import open_bandit

# IPW, SNIPW, effective sample size: exact arithmetic, so every digit.
WEIGHTED = {
    "all": (0.00455288, 0.00477583, 1640),
    "men": (0.00453356, 0.00460423, 2467),
    "women": (0.00681347, 0.00681097, 1954),
}
# DR, SNDR, Switch-DR at 10, DRos at 1.
MODELLED = {
    "all": (0.004728, 0.004786, 0.003252, 0.003580),
    "men": (0.004569, 0.004575, 0.004828, 0.004170),
    "women": (0.006863, 0.006862, 0.006520, 0.004587),
}


def logged(campaign):
    data = open_bandit.load(campaign)
    return Log(data.arms, data.rewards, data.propensities, data.positions)


def sample(campaign, q=None):
    return logged(campaign).under(open_bandit.load(campaign).target[None], q)


def test_the_simulated_policy_is_the_published_one():
    target = open_bandit.load("all").target
    assert target[:3].tolist() == [
        [0.01078, 0.00931, 0.00917],
        [0.00167, 0.00077, 0.00076],
        [0.0058, 0.00614, 0.00631],
    ]
    assert target[-2:].tolist() == [[0.00689, 0.00724, 0.00755], [0.0582, 0.07603, 0.07998]]


@pytest.mark.parametrize("campaign", open_bandit.CAMPAIGNS)
def test_weighted_estimates_match_to_every_published_digit(campaign):
    log = sample(campaign)
    by_weight, by_share, size = WEIGHTED[campaign]
    assert round(ips(log).value, 8) == by_weight
    assert round(snips(log).value, 8) == by_share
    assert round(overlap(log).effective) == size


def test_the_relative_value_matches_to_every_published_digit():
    log = sample("all")
    assert round(ips(log).value / log.rewards.mean(), 6) == 1.198126
    clicks = {name: open_bandit.read("bts", name)["click"].mean() for name in open_bandit.CAMPAIGNS}
    assert clicks == {"all": 0.0042, "men": 0.0069, "women": 0.0046}


def modelled(campaign, fit):
    return sample(campaign, open_bandit.predictions(open_bandit.load(campaign), fit))


def test_modelled_estimates_match_to_every_published_digit():
    log = modelled("all", open_bandit.converged)
    assert round(dm(log).value, 6) == 0.003545
    assert round(dr(log).value, 6) == 0.004727


@pytest.mark.parametrize("campaign", open_bandit.CAMPAIGNS)
def test_all_modelled_estimates_match_if_the_regression_stops_where_theirs_does(campaign):
    log = modelled(campaign, open_bandit.stopped)
    found = [e.value for e in (dr(log), sndr(log), switch_dr(log, 10.0), dros(log, 1.0))]
    # Six digits here; where exactly the optimiser stops is up to the linear algebra beneath.
    np.testing.assert_allclose(found, MODELLED[campaign], rtol=0, atol=2e-6)


def test_the_bootstrap_interval_matches_within_its_own_noise():
    lower, upper = bootstrap(ips(sample("all")), replicates=10_000, seed=open_bandit.SEED)
    assert lower == pytest.approx(0.001531, rel=0.05)
    assert upper == pytest.approx(0.009254, rel=0.05)


def test_the_intervals_hold_the_value_measured_by_the_target_itself():
    for campaign, value in zip(open_bandit.CAMPAIGNS, (0.0042, 0.0069, 0.0046), strict=True):
        lower, upper = bootstrap(snips(sample(campaign)), seed=1)
        assert lower < value < upper


@pytest.mark.parametrize("campaign", open_bandit.CAMPAIGNS)
@pytest.mark.parametrize("method", ["bernstein", "betting", "asymptotic", "bca"])
def test_some_forty_clicks_are_not_enough_for_a_verdict(campaign, method):
    report = evaluate(logged(campaign), open_bandit.load(campaign).target[None], method=method)
    assert report.verdict == "cannot tell"
    assert "%" not in report.reasons[0]  # not for a lack of overlap
    assert report.interval.lower < report.gain < report.interval.upper
