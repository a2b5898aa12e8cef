"""Linear models as bytes: they go on bit for bit, in any process, evictions included."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import (
    AdPredictor,
    Columns,
    LearnerError,
    LogisticRegression,
    TabularLogisticRegression,
    load,
    save,
)
from nextbest.learners.checkpoint import pack, unpack
from tests.learners.streams import complete, observations

MAKERS = {
    "sgd": lambda most: LogisticRegression("sgd", l2=0.1, max_weights=most),
    "adagrad": lambda most: LogisticRegression("adagrad", lr=1, max_weights=most),
    "ftrl": lambda most: LogisticRegression("ftrl", max_weights=most),
    "proximal": lambda most: LogisticRegression("ftrl-proximal", l1=0.1, max_weights=most),
    "tabular": lambda most: TabularLogisticRegression("adagrad", max_weights=most),
    "adpredictor": lambda most: AdPredictor(prior_probability=0.2, max_weights=most),
}


def again(model):
    return type(model).from_bytes(model.to_bytes())


def rows(n, seed=3):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        x = {"visits": rng.normal(), 7: rng.normal(), "site": f"s{rng.integers(30)}", "é": "\ud800"}
        yield x, bool(rng.random() < 0.3)


@pytest.mark.parametrize("most", [6, 1000])
@pytest.mark.parametrize("make", MAKERS)
@given(stream=observations(), cut=st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_a_restored_model_continues_bit_for_bit(make, most, stream, cut):
    whole, first = MAKERS[make](most), MAKERS[make](most)
    expected = [whole.predict_learn_one(x, y) for x, y in stream]
    for x, y in stream[:cut]:
        first.learn_one(x, y)
    second = again(first)
    assert second.to_bytes() == first.to_bytes()
    if stream[cut:]:
        columns = Columns.from_dicts([complete(x) for x, _ in stream[cut:]])
        labels = np.array([y for _, y in stream[cut:]], dtype=bool)
        assert second.predict_learn_many(columns, labels).tolist() == expected[cut:]
    assert second.to_bytes() == whole.to_bytes()
    assert (second.n_updates, second.n_evicted) == (whole.n_updates, whole.n_evicted)


@pytest.mark.parametrize("make", MAKERS)
def test_names_of_all_kinds_come_back(make):
    model = MAKERS[make](20)
    for x, y in rows(200):
        model.learn_one(x, y)
    assert model.n_evicted > 0
    second = again(model)
    assert repr(second) == repr(model)
    for attribute in ("weights", "means", "variances", "intercept", "bias"):
        assert getattr(second, attribute, None) == getattr(model, attribute, None)
    for x, y in rows(200, seed=4):
        assert second.predict_learn_one(x, y) == model.predict_learn_one(x, y)
    assert second.to_bytes() == model.to_bytes()


@pytest.mark.parametrize("make", ["tabular"])
def test_another_process_continues_bit_for_bit(make, tmp_path):
    model = MAKERS[make](20)
    for x, y in rows(50):
        model.learn_one(x, y)
    save(tmp_path / "before", model.to_bytes())
    name = type(model).__name__
    code = (
        "import sys\n"
        f"from nextbest.learners import {name}, load, save\n"
        f"model = {name}.from_bytes(load(sys.argv[1]))\n"
        "for i in range(50):\n"
        "    model.learn_one({'visits': i / 7, 'site': f's{i}'}, i % 3 == 0)\n"
        "save(sys.argv[2], model.to_bytes())"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "before", tmp_path / "after"], check=True
    )
    for i in range(50):
        model.learn_one({"visits": i / 7, "site": f"s{i}"}, i % 3 == 0)
    assert load(tmp_path / "after") == model.to_bytes()


def test_a_name_that_bytes_cannot_hold_is_named():
    model = LogisticRegression()
    model.learn_one({("a", 1): 2.0}, True)
    with pytest.raises(LearnerError, match=r"\('a', 1\) is neither string nor integer"):
        model.to_bytes()


def changed(make, change):
    model = MAKERS[make](50)
    for x, y in rows(100):
        model.learn_one(x, y)
    kind = type(model).__name__
    values, arrays = unpack(model.to_bytes(), kind)
    change(values, arrays)
    return type(model), pack(kind, values, arrays)


def put(name, column, value):
    def change(values, arrays):
        arrays[name][..., column] = value

    return change


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        ("ftrl", put("state", 1, np.nan), "not finite"),
        ("ftrl", put("state", 3, -1.0), "cannot be"),
        ("adagrad", put("state", 2, -1.0), "cannot be"),
        ("tabular", put("state", 6, -1.0), "cannot be"),
        ("adpredictor", put("state", 2, 0.0), "cannot be"),
        ("adpredictor", put("learned", 1, -1.0), "cannot be"),
        ("sgd", put("learned", 0, np.inf), "cannot be"),
        ("sgd", put("feature", 0, 99), "does not have"),
        ("sgd", put("lengths", 0, -2), "does not have"),
        ("sgd", put("lengths", 0, 1 << 40), "bytes of categories"),
        ("sgd", put("feature", slice(None), 0), "two slots"),
        ("sgd", lambda v, a: a.update(texts=a["texts"][1:]), "bytes of categories"),
        ("sgd", lambda v, a: a.update(state=a["state"][1:]), "slots of 50"),
        ("sgd", lambda v, a: a.update(state=a["state"][:, 1:]), "slots of 50"),
        ("sgd", lambda v, a: a.update(feature=a["feature"].astype(np.int64)), "'feature'"),
        ("sgd", lambda v, a: a.pop("texts"), "lacks 'texts'"),
        ("sgd", lambda v, a: v["settings"].update(max_weights=3), "slots of 3"),
        ("sgd", lambda v, a: v["settings"].update(lr=-1.0), "lr must be"),
        ("sgd", lambda v, a: v["settings"].update(no=1), "LogisticRegression"),
        ("sgd", lambda v, a: v.update(n_updates=-1), "cannot be"),
        ("sgd", lambda v, a: v.update(evicted=-1), "not finite"),
        ("sgd", lambda v, a: v.update(features=[*v["features"][1:], None]), "neither string"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_bytes_of_what_is_no_model_are_refused(make, change, message):
    kind, data = changed(make, change)
    with pytest.raises(LearnerError, match=message):
        kind.from_bytes(data)


def test_another_kind_is_refused():
    data = LogisticRegression().to_bytes()
    with pytest.raises(LearnerError, match="expected a 'AdPredictor'"):
        AdPredictor.from_bytes(data)
    with pytest.raises(LearnerError, match="wrong checksum"):
        LogisticRegression.from_bytes(data[:-1] + b"x")
