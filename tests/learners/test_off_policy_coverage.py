"""Looking after every row: how often each interval leaves the truth out, by simulation."""

import math

import numpy as np
import pytest

from nextbest.learners.off_policy import AsymptoticSequence, BernsteinSequence, BettingSequence
from nextbest.learners.off_policy.bounded import BETS, log_capital

RUNS = 500
ALPHA = 0.05

WEIGHTS = {
    "without": ([1.0], [1.0]),
    "mild": ([0.5, 1.5], [0.5, 0.5]),
    "one-arm-of-ten": ([0.0, 10.0], [0.9, 0.1]),
    "heavy": ([0.5 / 0.98, 25.0], [0.98, 0.02]),
}
CASES = [(weights, rate) for weights in WEIGHTS for rate in (0.3, 0.02)]
every_case = pytest.mark.parametrize(
    ("weights", "rate"), CASES, ids=[f"{weights}-{rate}" for weights, rate in CASES]
)


def streams(weights, rate, rows, runs=RUNS, seed=1):
    """float64[runs, rows]: rewards that no arm changes, so the gain is 0, and weights."""
    rng = np.random.default_rng(seed)
    values, chances = WEIGHTS[weights]
    rewards = (rng.random((runs, rows)) < rate).astype(float)
    return rewards, rng.choice(values, p=chances, size=(runs, rows))


def ever(outside):
    return outside.any(axis=1).mean()


@every_case
@pytest.mark.parametrize("difference", [False, True], ids=["value", "gain"])
def test_bernstein_never_exceeds_its_alpha(weights, rate, difference):
    rewards, w = streams(weights, rate, 1000)
    n = np.broadcast_to(np.arange(1.0, 1001.0), w.shape)
    outside = np.zeros(w.shape, bool)
    for won, mean in ((rewards, rate), (1.0 - rewards, 1.0 - rate)):
        z = 1.0 + (w - 1.0) * won if difference else w * won
        capital = log_capital(n, z.cumsum(1), (z * z).cumsum(1), 1.0 if difference else mean)
        outside |= capital >= math.log(2.0 / ALPHA)
    assert ever(outside) <= ALPHA


@every_case
def test_betting_never_exceeds_its_alpha(weights, rate):
    rewards, w = streams(weights, rate, 1000)
    outside = np.zeros(w.shape, bool)
    for won, mean in ((rewards, rate), (1.0 - rewards, 1.0 - rate)):
        capital = np.zeros(w.shape)
        for bet in BETS:
            capital += np.exp(np.log1p(bet * (w * won / mean - 1.0)).cumsum(1))
        outside |= capital / len(BETS) >= 2.0 / ALPHA
    assert ever(outside) <= ALPHA


def asymptotic(rewards, weights):
    """Bounds after every row of every run; infinite, as those of the object, before the start."""
    n = np.arange(1, rewards.shape[1] + 1)
    x, defaults = weights * rewards, AsymptoticSequence(ALPHA)
    mean, share = x.cumsum(1) / n, rewards.cumsum(1) / n
    deviation = np.sqrt(np.maximum((x * x).cumsum(1) / n - mean**2, 0.0))
    spread = share * (1.0 - share)  # of 0s and 1s; the inverse kurtosis follows
    kurtosis = np.where(spread > 0.0, spread / np.maximum(1.0 - 3.0 * spread, 1e-9), 1.0)
    events = (weights**2).cumsum(1) ** 2 / np.maximum((weights**4).cumsum(1), 1e-9)
    started = (n >= defaults.start) & (events * np.minimum(kurtosis, 1.0) >= defaults.events)
    logs = -2.0 * math.log(ALPHA)
    rho = (logs + math.log(logs + 1.0)) / defaults.tightest_at
    width = 2.0 * (n * rho + 1.0) / (n * rho) * np.log(np.sqrt(n * rho + 1.0) / ALPHA)
    half = np.where(started, deviation * np.sqrt(width / n), np.inf)
    return mean - half, mean + half


@every_case
def test_the_asymptotic_one_keeps_its_alpha_once_it_has_started(weights, rate):
    rewards, w = streams(weights, rate, 6000)
    lower, upper = asymptotic(rewards, w)
    assert ever((rate < lower) | (rate > upper)) <= ALPHA
    sequence = AsymptoticSequence(ALPHA)
    for first in range(0, 6000, 500):
        sequence.update(rewards[0, first : first + 500], w[0, first : first + 500])
        seen = lower[0, first + 499], upper[0, first + 499]
        assert sequence.interval() == pytest.approx(seen, rel=1e-6)


def test_a_z_interval_that_is_looked_at_does_not():
    """What the sequences are for: the same looks, at the same data."""
    rewards, w = streams("mild", 0.3, 1000)
    n = np.arange(1, 1001)
    x = w * rewards
    mean = x.cumsum(1) / n
    error = np.sqrt(((x * x).cumsum(1) / n - mean**2) / n)
    outside = np.abs(mean - 0.3) > 1.96 * error
    assert ever(outside[:, 100:]) > 0.2
    assert outside[:, -1].mean() == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize("kind", [BernsteinSequence, BettingSequence], ids=["bernstein", "betting"])
def test_the_objects_see_what_the_simulations_saw(kind):
    """40 runs looked at 10 times each, through `interval`."""
    rewards, w = streams("heavy", 0.3, 200, runs=40)
    wrong = 0
    for run in range(40):
        value, gain = kind(ALPHA), kind(ALPHA, difference=True)
        out = False
        for first in range(0, 200, 20):
            part = rewards[run, first : first + 20], w[run, first : first + 20]
            value.update(*part)
            gain.update(*part)
            out |= not value.interval().lower <= 0.3 <= value.interval().upper
            out |= not gain.interval().lower <= 0.0 <= gain.interval().upper
        wrong += out
    assert wrong <= 40 * 2 * ALPHA


@pytest.mark.parametrize(
    "kind", [AsymptoticSequence, BernsteinSequence, BettingSequence], ids=lambda k: k.__name__
)
def test_a_real_gain_is_found_and_the_interval_shrinks(kind):
    """Two arms, 0.1 and 0.3, logged evenly; the target plays the better one."""
    rng = np.random.default_rng(9)
    arms = rng.integers(0, 2, 8000)
    rewards = (rng.random(8000) < np.where(arms == 1, 0.3, 0.1)).astype(float)
    weights = 2.0 * (arms == 1)
    sequence, ends = kind(ALPHA, difference=True), []
    for first in range(0, 8000, 2000):
        sequence.update(rewards[first : first + 2000], weights[first : first + 2000])
        ends.append(sequence.interval())
    widths = [upper - lower for lower, upper in ends]
    assert widths == sorted(widths, reverse=True)
    assert 0.0 < ends[-1].lower < 0.1 < ends[-1].upper


@pytest.mark.parametrize("kind", [BernsteinSequence, BettingSequence], ids=["bernstein", "betting"])
def test_missing_arms_widen_the_interval_and_do_not_bias_it(kind):
    """Half of the target's choices were never logged; what they earn may be nothing, or all."""
    rng = np.random.default_rng(10)
    rewards = (rng.random(5000) < 0.4).astype(float)
    sequence = kind(ALPHA)
    sequence.update(rewards, np.full(5000, 0.5))
    lower, upper = sequence.interval()
    assert 0.15 < lower <= 0.2
    assert 0.7 <= upper < 0.75
