"""Bootstrap intervals: against SciPy's, their coverage, their seeds, their limits."""

import math

import numpy as np
import pytest
from scipy import stats

from nextbest.learners import LearnerError
from nextbest.learners.off_policy import Estimate, Sample, bootstrap, dm, dr, ips, sndr, snips

METHODS = ("percentile", "bca")


def sample(n, seed):
    rng = np.random.default_rng(seed)
    arms = rng.integers(0, 2, n)
    rewards = (rng.random(n) < np.where(arms == 1, 0.5, 0.2)).astype(float)
    target = np.where(arms == 1, 0.8, 0.2)
    expected, predicted = np.full(n, 0.4), np.where(arms == 1, 0.45, 0.25)
    return Sample(rewards, np.full(n, 0.5), target, expected, predicted)


TRUTH = 0.8 * 0.5 + 0.2 * 0.2


@pytest.mark.parametrize("method", METHODS)
def test_the_interval_of_a_mean_is_scipys(method):
    skewed = np.random.default_rng(1).exponential(size=60)
    estimate = Estimate("mean", skewed, np.zeros(60))
    lower, upper = bootstrap(estimate, replicates=20_000, seed=2, method=method)
    name = {"percentile": "percentile", "bca": "BCa"}[method]
    theirs = stats.bootstrap(
        (skewed,), np.mean, n_resamples=20_000, method=name, rng=np.random.default_rng(3)
    ).confidence_interval
    assert lower == pytest.approx(theirs.low, abs=0.015)
    assert upper == pytest.approx(theirs.high, abs=0.015)


def test_the_interval_of_a_ratio_is_scipys():
    log = sample(80, 4)
    lower, upper = bootstrap(snips(log), replicates=20_000, seed=5, method="bca")

    def ratio(products, weights, axis=-1):
        return products.sum(axis=axis) / weights.sum(axis=axis)

    theirs = stats.bootstrap(
        (log.weights * log.rewards, log.weights),
        ratio,
        paired=True,
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(6),
    ).confidence_interval
    assert lower == pytest.approx(theirs.low, abs=0.01)
    assert upper == pytest.approx(theirs.high, abs=0.01)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("estimator", [ips, snips, dr, sndr], ids=lambda e: e.__name__)
def test_it_covers_the_truth_as_often_as_it_says(estimator, method):
    covered = 0
    for seed in range(200):
        estimate = estimator(sample(200, seed))
        lower, upper = bootstrap(estimate, alpha=0.1, replicates=300, seed=seed, method=method)
        covered += lower <= TRUTH <= upper
    assert covered / 200 == pytest.approx(0.9, abs=0.06)


def test_equal_seeds_are_equal_intervals():
    estimate = snips(sample(300, 7))
    assert bootstrap(estimate, seed=1) == bootstrap(estimate, seed=1)
    assert bootstrap(estimate, seed=1) != bootstrap(estimate, seed=2)


def test_a_log_of_any_length_takes_bounded_memory():
    """Replicates are drawn in blocks; where a block ends changes nothing that is tested here."""
    estimate = ips(sample(300_000, 8))
    lower, upper = bootstrap(estimate, replicates=100, seed=1)
    spread = 2 * 1.96 * estimate.standard_error
    assert upper - lower == pytest.approx(spread, rel=0.25)


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_vary_has_an_interval_of_one_point(method):
    constant = dm(Sample([0.0, 1.0], [0.5, 0.5], [0.5, 0.5], [0.25, 0.25], [0.1, 0.1]))
    assert bootstrap(constant, method=method) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: bootstrap(e, alpha=0.0), "alpha must be in"),
        (lambda e: bootstrap(e, alpha=math.nan), "alpha must be in"),
        (lambda e: bootstrap(e, replicates=10), r"replicates must be in \[100"),
        (lambda e: bootstrap(e, replicates=10**7), r"replicates must be in \[100"),
        (lambda e: bootstrap(e, method="normal"), "method must be"),
        (lambda e: bootstrap(e, seed=-1), "seed -1"),
        (lambda e: bootstrap(e, seed="one"), "seed 'one'"),
        (lambda e: bootstrap(snips(Sample([1, 0, 0], [0.5] * 3, [1, 0, 0]))), "too few rows"),
        (lambda e: bootstrap(dm(Sample([1], [1], [1], [1], [1])), method="bca"), "two rows"),
    ],
    ids=["alpha", "nan", "few", "many", "method", "negative", "text", "weightless", "one-row"],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(LearnerError, match=message):
        call(ips(sample(10, 1)))
