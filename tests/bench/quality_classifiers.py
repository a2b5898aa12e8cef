"""Classifiers on a stream, progressively validated: River's, Vowpal Wabbit's and ours.

Each sees the same standardised numbers and the same categories in the same order, and foretells
each label before it learns it. What is returned is the mean logloss in nats, with probabilities
kept within `CLIP` of 0 and 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from river import base, linear_model, optim, tree
from vowpalwabbit import pyvw

from nextbest.learners import BayesianRanker, LogisticRegression

from . import quality_ours
from .quality_streams import Stream, standardised

Floats = NDArray[np.float64]

CLIP = 1e-6
LEARNING_RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
VW_LEARNING_RATES = (0.05, 0.2, 0.5, 1.0, 2.0)
PRIOR_VARIANCES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
FORGETTINGS = (0.0, 1e-3)


class Rows(NamedTuple):
    """A stream, laid out once for every learner."""

    stream: Stream
    scaled: Floats
    one_hot: list[dict[str, float]]
    text: list[str]


Row = Callable[[Rows], float]


def lay_out(stream: Stream) -> Rows:
    """Scale the numbers and write the rows in the form that each learner wants."""
    scaled = standardised(stream.numbers)
    one_hot, text = [], []
    for numbers, words, label in zip(
        scaled.tolist(), stream.words, stream.labels.tolist(), strict=True
    ):
        named = zip(stream.categories, words, strict=True)
        pairs = [f"{name}={word}" for name, word in named]
        x = {f"n{i}": value for i, value in enumerate(numbers)}
        one_hot.append(x | dict.fromkeys(pairs, 1.0))
        line = " ".join(f"n{i}:{value:.9g}" for i, value in enumerate(numbers))
        line += " " + " ".join(re.sub(r"[\s:|]", "_", pair) for pair in pairs)
        text.append(f"{1 if label else -1} |x {line}")
    return Rows(stream, scaled, one_hot, text)


def logloss(labels: NDArray[np.bool_], chances: Sequence[float] | Floats) -> float:
    """Return the mean logloss in nats."""
    p = np.clip(np.asarray(chances, np.float64), CLIP, 1.0 - CLIP)
    return float(-np.log(np.where(labels, p, 1.0 - p)).mean())


def river(make: Callable[[], base.Classifier], rows: Rows) -> float:
    """Validate a classifier of River's."""
    model, chances = make(), []
    for x, y in zip(rows.one_hot, rows.stream.labels.tolist(), strict=True):
        chances.append(model.predict_proba_one(x).get(True, 0.0))
        model.learn_one(x, y)
    return logloss(rows.stream.labels, chances)


def vowpal(options: str, rows: Rows) -> float:
    """Validate Vowpal Wabbit; learning an example foretells it first."""
    workspace = pyvw.Workspace(f"--loss_function logistic --link logistic --quiet {options}")
    chances = []
    for line in rows.text:
        example = workspace.parse(line)
        workspace.learn(example)
        chances.append(example.get_simplelabel_prediction())
        workspace.finish_example(example)
    workspace.finish()
    return logloss(rows.stream.labels, chances)


def ours(rows: Rows, *, diagonal: bool = False, **settings: Any) -> float:
    """Validate the ranker's model with one arm.

    With `diagonal` the numbers are the arm's action features, which keep a variance each, else
    contexts, which keep their full covariance.
    """
    stream = rows.stream
    numbers = tuple(f"n{i}" for i in range(rows.scaled.shape[1]))
    # With one arm, what arms share and what is its own would be the same thing twice.
    chosen = {"shared_scale": 0.0, "max_categories": 10_000} | settings
    names = {"action_features" if diagonal else "numbers": numbers}
    model = BayesianRanker(["yes"], contexts=stream.categories, **names, **chosen)
    columns: dict[str, Any] = {} if diagonal else dict(zip(numbers, rows.scaled.T, strict=True))
    if stream.categories:
        columns |= dict(zip(stream.categories, zip(*stream.words, strict=True), strict=True))
    actions = rows.scaled[:, None] if diagonal else None
    rewards = stream.labels.astype(np.float64)[:, None]
    greedy = quality_ours.Exploration(math.inf)
    played = quality_ours.play(model, columns, actions, rewards, greedy)
    return logloss(stream.labels, played.chances)


def _ours(variance: float, diagonal: bool) -> Row:
    experts = [(variance, forgetting) for forgetting in FORGETTINGS]
    return lambda rows: ours(rows, diagonal=diagonal, experts=experts)


def _linear(optimizer: Callable[[float], optim.base.Optimizer], rate: float) -> Row:
    return lambda rows: river(lambda: linear_model.LogisticRegression(optimizer(rate)), rows)


def _vowpal(options: str) -> Row:
    return lambda rows: vowpal(options, rows)


class _FTRL(base.Classifier):
    """Our FTRL-Proximal with the intercept as a weight like the others, as Vowpal Wabbit has it."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self._model = LogisticRegression("ftrl-proximal", alpha=alpha, intercept_lr=0.0)

    def learn_one(self, x: dict[str, float], y: bool) -> None:
        self._model.learn_one(x | {"constant": 1.0}, y)

    def predict_proba_one(self, x: dict[str, float]) -> dict[bool, float]:
        chances: dict[bool, float] = self._model.predict_proba_one(x | {"constant": 1.0})
        return chances


def _ftrl(rate: float) -> Row:
    return lambda rows: river(lambda: _FTRL(rate), rows)


OURS: dict[str, Row] = {
    **{
        f"{kind} {variance}": _ours(variance, kind == "diagonal")
        for kind in ("full", "diagonal")
        for variance in PRIOR_VARIANCES
    },
    **{f"ftrl {rate}": _ftrl(rate) for rate in VW_LEARNING_RATES},
}
RIVER: dict[str, Row] = {
    **{f"SGD {rate}": _linear(optim.SGD, rate) for rate in LEARNING_RATES},
    **{f"AdaGrad {rate}": _linear(optim.AdaGrad, rate) for rate in LEARNING_RATES},
    **{f"FTRL {rate}": _linear(optim.FTRLProximal, rate) for rate in LEARNING_RATES},
    "AdPredictor": lambda rows: river(linear_model.AdPredictor, rows),
}
VW: dict[str, Row] = {
    **{f"adaptive {rate}": _vowpal(f"-l {rate}") for rate in VW_LEARNING_RATES},
    **{f"ftrl {rate}": _vowpal(f"--ftrl --ftrl_alpha {rate}") for rate in VW_LEARNING_RATES},
    "coin": _vowpal("--coin"),
}


def hoeffding_tree(rows: Rows) -> float:
    """Validate a learner that is not linear, River's Hoeffding tree: shown, not compared."""
    return river(tree.HoeffdingTreeClassifier, rows)
