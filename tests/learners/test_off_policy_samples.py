"""Logs and targets: what they are made of, and the row that each error names."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import LearnerError
from nextbest.learners.off_policy import Log, Sample, dr, ips, overlap

HALF = [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rewards": []}, "there is no reward: the log is empty"),
        ({"rewards": [1.0, math.nan, 0.0]}, "row 1: reward must be a finite number, got nan"),
        ({"rewards": [1.0, 0.0, -math.inf]}, "row 2: reward must be a finite number, got -inf"),
        ({"rewards": [[1.0, 0.0, 1.0]]}, r"rewards must be one-dimensional, got shape \(1, 3\)"),
        ({"rewards": ["a", "b", "c"]}, "reward must be numbers"),
        ({"behaviour": [0.5, 0.0, 0.5]}, r"row 1: behaviour propensity .* got 0\.0"),
        ({"behaviour": [0.5, 0.5, 1.5]}, r"row 2: behaviour propensity .* got 1\.5"),
        ({"behaviour": [-0.5, 0.5, 0.5]}, r"row 0: behaviour propensity .* got -0\.5"),
        ({"behaviour": [math.nan, 0.5, 0.5]}, "row 0: behaviour propensity .* got nan"),
        ({"behaviour": [0.5, 0.5]}, "3 rewards but 2 values of behaviour propensity"),
        ({"target": [0.5, 0.5, -0.1]}, r"row 2: target probability .* got -0\.1"),
        ({"target": [0.5, 1.1, 0.5]}, r"row 1: target probability .* got 1\.1"),
        ({"target": [0.5, math.nan, 0.5]}, "row 1: target probability .* got nan"),
        ({"target": [0.5]}, "3 rewards but 1 values of target probability"),
        ({"expected": HALF}, "given together"),
        ({"predicted": HALF}, "given together"),
        ({"expected": HALF, "predicted": [0.5, math.inf, 0.5]}, "row 1: predicted reward"),
        ({"expected": [math.nan, 0.5, 0.5], "predicted": HALF}, "row 0: expected reward"),
        ({"unsupported": 1.5}, "unsupported must be in"),
        ({"unsupported": math.nan}, "unsupported must be in"),
    ],
)
def test_a_sample_names_what_is_wrong(given, message):
    fine = {"rewards": [1.0, 0.0, 1.0], "behaviour": HALF, "target": HALF}
    with pytest.raises(LearnerError, match=message):
        Sample(**(fine | given))


TWO = [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"arms": [0, 1]}, "3 rewards but 2 values of arm"),
        ({"arms": [0, -1, 0]}, "row 1: arm must be a whole number from 0, got -1"),
        ({"arms": [0, 0.5, 0]}, "row 1: arm must be a whole number"),
        ({"arms": [0, 1, 2]}, "row 2: arm must be below 2, got 2"),
        ({"arms": [0, 1, 1]}, "row 2: behaviour propensity must be"),
        ({"positions": [0, 1, -3]}, "row 2: position must be a whole number"),
        ({"propensities": [[0.5, 0.5]]}, "3 rewards but 1 rows of propensities"),
        ({"propensities": [*TWO[:2], [0.6, 0.6]]}, "row 2: propensities is not a distribution"),
        ({"propensities": [TWO[0], [math.nan, 1.0], TWO[2]]}, "row 1: propensities is not"),
        ({"propensities": [[1.5, -0.5], *TWO[1:]]}, "row 0: propensities is not"),
    ],
)
def test_a_log_names_what_is_wrong(given, message):
    fine = {"arms": [0, 1, 0], "rewards": [1.0, 0.0, 1.0], "propensities": TWO}
    with pytest.raises(LearnerError, match=message):
        Log(**(fine | given))


@pytest.mark.parametrize(
    ("target", "q", "message"),
    [
        ([0.5, 0.5, 0.5], None, r"target must be float64\[3 or 1, K\]"),
        ([[0.5, 0.5]] * 2, None, r"got shape \(2, 2\)"),
        ([[0.5, 0.4]], None, r"row 0: target is not a distribution .* sums to 0\.9"),
        ([[0.5, 0.5], [0.5, 0.5], [math.nan, 1.0]], None, "row 2: target is not a distribution"),
        ([[0.2, 0.3, 0.5]], None, "target has 3 arms, the log 2"),
        ([[[0.5], [0.5]]], None, "target has positions, but the log has none"),
        ([[0.5, 0.5]], [[0.1, 0.2, 0.3]], "q has 3 arms, the target 2"),
        ([[0.5, 0.5]], [[0.1, math.nan]], "row 0: q is not finite"),
        ([[0.5, 0.5]], [0.1, 0.2], r"q must be float64\[3 or 1, K\]"),
    ],
)
def test_a_target_names_what_is_wrong(target, q, message):
    with pytest.raises(LearnerError, match=message):
        Log([0, 1, 0], [1.0, 0.0, 1.0], TWO).under(target, q)


def test_an_arm_beyond_the_target_is_named():
    with pytest.raises(LearnerError, match="row 1: arm must be below 2, got 4"):
        Log([0, 4, 0], [1.0, 0.0, 1.0], HALF).under([[0.5, 0.5]])


def test_a_position_beyond_the_target_is_named():
    log = Log([0, 1], [1.0, 0.0], [0.5, 0.5], positions=[0, 2])
    with pytest.raises(LearnerError, match="row 1: position must be below 2, got 2"):
        log.under(np.full((1, 2, 2), 0.5))


@given(data=st.data(), n=st.integers(1, 12), arms=st.integers(1, 5), places=st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_positions_pick_the_distribution_and_the_model_of_their_own_place(data, n, arms, places):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    chosen, at = rng.integers(0, arms, n), rng.integers(0, places, n)
    rows = data.draw(st.sampled_from([1, n]))
    target = rng.dirichlet(np.ones(arms), size=(rows, places)).transpose(0, 2, 1)
    q = rng.random((n, arms, places))
    behaviour = rng.dirichlet(np.ones(arms), size=n) * 0.9 + 0.1 / arms
    sample = Log(chosen, rng.random(n), behaviour, at).under(target, q)
    for i in range(n):
        row = target[i if rows == n else 0, :, at[i]]
        assert sample.target[i] == row[chosen[i]]
        assert sample.behaviour[i] == behaviour[i, chosen[i]]
        assert sample.predicted[i] == q[i, chosen[i], at[i]]
        total = sum(p * value for p, value in zip(row, q[i, :, at[i]], strict=True))
        assert sample.expected[i] == pytest.approx(total, abs=1e-12)
    assert sample.unsupported == 0.0


def test_one_model_and_one_target_serve_all_rows():
    log = Log([0, 1, 1], [1.0, 0.0, 1.0], HALF)
    sample = log.under([[0.25, 0.75]], [[0.2, 0.6]])
    assert sample.target.tolist() == [0.25, 0.75, 0.75]
    assert sample.predicted.tolist() == [0.2, 0.6, 0.6]
    assert sample.expected.tolist() == [pytest.approx(0.5)] * 3
    assert sample.unsupported is None
    repeated = log.under([[0.25, 0.75]] * 3, [[0.2, 0.6]] * 3)
    assert dr(sample).value == pytest.approx(dr(repeated).value)


def test_what_the_behaviour_policy_could_never_choose_is_counted():
    log = Log([0, 1, 0], [1.0, 0.0, 1.0], TWO)  # the third row cannot choose arm 1
    assert log.under([[0.4, 0.6]]).unsupported == pytest.approx(0.6 / 3)
    assert overlap(log.under([[0.4, 0.6]])).unsupported == pytest.approx(0.2)
    assert log.under([[1.0, 0.0]]).unsupported == 0.0


def test_all_propensities_or_the_chosen_ones_give_the_same_estimate():
    rng = np.random.default_rng(3)
    behaviour = rng.dirichlet(np.ones(4), size=50)
    arms = (rng.random(50)[:, None] > behaviour.cumsum(axis=1)).sum(axis=1)
    rewards, target = rng.random(50), rng.dirichlet(np.ones(4), size=50)
    whole = Log(arms, rewards, behaviour).under(target)
    chosen = Log(arms, rewards, behaviour[np.arange(50), arms]).under(target)
    assert ips(whole).value == ips(chosen).value
