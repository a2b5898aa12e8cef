"""Measures of probabilities: their definitions, merging, snapshots, errors."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import (
    AUC,
    Brier,
    Calibration,
    LearnerError,
    LogLoss,
    NormalizedEntropy,
    reliability,
    roc_auc,
)
from nextbest.learners.checkpoint import pack, unpack
from tests.learners.measuring import MEASURES, columns, fill, row, rows
from tests.naive.measures import naive_auc, naive_bins

every = pytest.mark.parametrize("name", list(MEASURES))
thorough = settings(max_examples=60, deadline=None)


@every
@given(rows=rows)
@thorough
def test_a_value_is_that_of_its_definition(name, rows):
    make, twin = MEASURES[name]
    assert fill(make(), rows).get() == pytest.approx(twin(rows), abs=1e-12, nan_ok=True)


@every
@given(rows=rows, cut=st.integers(0, 40))
@thorough
def test_columns_count_like_their_rows_bit_for_bit(name, rows, cut):
    make, _ = MEASURES[name]
    measure = make()
    measure.update_many(*columns(rows[:cut]))
    measure.update_many(*columns(rows[cut:]))
    assert measure.to_bytes() == fill(make(), rows).to_bytes()
    y, p, _ = columns(rows)
    once = [(a, b, 1.0) for a, b in zip(y, p, strict=True)]
    unweighted = make()
    unweighted.update_many(np.array(y, bool), np.array(p))
    assert unweighted == fill(make(), once)


@every
@given(rows=rows, cuts=st.tuples(st.integers(0, 40), st.integers(0, 40)))
@thorough
def test_parts_merge_to_the_whole(name, rows, cuts):
    make, _ = MEASURES[name]
    first, second = sorted(cuts)
    parts = [fill(make(), part) for part in (rows[:first], rows[first:second], rows[second:])]
    one, two, three = parts
    two.merge(three)
    one.merge(two)
    whole = fill(make(), rows)
    np.testing.assert_allclose(one.sums, whole.sums, rtol=0, atol=1e-10)
    assert one.get() == pytest.approx(whole.get(), abs=1e-12, nan_ok=True)


@every
@given(rows=rows, data=st.data())
@thorough
def test_the_order_does_not_matter(name, rows, data):
    make, _ = MEASURES[name]
    other = data.draw(st.permutations(rows))
    value = fill(make(), rows).get()
    assert fill(make(), other).get() == pytest.approx(value, abs=1e-12, nan_ok=True)


@every
@given(rows=rows, more=st.lists(row, max_size=10))
@thorough
def test_what_is_taken_back_does_not_count(name, rows, more):
    make, _ = MEASURES[name]
    measure = fill(make(), [*rows, *more])
    for y, p, w in more:
        measure.revert(y, p, w)
    np.testing.assert_allclose(measure.sums, fill(make(), rows).sums, rtol=0, atol=1e-10)


@every
@given(rows=rows, cut=st.integers(0, 40))
@thorough
def test_a_snapshot_continues_bit_for_bit(name, rows, cut):
    make, _ = MEASURES[name]
    half = fill(make(), rows[:cut])
    restored = type(half).from_bytes(half.to_bytes())
    assert restored == half
    assert fill(restored, rows[cut:]).to_bytes() == fill(make(), rows).to_bytes()


@every
@given(rows=rows)
@thorough
def test_a_copy_for_another_model_begins_empty(name, rows):
    make, _ = MEASURES[name]
    measure = fill(make(), rows)
    assert measure.clone() == make()
    assert math.isnan(measure.clone().get())


@given(rows=rows)
@thorough
def test_the_area_of_a_column_is_exact(rows):
    y, p, w = columns(rows)
    assert roc_auc(y, p, w) == pytest.approx(naive_auc(rows), abs=1e-12, nan_ok=True)
    logits = [math.inf if x == 1 else math.log(x / (1 - x)) if x else -math.inf for x in p]
    assert roc_auc(y, logits, w) == pytest.approx(naive_auc(rows), abs=1e-12, nan_ok=True)


@given(rows=rows, bins=st.integers(1, 12), equal_mass=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_reliability_table_is_that_of_its_definition(rows, bins, equal_mass):
    table = reliability(*columns(rows), bins=bins, equal_mass=equal_mass)
    expected = naive_bins(rows, bins, equal_mass)
    assert table.weight.tolist() == [sum(w for *_, w in part) for part in expected]
    for i, part in enumerate(expected):
        weight = sum(w for *_, w in part)
        assert table.predicted[i] == pytest.approx(sum(p * w for _, p, w in part) / weight)
        assert table.observed[i] == pytest.approx(sum(y * w for y, _, w in part) / weight)
        inside = {p for _, p, _ in part}
        assert table.lower[i] <= min(inside) + 1e-15
        assert max(inside) <= table.upper[i] + 1e-15
        assert not equal_mass or (table.lower[i], table.upper[i]) == (min(inside), max(inside))
    streamed = Calibration(bins, equal_mass)
    streamed.update_many(*columns(rows))
    assert streamed.table().weight.tolist() == table.weight.tolist()
    assert streamed.get() == pytest.approx(table.error, abs=1e-12, nan_ok=True)


def test_too_much_predicted_is_a_ratio_above_one():
    measure = Calibration()
    assert math.isnan(measure.ratio)
    measure.update_many([0, 1, 0, 0], [0.5, 0.5, 0.5, 0.5])
    assert measure.ratio == 2.0


@pytest.mark.parametrize("kind", [LogLoss, Brier, NormalizedEntropy])
def test_a_dictionary_is_a_snapshot_of_plain_numbers(kind):
    measure = kind()
    measure.update(np.True_, np.float64(0.25))
    measure.update(False, 0.5, w=2)
    assert all(type(number) in (int, float) for number in asdict(measure).values())
    assert type(asdict(measure)["n"]) is int
    assert kind(**asdict(measure)) == measure
    measure.update(True, 0.5, w=np.float64(0.5))
    assert asdict(measure)["n"] == 3.5
    assert all(type(number) in (int, float) for number in asdict(measure).values())


def test_a_predicted_distribution_counts_as_its_probability_of_true():
    one, two = LogLoss(), LogLoss()
    one.update(True, {False: 0.75, True: 0.25})
    one.update(False, {False: 1.0})
    two.update_many([1, 0], [0.25, 0.0])
    assert one == two


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.update(2, 0.5), "outcome must be True or False, got 2"),
        (lambda m: m.update("yes", 0.5), "outcome .* 'yes'"),
        (lambda m: m.update(math.nan, 0.5), "outcome"),
        (lambda m: m.update(True, 1.5), "probability .* 1.5"),
        (lambda m: m.update(True, math.nan), "probability"),
        (lambda m: m.update(True, {True: -0.5}), "probability"),
        (lambda m: m.update(True, 0.5, 0.0), "weight .* 0.0"),
        (lambda m: m.update(True, 0.5, math.inf), "weight"),
        (lambda m: m.revert(True, 0.5, -1.0), "weight"),
        (lambda m: m.update_many([1, 0, 3], [0.1, 0.2, 0.3]), "got 3.0 in row 2"),
        (lambda m: m.update_many([1, 0], [0.1, math.nan]), "got nan in row 1"),
        (lambda m: m.update_many([1, 0], [0.1, 0.2], [1.0, -1.0]), "weight .* row 1"),
        (lambda m: m.update_many([1, 0], [0.1]), "2 outcomes, 1 probabilities and 1 weights"),
        (lambda m: m.update_many([[1]], [[0.1]]), r"one column, got the shape \(1, 1\)"),
        (lambda m: m.update_many(["a"], [0.1]), "outcomes must be numbers"),
        (lambda m: m.merge(MeanOf()), "cannot merge a MeanOf"),
    ],
)
@every
def test_what_cannot_be_counted_is_refused_and_changes_nothing(name, call, message):
    measure = fill(MEASURES[name][0](), [(True, 0.5, 1.0)])
    before = measure.to_bytes()
    with pytest.raises(LearnerError, match=message):
        call(measure)
    assert measure.to_bytes() == before


class MeanOf:
    pass


@pytest.mark.parametrize(
    "make",
    [
        lambda: AUC(bins=1),
        lambda: AUC(bins=2**21),
        lambda: AUC(bins=10.0),
        lambda: Calibration(0),
        lambda: Calibration(1001),
        lambda: LogLoss(total=math.nan),
        lambda: Brier(n="1"),
        lambda: roc_auc([0, 1], [0.5, math.nan]),
        lambda: roc_auc([0, 1], ["a", "b"]),
        lambda: roc_auc([0, 1], [0.5]),
        lambda: reliability([0], [2.0]),
    ],
)
def test_what_cannot_be_is_refused(make):
    with pytest.raises(LearnerError):
        make()


def test_other_settings_are_not_merged():
    with pytest.raises(LearnerError, match=r"'bins': 64.*'bins': 8192"):
        AUC().merge(AUC(bins=64))
    with pytest.raises(LearnerError, match="equal_mass"):
        Calibration().merge(Calibration(equal_mass=False))


@pytest.mark.parametrize(
    ("values", "sums", "message"),
    [
        ({"bins": 64}, np.zeros(64), "expected float64"),
        ({"bins": 64}, np.full(128, np.nan), "not finite"),
        ({"bins": 2**40}, np.zeros(64), "bins must be"),
        ({"new": 1}, np.zeros(64), "no such model"),
    ],
)
def test_a_made_up_snapshot_is_refused(values, sums, message):
    with pytest.raises(LearnerError, match=message):
        AUC.from_bytes(pack("AUC", values, {"sums": sums}))
    with pytest.raises(LearnerError, match="expected a 'Brier'"):
        Brier.from_bytes(AUC().to_bytes())
    assert unpack(AUC().to_bytes(), "AUC")[0] == {"bins": 8192}
