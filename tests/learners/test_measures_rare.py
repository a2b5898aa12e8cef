"""At the base rates of clicks and purchases, measures still tell what is better."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import metrics

from nextbest.learners import AUC, Calibration, NormalizedEntropy, reliability, roc_auc


def clicks(n, rate, spread, seed=0):
    """Outcomes that follow their probabilities, which average to about the rate."""
    rng = np.random.default_rng(seed)
    logits = np.log(rate / (1.0 - rate)) - spread**2 / 2 + spread * rng.normal(size=n)
    p = 1.0 / (1.0 + np.exp(-logits))
    return rng.random(n) < p, p


def test_the_area_at_half_a_percent_where_ten_thresholds_see_nothing():
    y, p = clicks(200_000, 0.0053, 1.0)
    assert 0.004 < y.mean() < 0.007
    exact = roc_auc(y, p)
    streamed, thresholds = AUC(), metrics.ROCAUC()
    streamed.update_many(y, p)
    for outcome, probability in zip(y[:50_000].tolist(), p[:50_000].tolist(), strict=True):
        thresholds.update(outcome, probability)
    assert 0.7 < exact < 0.8
    assert abs(streamed.get() - exact) < streamed.bound < 1e-3
    assert abs(streamed.get() - exact) < 1e-5
    assert thresholds.get() < 0.55  # the reason for this class


@pytest.mark.parametrize("rate", [1e-4, 1e-3, 0.0053, 0.5])
@pytest.mark.parametrize("spread", [0.05, 0.3, 1.0, 3.0])
def test_the_area_is_as_near_at_every_rate_and_spread(rate, spread):
    y, p = clicks(100_000, rate, spread, seed=1)
    y[:2] = (True, False)
    measure = AUC()
    measure.update_many(y, p)
    exact = roc_auc(y, p)
    assert abs(measure.get() - exact) <= measure.bound
    assert abs(measure.get() - exact) < 1e-3


@given(
    pairs=st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60),
    bins=st.sampled_from([2, 7, 64, 8192]),
)
@settings(max_examples=200, deadline=None)
def test_the_area_is_never_further_off_than_it_says(pairs, bins):
    y, p = zip(*pairs, strict=True)
    measure = AUC(bins)
    measure.update_many(y, p)
    if len(set(y)) == 2:
        assert abs(measure.get() - roc_auc(y, p)) <= measure.bound + 1e-12


def test_equal_predictions_are_worth_one_half():
    y, _ = clicks(10_000, 0.0053, 1.0)
    measure = AUC()
    measure.update_many(y, np.full(10_000, 0.0053))
    assert measure.get() == roc_auc(y, np.full(10_000, 0.0053)) == 0.5


def test_bins_of_equal_mass_see_what_bins_of_equal_width_hide():
    """Predictions that are too bold at both ends, and right on average."""
    y, p = clicks(300_000, 0.0053, 1.0)
    bold = np.minimum(p**1.5, 0.02)
    bold *= p.mean() / bold.mean()
    errors = {}
    for name, predicted in (("right", p), ("bold", bold)):
        for equal_mass in (True, False):
            measure = Calibration(equal_mass=equal_mass)
            measure.update_many(y, predicted)
            errors[name, equal_mass] = measure.get() / y.mean()
    assert errors["bold", True] > 0.25
    assert errors["bold", True] > 1.8 * errors["bold", False]
    assert errors["right", True] < 0.1


def test_a_streamed_table_is_close_to_the_exact_one():
    y, p = clicks(200_000, 0.0053, 1.0)
    measure = Calibration(bins=10)
    measure.update_many(y, p)
    streamed, exact = measure.table(), reliability(y, p, bins=10)
    assert len(streamed.weight) == len(exact.weight) == 10
    np.testing.assert_allclose(exact.weight, 20_000, atol=1)
    np.testing.assert_allclose(streamed.weight, exact.weight, rtol=0.05)
    np.testing.assert_allclose(streamed.predicted, exact.predicted, rtol=0.03)
    assert measure.get() == pytest.approx(exact.error, rel=0.2)
    assert (streamed.lower[1:] >= streamed.upper[:-1]).all()


@pytest.mark.parametrize("rate", [0.0053, 0.05, 0.5])
def test_normalized_entropy_is_one_for_the_base_rate_at_any_rate(rate):
    y, p = clicks(50_000, rate, 1.0)
    base, model = NormalizedEntropy(), NormalizedEntropy()
    base.update_many(y, np.full(len(y), y.mean()))
    model.update_many(y, p)
    assert base.get() == pytest.approx(1.0, abs=1e-9)
    assert model.get() < 0.98
