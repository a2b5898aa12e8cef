"""A micro-batch of the linear learners is its rows one by one, bit for bit, evictions included."""

import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import (
    AdPredictor,
    Columns,
    LogisticRegression,
    TabularLogisticRegression,
)
from tests.learners.streams import complete, observations, real

MAKERS = {
    "sgd": lambda most: LogisticRegression("sgd", l2=0.1, max_weights=most),
    "ftrl": lambda most: LogisticRegression("ftrl", max_weights=most),
    "tabular": lambda most: TabularLogisticRegression("adagrad", max_weights=most),
    "adpredictor": lambda most: AdPredictor(max_weights=most),
}


def bits(model):
    """All that was learned, by name."""
    table = model._table
    state = {(name, category): table.state[slot].tobytes() for name, category, slot in table}
    return state, model._scalars.tobytes(), model.n_updates, model.n_evicted


def split(stream, cuts):
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("most", [6, 9, 1000])
@given(stream=observations(), cuts=st.lists(st.integers(0, 40), max_size=3))
@settings(max_examples=25, deadline=None)
def test_columns_equal_one_by_one(make, most, stream, cuts):
    one, many, progressive = (MAKERS[make](most) for _ in range(3))
    expected, before = [], []
    for x, y in stream:
        before.append(one.predict_proba_one(x)[True])
        expected.append(one.predict_learn_one(x, y))
    assert expected == before
    for part in split(stream, cuts):
        columns = Columns.from_dicts([complete(x) for x, _ in part])
        labels = np.array([y for _, y in part], dtype=bool)
        many.learn_many(columns, labels)
        got = progressive.predict_learn_many(columns, labels).tolist()
        assert got == expected[: len(part)]
        del expected[: len(part)]
    assert bits(one) == bits(many) == bits(progressive)
    everything = Columns.from_dicts([complete(x) for x, _ in stream])
    assert one.predict_proba_many(everything).tolist() == [
        one.predict_proba_one(x)[True] for x, _ in stream
    ]
    assert bits(one) == bits(many)


@pytest.mark.parametrize("make", MAKERS)
def test_windows_and_sweeps_do_not_matter(make):
    """5,000 rows, more customers than weights, in one batch, in parts and one by one."""
    rng = np.random.default_rng(7)
    customers = rng.zipf(1.3, 5000) % 2000
    rows = [
        {"a": float(a), "customer": f"c{c}", "hour": f"h{i % 24}"}
        for i, (a, c) in enumerate(zip(rng.normal(size=5000), customers, strict=True))
    ]
    labels = rng.random(5000) < 0.4
    one, whole, parts = (MAKERS[make](300) for _ in range(3))
    columns = Columns.from_dicts(rows)
    for x, y in zip(rows, labels.tolist(), strict=True):
        one.learn_one(x, y)
    whole.learn_many(columns, labels)
    for start in range(0, 5000, 700):
        part = Columns.from_dicts(rows[start : start + 700])  # dictionaries of their own
        parts.learn_many(part, labels[start : start + 700])
    assert one.n_evicted > 500
    assert bits(one) == bits(whole) == bits(parts)
    assert len(whole._table.state) == 300


@pytest.mark.parametrize("make", MAKERS)
def test_the_order_of_a_rows_keys_does_not_matter_where_weights_make_room(make):
    rng = np.random.default_rng(3)
    rows = [{key: f"{c}" for key, c in zip("ab", pair, strict=True)}
            for pair in rng.integers(0, 6, (300, 2)).tolist()]  # fmt: skip
    labels = [x["a"] > "2" for x in rows]
    mixed = [dict(reversed(x.items())) if i % 2 else x for i, x in enumerate(rows)]
    same, one, many = (MAKERS[make](8) for _ in range(3))
    for x, y in zip(rows, labels, strict=True):
        same.learn_one(x, y)
    for x, y in zip(mixed, labels, strict=True):
        one.learn_one(x, y)
    many.learn_many(Columns.from_dicts(mixed), labels)
    assert same.n_evicted > 50
    names = [[each[:2] for each in model._table] for model in (same, one, many)]
    assert names[0] == names[1] == names[2]
    states = [model._table.state for model in (same, one, many)]
    np.testing.assert_allclose(states[1], states[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(states[2], states[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", MAKERS)
def test_what_was_pickled_goes_on_the_same(make):
    stream = real("flares", 400)
    columns = Columns.from_dicts([x for x, _ in stream])
    labels = np.array([y for _, y in stream])
    whole, first = MAKERS[make](12), MAKERS[make](12)
    whole.learn_many(columns, labels)
    first.learn_many(columns[:150], labels[:150])
    resumed = pickle.loads(pickle.dumps(first))
    resumed.learn_many(columns[150:], labels[150:])
    assert bits(whole) == bits(resumed)
    fresh = whole.clone()
    assert fresh.n_updates == fresh.n_weights == 0
    fresh.learn_many(columns, labels)
    assert bits(fresh) == bits(whole)


def test_frames_arrow_and_columns_teach_the_same():
    stream = real("flares", 300)
    frame = pd.DataFrame([x for x, _ in stream])
    labels = [y for _, y in stream]
    table = pa.Table.from_pandas(frame)
    models = [TabularLogisticRegression() for _ in range(4)]
    models[0].learn_many(frame, pd.Series(labels))
    models[1].learn_many(table, pa.array(labels))
    models[2].learn_many(Columns.from_frame(frame), np.array(labels))
    for batch in table.to_batches(max_chunksize=64):
        done = models[3].n_updates
        models[3].learn_many(batch, labels[done : done + len(batch)])
    assert len({str(bits(model)) for model in models}) == 1
    of_table = models[0].predict_proba_many(table)
    assert of_table.tolist() == models[1].predict_proba_many(frame)[True].tolist()


def test_importance_weights_come_one_a_row():
    rows = [{"a": float(i)} for i in range(4)]
    one, many = LogisticRegression(), LogisticRegression()
    weights = [0.0, 2.5, 1.0, 1e-3]
    for x, w in zip(rows, weights, strict=True):
        one.learn_one(x, True, w)
    many.learn_many(Columns.from_dicts(rows), [True] * 4, np.array(weights))
    assert bits(one) == bits(many)
    assert one.predict_learn_one({"a": 1.0}, True, 0.5) == many.predict_learn_many(
        Columns.from_dicts([{"a": 1.0}]), [True], 0.5
    )
    assert bits(one) == bits(many)


def test_predictions_change_nothing():
    model = TabularLogisticRegression(max_weights=3)
    model.learn_one({"a": 1.0, "k": "x"}, True)
    before = pickle.dumps(model)
    batch = Columns.from_dicts([{"a": 5.0, "k": "new", "other": 2.0}, {"k": "x"}])
    model.predict_proba_many(batch)
    model.predict_proba_one({"b": 1.0, "k": "y"})
    assert pickle.dumps(model) == before
    assert AdPredictor().predict_proba_many(batch).tolist() == [0.5, 0.5]
