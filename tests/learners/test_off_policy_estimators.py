"""The estimators of off-policy evaluation: their twins, and what must hold between them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import LearnerError
from nextbest.learners.off_policy import (
    Estimate,
    Sample,
    bootstrap,
    dm,
    dr,
    dros,
    ips,
    overlap,
    sndr,
    snips,
    switch_dr,
)
from tests.naive import off_policy as naive

reward = st.floats(-10.0, 10.0)
row = st.tuples(reward, st.floats(0.01, 1.0), st.floats(0.0, 1.0), reward, reward)
logs = st.lists(row, min_size=1, max_size=40)
weighted = logs.filter(lambda rows: sum(t for _, _, t, _, _ in rows) > 0.01)
limits = st.floats(0.01, 100.0)


def sample(rows, model=True):
    rewards, behaviour, target, expected, predicted = (np.array(c) for c in zip(*rows, strict=True))
    if not model:
        return Sample(rewards, behaviour, target)
    return Sample(rewards, behaviour, target, expected, predicted)


def near(value):
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@given(rows=weighted, limit=limits)
@settings(max_examples=200, deadline=None)
def test_each_equals_its_twin(rows, limit):
    log = sample(rows)
    assert ips(log).value == near(naive.naive_ips(rows))
    assert ips(log, limit).value == near(naive.naive_ips(rows, limit))
    assert snips(log).value == near(naive.naive_snips(rows))
    assert snips(log, limit).value == near(naive.naive_snips(rows, limit))
    assert dm(log).value == near(naive.naive_dm(rows))
    assert dr(log).value == near(naive.naive_dr(rows))
    assert dr(log, limit).value == near(naive.naive_dr(rows, limit))
    assert sndr(log).value == near(naive.naive_sndr(rows))
    assert switch_dr(log, limit).value == near(naive.naive_switch_dr(rows, limit))
    assert dros(log, limit).value == near(naive.naive_dros(rows, limit))


@given(rows=weighted)
@settings(max_examples=100, deadline=None)
def test_a_model_that_predicts_nothing_changes_nothing(rows):
    without = [(r, b, t, 0.0, 0.0) for r, b, t, _, _ in rows]
    assert dr(sample(without)).value == near(ips(sample(without)).value)
    assert sndr(sample(without)).value == near(snips(sample(without)).value)


@given(rows=logs)
@settings(max_examples=100, deadline=None)
def test_shrinkage_and_switching_end_at_dm_and_at_dr(rows):
    log = sample(rows)
    assert switch_dr(log, math.inf).value == dr(log).value
    assert switch_dr(log, 0.0).value == near(dm(log).value)
    assert dros(log, math.inf).value == dr(log).value
    assert dros(log, 0.0).value == near(dm(log).value)
    # The limits, not only the ends.
    assert dros(log, 1e15).value == near(dr(log).value)
    smallest = min((w for w in log.weights if w > 0.0), default=1.0)
    assert switch_dr(log, smallest / 2.0).value == near(dm(log).value)


@given(rows=weighted, scale=st.floats(0.05, 1.0), shift=st.floats(-5.0, 5.0))
@settings(max_examples=100, deadline=None)
def test_self_normalised_estimates_ignore_the_scale_of_weights(rows, scale, shift):
    log = sample(rows)
    scaled = sample([(r, b, t * scale, v, q) for r, b, t, v, q in rows])
    assert snips(scaled).value == near(snips(log).value)
    assert sndr(scaled).value == near(sndr(log).value)
    moved = sample([(r + shift, b, t, v, q) for r, b, t, v, q in rows])
    assert snips(moved).value == near(snips(log).value + shift)


@given(rows=weighted)
@settings(max_examples=100, deadline=None)
def test_contributions_have_the_estimate_as_their_mean(rows):
    log = sample(rows)
    for estimate in (ips(log), snips(log), dm(log), dr(log), sndr(log), dros(log, 3.0)):
        assert estimate.contributions.mean() == near(estimate.value)
        assert estimate.minus(log.rewards).value == near(estimate.value - log.rewards.mean())


def world(n, seed):
    """Two contexts, three arms, a behaviour and a target policy, and the target's true value."""
    rng = np.random.default_rng(seed)
    q = np.array([[0.1, 0.3, 0.2], [0.5, 0.2, 0.4]])
    behaviour = np.array([[0.5, 0.25, 0.25], [0.2, 0.3, 0.5]])
    target = np.array([[0.1, 0.8, 0.1], [0.6, 0.2, 0.2]])
    context = rng.integers(0, 2, n)
    arms = (rng.random(n)[:, None] > behaviour[context].cumsum(axis=1)).sum(axis=1)
    rewards = (rng.random(n) < q[context, arms]).astype(float)
    expected = (target * q).sum(axis=1)
    log = Sample(
        rewards,
        behaviour[context, arms],
        target[context, arms],
        expected[context] + 0.1,  # a model that is wrong, in the same way everywhere
        q[context, arms] + 0.1,
    )
    return log, expected.mean()


@pytest.mark.parametrize("estimator", [ips, snips, dr, sndr], ids=lambda e: e.__name__)
def test_estimates_find_the_truth_and_know_their_spread(estimator):
    errors = []
    for seed in range(300):
        log, truth = world(400, seed)
        estimate = estimator(log)
        errors.append((estimate.value - truth) / estimate.standard_error)
    assert np.mean(errors) == pytest.approx(0.0, abs=0.2)
    assert np.std(errors) == pytest.approx(1.0, abs=0.12)


def test_dm_is_as_wrong_as_its_model_and_dr_is_not():
    log, truth = world(20_000, 1)
    assert dm(log).value == pytest.approx(truth + 0.1, abs=0.01)
    assert dr(log).value == pytest.approx(truth, abs=0.02)


def test_a_clip_trades_variance_for_bias():
    log, truth = world(20_000, 2)
    assert ips(log, clip=1.0).standard_error < ips(log).standard_error
    assert ips(log, clip=1.0).value < truth - 0.05


@pytest.mark.parametrize("size", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize("target", [1e-300, 1e-9, 0.5])
def test_numbers_of_any_size_stay_numbers(size, target):
    rewards = size * np.array([0.0, 0.5, 1.0, 0.25])
    log = Sample(rewards, [1e-12, 0.5, 1.0, 0.5], [target] * 4, rewards / 2.0, rewards / 3.0)
    estimates = [e(log) for e in (ips, snips, dm, dr, sndr)]
    estimates += [dros(log, 1e-300), dros(log, 1e300), switch_dr(log, 2.0)]
    for estimate in estimates:
        assert math.isfinite(estimate.value)
        assert math.isfinite(estimate.standard_error)
    assert 1.0 <= overlap(log).effective <= 4.0
    lower, upper = bootstrap(ips(log), replicates=100, method="bca")
    assert 0.0 <= lower <= upper <= 1e12 * size


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda log: ips(log, clip=0.0), "clip must be positive"),
        (lambda log: snips(log, clip=math.nan), "clip must be positive"),
        (lambda log: switch_dr(log, -1.0), "threshold must be at least 0"),
        (lambda log: dros(log, math.nan), "shrinkage must be at least 0"),
        (lambda log: dr(Sample([1.0], [0.5], [0.5])), "needs a model"),
        (lambda log: dm(Sample([1.0], [0.5], [0.5])), "needs a model"),
        (lambda log: snips(Sample([1.0], [0.5], [0.0])), "none of the logged arms"),
        (lambda log: sndr(Sample([1.0], [0.5], [0.0], [0.1], [0.1])), "none of the logged arms"),
        (lambda log: ips(log).minus([1.0]), "2 rewards but 1 values"),
        (lambda log: Estimate("own", np.zeros(2), np.zeros(3)), "of one length"),
    ],
    ids=["clip", "nan-clip", "switch", "dros", "dr", "dm", "snips", "sndr", "minus", "parts"],
)
def test_what_cannot_be_estimated_is_refused(call, message):
    with pytest.raises(LearnerError, match=message):
        call(Sample([1.0, 0.0], [0.5, 0.5], [0.5, 0.5], [0.1, 0.1], [0.2, 0.2]))
