"""Measures of the last predictions, and with weights that fade."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import (
    AUC,
    Brier,
    Calibration,
    Decayed,
    LearnerError,
    LogLoss,
    MeanReward,
    RecentReward,
    Windowed,
    roc_auc,
)
from nextbest.learners.checkpoint import pack, unpack
from tests.learners.measuring import MEASURES, columns, fill, rows

every = pytest.mark.parametrize("name", list(MEASURES))
thorough = settings(max_examples=40, deadline=None)
sizes = st.integers(1, 50)
half_lives = st.sampled_from([0.01, 0.3, 1.0, 2.5, 40.0, 1e6, 1e300])


def weighted(rows, half_life):
    """The rows with the weights that they have when the last one has come."""
    n = len(rows)
    faded = [(y, p, w * 0.5 ** ((n - 1 - i) / half_life)) for i, (y, p, w) in enumerate(rows)]
    return [row for row in faded if row[2] > 0.0]


@every
@given(rows=rows, size=sizes)
@thorough
def test_a_window_is_the_measure_of_its_rows_alone(name, rows, size):
    make, twin = MEASURES[name]
    measure = fill(Windowed(make(), size), rows)
    last = rows[-size:]
    assert measure.n == len(last)
    assert list(zip(*(a.tolist() for a in measure.window()), strict=True)) == last
    assert measure.get() == pytest.approx(twin(last), abs=1e-12, nan_ok=True)
    assert measure.current() == fill(make(), last)


@given(rows=rows, size=sizes)
@thorough
def test_the_loss_of_a_window_is_that_counted_anew_bit_for_bit(rows, size):
    anew = fill(LogLoss(), rows[-size:]).get()
    assert repr(fill(Windowed(LogLoss(), size), rows).get()) == repr(anew)


@every
@given(rows=rows, half_life=half_lives)
@thorough
def test_a_fading_measure_is_that_of_weights_by_age(name, rows, half_life):
    make, twin = MEASURES[name]
    measure = fill(Decayed(make(), half_life), rows)
    expected = twin(weighted(rows, half_life))
    if name == "equal mass" and half_life < 1e300:
        return  # where a bin ends may depend on the last bit of a weight
    if name == "normalized entropy" and half_life < 2.5:
        return  # so may, next to a base rate of one, its entropy
    assert measure.get() == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert measure.current().get() == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_fading_weights_do_not_overflow_in_long_streams():
    rng = np.random.default_rng(5)
    p = rng.random(50_000)
    y = rng.random(50_000) < p
    for half_life in (0.5, 3.0, 100.0):
        measure = Decayed(Brier(), half_life)
        measure.update_many(y, p)
        weights = 0.5 ** (np.arange(50_000)[::-1] / half_life)
        assert measure.get() == pytest.approx(np.average((p - y) ** 2, weights=weights), rel=1e-12)
        assert measure.current().n == pytest.approx(weights.sum(), rel=1e-12)


def test_a_reward_fades_as_in_recent_reward():
    rewards = np.random.default_rng(2).random(500) < 0.2
    recent, faded = RecentReward(30.0), Decayed(Brier(), 30.0)
    for reward in rewards.tolist():
        recent.update(reward)
        faded.update(reward, 0.0)
    assert faded.get() == pytest.approx(recent.get(), rel=1e-12)


def recents(name):
    make, _ = MEASURES[name]
    return [lambda: Windowed(make(), 7), lambda: Decayed(make(), 0.3), lambda: Decayed(make(), 9)]


@every
@given(rows=rows, cut=st.integers(0, 40))
@thorough
def test_columns_count_like_their_rows_bit_for_bit(name, rows, cut):
    for make in recents(name):
        measure = make()
        measure.update_many(*columns(rows[:cut]))
        measure.update_many(*columns(rows[cut:]))
        assert measure.to_bytes() == fill(make(), rows).to_bytes()


@every
@given(rows=rows, cut=st.integers(0, 40))
@thorough
def test_a_snapshot_continues_bit_for_bit(name, rows, cut):
    for make in recents(name):
        half = fill(make(), rows[:cut])
        restored = type(half).from_bytes(half.to_bytes())
        assert restored == half
        assert repr(restored) == repr(half)
        assert fill(restored, rows[cut:]).to_bytes() == fill(make(), rows).to_bytes()


@every
@given(rows=rows, cuts=st.tuples(st.integers(0, 40), st.integers(0, 40)), size=sizes)
@thorough
def test_windows_that_follow_one_another_merge_to_the_last(name, rows, cuts, size):
    make, _ = MEASURES[name]
    first, second = sorted(cuts)
    parts = (rows[:first], rows[first:second], rows[second:])
    one, two, three = (fill(Windowed(make(), size), part) for part in parts)
    two.merge(three)
    one.merge(two)
    assert one == fill(Windowed(make(), size), rows)


@every
@given(left=rows, right=rows)
@thorough
def test_fading_measures_merge_as_made_alongside(name, left, right):
    make, twin = MEASURES[name]
    one, two = (fill(Decayed(make(), 9.0), part) for part in (left, right))
    both = weighted(left, 9.0) + weighted(right, 9.0)
    one.merge(two)
    if name != "equal mass":
        assert one.get() == pytest.approx(twin(both), abs=1e-9, nan_ok=True)
    again = fill(Decayed(make(), 9.0), right)
    again.merge(fill(Decayed(make(), 9.0), left))
    np.testing.assert_allclose(one.sums, again.sums, rtol=1e-12)


def test_a_window_of_auc_is_exact_where_the_histogram_is_not():
    rng = np.random.default_rng(3)
    p = 0.005 + 1e-9 * rng.permutation(300)
    y = rng.random(300) < 0.3
    windowed, streamed = Windowed(AUC(), 300), AUC()
    windowed.update_many(y, p)
    streamed.update_many(y, p)
    assert windowed.get() == roc_auc(y, p) != 0.5
    assert streamed.get() == 0.5  # all in one bin, and it says so:
    assert streamed.bound == 0.5


def test_a_recent_measure_begins_empty_and_leaves_the_one_given():
    given = fill(LogLoss(), [(True, 0.5, 1.0)])
    for measure in (Windowed(given, 5), Decayed(given, 5.0)):
        assert math.isnan(measure.get())
        measure.update(True, 0.1)
        assert given.n == 1
        assert measure.clone() != measure
        assert math.isnan(measure.clone().get())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Windowed(LogLoss(), 0), "size must be"),
        (lambda: Windowed(LogLoss(), 2**25), "size must be"),
        (lambda: Decayed(LogLoss(), 0.0), "half_life"),
        (lambda: Decayed(LogLoss(), math.nan), "half_life"),
        (lambda: Decayed(Windowed(LogLoss(), 3)), "measure must be one of AUC"),
        (lambda: Windowed(MeanReward(), 3), "measure must be one of AUC"),
        (lambda: Windowed(LogLoss(), 3).merge(Windowed(LogLoss(), 4)), "'size': 4"),
        (lambda: Windowed(LogLoss(), 3).merge(Windowed(Brier(), 3)), "Brier"),
        (lambda: Decayed(LogLoss(), 3).merge(Windowed(LogLoss(), 3)), "cannot merge a Windowed"),
        (lambda: Decayed(Calibration(3)).merge(Decayed(Calibration(4))), "'bins': 4"),
        (lambda: Windowed(LogLoss(), 3).revert(True, 0.5), "takes no prediction back"),
        (lambda: Decayed(LogLoss()).revert(True, 0.5), "takes no prediction back"),
        (lambda: Decayed(LogLoss()).update(True, 1.5), "probability"),
        (lambda: Windowed(LogLoss()).update_many([True], [1.5]), "row 0"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(LearnerError, match=message):
        call()


@pytest.mark.parametrize(
    ("kind", "changes", "arrays", "message"),
    [
        (Windowed, {"size": 1}, {}, "window of 1 holds 2"),
        (Windowed, {"measure": ["AUC", {"bins": 0}]}, {}, "bins must be"),
        (Windowed, {"measure": ["Windowed", {}]}, {}, "lacks 'Windowed'"),
        (Windowed, {"measure": 7}, {}, "no such model"),
        (Windowed, {}, {"p": np.array([0.5, 7.0])}, "probability .* row 1"),
        (Windowed, {}, {"p": np.array([0.5])}, "2 outcomes, 1 prob"),
        (Decayed, {}, {"age": np.array(-1)}, "age -1"),
        (Decayed, {}, {"age": np.array(2**60)}, "age"),
        (Decayed, {}, {"sums": np.zeros(3)}, "expected float64"),
        (Decayed, {}, {"sums": np.array([math.nan, 1.0])}, "not finite"),
    ],
)
def test_a_made_up_snapshot_is_refused(kind, changes, arrays, message):
    measure = fill(kind(LogLoss()), [(True, 0.5, 1.0), (False, 0.25, 1.0)])
    values, found = unpack(measure.to_bytes(), kind.__name__)
    with pytest.raises(LearnerError, match=message):
        kind.from_bytes(pack(kind.__name__, {**values, **changes}, {**found, **arrays}))
