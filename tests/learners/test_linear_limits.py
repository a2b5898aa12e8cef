"""What the linear learners refuse, and what they stand: they stay finite, bounded and whole."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import (
    AdPredictor,
    Columns,
    LearnerError,
    LogisticRegression,
    TabularLogisticRegression,
)

MODELS = {
    "sgd": lambda **kw: LogisticRegression("sgd", **kw),
    "sgd-l2": lambda **kw: LogisticRegression("sgd", lr=1e3, l2=1e-3, **kw),
    "adagrad": lambda **kw: LogisticRegression("adagrad", lr=1e6, l2=1e6, eps=1e-12, **kw),
    "ftrl": lambda **kw: LogisticRegression("ftrl", beta=0.0, l2=0.0, **kw),
    "ftrl-proximal": lambda **kw: LogisticRegression("ftrl-proximal", beta=0.0, l2=0.0, **kw),
    "ftrl-slow": lambda **kw: LogisticRegression("ftrl-proximal", alpha=1e-12, **kw),
    "tabular": lambda **kw: TabularLogisticRegression("sgd", lr=1e6, **kw),
    "tabular-ftrl": lambda **kw: TabularLogisticRegression("ftrl", **kw),
    "adpredictor": lambda **kw: AdPredictor(**kw),
    "adpredictor-sharp": lambda **kw: AdPredictor(beta=0.0, epsilon=0.0, **kw),
}
EXTREME = st.one_of(
    st.floats(-1e100, 1e100),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e-170, 1e100, -1e100, 1e50, 1.0, float("nan")]),
)
ROWS = st.lists(
    st.tuples(
        st.dictionaries(
            st.sampled_from("abcd"), st.one_of(EXTREME, st.sampled_from(["x", "y"]), st.none())
        ),
        st.booleans(),
    ),
    max_size=30,
)


@pytest.mark.parametrize("make", MODELS)
@given(stream=ROWS, repeats=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_nothing_finite_makes_a_weight_that_is_not(make, stream, repeats):
    model = MODELS[make](max_weights=12)
    for x, y in stream * repeats:
        assert 0.0 <= model.predict_proba_one(x)[True] <= 1.0
        assert 0.0 <= model.predict_learn_one(x, y) <= 1.0
    columns = Columns.from_dicts([x for x, _ in stream])
    model.learn_many(columns, np.array([y for _, y in stream], dtype=bool))
    assert np.isfinite(model._table.state).all()
    assert np.isfinite(model._scalars).all()
    assert np.isfinite(model.predict_proba_many(columns)).all()


@pytest.mark.parametrize("make", MODELS)
def test_more_categories_than_weights_fit_in_their_bound(make):
    model = MODELS[make](max_weights=1000)
    learn_new_categories(model, 20_000)
    assert model._table.state.shape[0] == 1000
    assert len(pickle.dumps(model)) < 300_000


def test_a_million_categories_fit_in_their_bound():
    model = TabularLogisticRegression(max_weights=50_000)
    learn_new_categories(model, 1_000_000)
    assert model._table.state.shape[0] == 50_000
    assert len(pickle.dumps(model)) < 10_000_000


def learn_new_categories(model, n):
    names = tuple(np.arange(n).astype(str).tolist())
    for start in range(0, n, 20_000):
        codes = np.arange(start, start + 20_000)[:, None]
        batch = Columns(np.ones((20_000, 1)), ["a"], codes, ["id"], [names])
        model.learn_many(batch, np.arange(20_000) % 3 == 0)
    assert model.n_updates == n
    assert model.n_weights <= model.max_weights
    assert model.n_evicted >= n - model.max_weights
    assert model._table.find("id", str(n - 1)) >= 0
    assert model._table.find("id", "0") < 0


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e101, 10**400, b"1", [1.0], 1j, object()])
def test_a_value_that_cannot_be_used_teaches_nothing(make, value):
    model = MODELS[make]()
    for known in (False, True):
        before = pickle.dumps(model)
        for call in (
            lambda x: model.learn_one(x, True),
            lambda x: model.predict_learn_one(x, False),
            model.predict_proba_one,
        ):
            with pytest.raises(LearnerError, match="'spend'"):
                call({"fine": 1.0, "k": "new", "spend": value})
        assert pickle.dumps(model) == before
        if not known:
            model.learn_one({"fine": 1.0, "spend": 2.0}, True)


@pytest.mark.parametrize("make", MODELS)
def test_nan_and_none_are_missing(make):
    one, other = MODELS[make](), MODELS[make]()
    one.learn_one({"a": 1.0, "b": np.nan, "c": None, "d": np.float32(2.0)}, True)
    other.learn_one({"a": 1.0, "d": 2.0}, True)
    assert pickle.dumps(one) == pickle.dumps(other)
    one.learn_many(pd.DataFrame({"a": [np.nan, 1.0], "k": [None, "x"]}), [True, np.False_])
    other.learn_one({}, True)
    other.learn_one({"a": 1.0, "k": "x"}, False)
    assert one.n_weights == other.n_weights == 3
    assert one._table.state.tobytes() == other._table.state.tobytes()


@pytest.mark.parametrize("label", ["yes", 2, None, 0.5, np.nan])
def test_a_label_that_is_not_binary_is_refused(label):
    model = TabularLogisticRegression()
    with pytest.raises(LearnerError, match="label"):
        model.learn_one({"a": 1.0}, label)
    for labels in ([label, True], pd.Series([True, label], dtype=object)):
        with pytest.raises(LearnerError, match="label"):
            model.learn_many(pd.DataFrame({"a": [1.0, 2.0]}), labels)
    assert model.n_updates == model.n_weights == 0


@pytest.mark.parametrize("labels", [[True], [[True, False]], []], ids=["few", "wide", "none"])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(LearnerError, match="2 rows but labels of shape"):
        AdPredictor().learn_many(pd.DataFrame({"a": [1.0, 2.0]}), labels)


@pytest.mark.parametrize("w", [-1.0, np.nan, np.inf, "much", [1.0, 2.0, 3.0]])
def test_a_weight_that_cannot_be_is_refused(w):
    model = LogisticRegression()
    with pytest.raises(LearnerError, match="weight"):
        model.learn_one({"a": 1.0}, True, w)
    with pytest.raises(LearnerError, match="weight"):
        model.learn_many(pd.DataFrame({"a": [1.0, 2.0]}), [True, False], w)
    assert model.n_updates == 0


@pytest.mark.parametrize("X", [[[1.0]], np.ones((2, 1)), {"a": 1.0}, None], ids=repr)
def test_what_are_no_rows_is_refused(X):
    with pytest.raises(LearnerError, match="neither columns, data frame nor Arrow table"):
        LogisticRegression().learn_many(X, [True])


def test_no_rows_teach_nothing():
    model = TabularLogisticRegression()
    for empty in (Columns.from_dicts([]), pd.DataFrame({"a": []})):
        assert model.predict_learn_many(empty, []).tolist() == []
        assert len(model.predict_proba_many(empty)) == 0
    assert model.n_updates == 0


def test_columns_may_come_and_go():
    model = LogisticRegression()
    for columns in ("ab", "b", "cab", "c"):
        model.learn_many(pd.DataFrame({name: [1.0, 2.0] for name in columns}), [True, False])
    assert set(model.weights) == {"a", "b", "c"}
    assert model.n_updates == 8


@pytest.mark.parametrize("make", MODELS)
def test_a_row_wider_than_the_table_is_refused(make):
    model = MODELS[make](max_weights=3)
    wide = {"a": 1.0, "b": 2.0, "c": 3.0, "k": "x"}
    with pytest.raises(LearnerError, match="4 features, max_weights is 3"):
        model.learn_one(wide, True)
    with pytest.raises(LearnerError, match="4 features, max_weights is 3"):
        model.learn_many(Columns.from_dicts([{"a": 1.0}, wide]), [True, False])
    assert model.n_updates == model.n_weights == 0
    assert model.predict_proba_one(wide).keys() == {False, True}


def test_many_columns_fit_a_small_table_if_the_rows_do():
    model = LogisticRegression(max_weights=2)
    model.learn_many(Columns.from_dicts([{f"n{i}": 1.0} for i in range(50)]), [True] * 50)
    assert set(model.weights) == {"n48", "n49"}


@pytest.mark.parametrize("x", [{"k": "c" * 2000}, {"k" * 2000: 1.0}], ids=["category", "name"])
def test_a_text_that_is_too_long_is_refused(x):
    model = LogisticRegression()
    with pytest.raises(LearnerError, match="2000 characters"):
        model.learn_one(x, True)
    with pytest.raises(LearnerError, match="2000 characters"):
        model.learn_many(Columns.from_dicts([{"a": 1.0}, x]), [True, False])
    assert model.n_updates == 0


def test_codes_that_were_written_to_are_refused():
    batch = Columns([[1.0]], ["a"], [[0]], ["k"], [("x",)])
    batch.codes[0, 0] = 5
    with pytest.raises(LearnerError, match="not among the categories"):
        LogisticRegression().learn_many(batch, [True])


@pytest.mark.parametrize(
    "params",
    [
        {"optimizer": "adam"},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"l2": -1.0},
        {"lr": 1.0, "l2": 2.0},
        {"l1": 1.0},
        {"optimizer": "ftrl", "lr": 0.1},
        {"optimizer": "ftrl", "alpha": 0.0},
        {"optimizer": "ftrl", "beta": -1.0},
        {"optimizer": "ftrl", "l1": -1.0},
        {"eps": 0.0},
        {"intercept_init": float("inf")},
        {"intercept_lr": -0.1},
        {"clip_gradient": float("nan")},
        {"max_weights": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [LogisticRegression, TabularLogisticRegression])
def test_a_setting_out_of_range_is_named(kind, params):
    name = list(params)[-1]
    with pytest.raises(LearnerError, match="slots" if name == "max_weights" else name):
        kind(**params)


@pytest.mark.parametrize(
    "params",
    [{"beta": -1.0}, {"prior_probability": 0.0}, {"prior_probability": 1.0}, {"epsilon": 1.0}],
    ids=str,
)
def test_a_setting_of_adpredictor_out_of_range_is_named(params):
    with pytest.raises(LearnerError, match=next(iter(params))):
        AdPredictor(**params)
