"""River takes the measures wherever it takes its own."""

import pickle
import subprocess
import sys

import pytest
from river import datasets, evaluate, linear_model, metrics, preprocessing
from river.utils import Rolling

from nextbest.learners import (
    AUC,
    ADFLogisticRegression,
    Brier,
    Calibration,
    Decayed,
    LogLoss,
    NormalizedEntropy,
    Windowed,
    roc_auc,
)

ALL = {
    "auc": AUC,
    "brier": Brier,
    "calibration": Calibration,
    "log loss": LogLoss,
    "normalized entropy": NormalizedEntropy,
    "windowed": lambda: Windowed(AUC(), 200),
    "decayed": lambda: Decayed(LogLoss(), 200.0),
}


def model():
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def predictions():
    learner, found = model(), []
    for x, y in datasets.Phishing():
        found.append((y, learner.predict_proba_one(x)[True]))
        learner.learn_one(x, y)
    return found


@pytest.mark.parametrize("name", list(ALL))
def test_progressive_validation_counts_every_prediction(name):
    measure = evaluate.progressive_val_score(datasets.Phishing(), model(), ALL[name]())
    expected = ALL[name]()
    expected.update_many(*zip(*predictions(), strict=True))
    assert measure == expected
    as_river = evaluate.progressive_val_score(
        datasets.Phishing(), model(), ALL[name]().as_river(), print_every=500
    )
    assert as_river.get() == measure.get()
    assert repr(as_river) == repr(measure)


def test_values_are_those_of_rivers_metrics():
    own = evaluate.progressive_val_score(datasets.Phishing(), model(), LogLoss()).get()
    rivers = evaluate.progressive_val_score(datasets.Phishing(), model(), metrics.LogLoss()).get()
    assert own == pytest.approx(rivers, rel=1e-12)
    window = evaluate.progressive_val_score(datasets.Phishing(), model(), Windowed(AUC(), 300))
    rolling = metrics.RollingROCAUC(window_size=300)
    evaluate.progressive_val_score(datasets.Phishing(), model(), rolling)
    assert window.get() == pytest.approx(rolling.get(), abs=1e-12)
    assert window.get() == roc_auc(*zip(*predictions()[-300:], strict=True))


def test_measures_are_added_to_each_other_and_to_rivers():
    learner = ADFLogisticRegression()
    for both in (metrics.Accuracy() + AUC().as_river(), AUC() + metrics.Accuracy()):
        evaluate.progressive_val_score(datasets.Phishing().take(300), learner, both)
        assert all(0.8 < value < 1.0 for value in both.get())
    three = AUC() + LogLoss() + Brier().as_river()
    evaluate.progressive_val_score(datasets.Phishing().take(300), learner, three)
    assert len(three.get()) == 3


def test_a_rolling_measure_forgets_by_taking_back():
    rolling, window = Rolling(AUC, window_size=100), Windowed(AUC(bins=2**20), 100)
    for y, p in predictions()[:400]:
        rolling.update(y, p)
        window.update(y, p)
    assert rolling.get() == pytest.approx(window.get(), abs=1e-3)


@pytest.mark.parametrize("name", list(ALL))
def test_it_behaves_as_a_river_object(name):
    measure = ALL[name]()
    measure.update(True, 0.75)
    measure.update(False, 0.5)
    assert measure.works_with(model())
    assert not measure.works_with(linear_model.LinearRegression())
    assert pickle.loads(pickle.dumps(measure)) == measure
    assert measure.clone(include_attributes=True).get() == measure.get()
    worse = measure.clone()
    worse.update_many([True] * 6 + [False] * 6, [0.01] * 6 + [0.9] * 6)
    assert measure.is_better_than(worse)
    assert not worse > measure
    adapter = measure.as_river()
    assert adapter.bigger_is_better == measure.bigger_is_better
    assert adapter.clone().measure == ALL[name]()
    assert isinstance(adapter, metrics.base.BinaryMetric)


def test_rivers_metrics_are_not_imported_unless_asked_for():
    code = "import sys, nextbest.learners; print('river.metrics' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
