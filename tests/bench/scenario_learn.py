"""``learn``: logistic regression on columns and on dictionaries, against River and Vowpal Wabbit.

Every rate is rows a second of CPU time, predicted and then learned. The references run between
ours in every round, and a figure is the median of the rounds' ratios. River's pipeline is the
fastest way to write it (`Select`, `drop_zeros=True`); with River's defaults it stands in the
detail, and so does what we lose.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from river import compose, linear_model, optim, preprocessing
from vowpalwabbit import pyvw

from nextbest.learners import (
    AdPredictor,
    Columns,
    LogisticRegression,
    TabularLogisticRegression,
)

from .harness import Result

BATCH = 256
SHAPES = {"15": (9, 6), "50": (30, 20)}
CARDINALITIES = (12, 4, 8, 2, 12, 3)
Rate = Callable[[], int]


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs = 3 if quick else 5
    rows = 1500 if quick else 4000
    rates: dict[str, list[float]] = {}
    for name, (numbers, categories) in SHAPES.items():
        _measure(rates, _contestants(name, numbers, categories, rows), runs)
    medians = {f"{name}_rows_per_s": statistics.median(r) for name, r in rates.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(rates[ours], rates[theirs], strict=True))
        for name, (ours, theirs) in COMPARED.items()
    }
    lost = [name for name, ratio in ratios.items() if ratio < 1.0]
    figures = ("ratio_river_15", "ratio_river_50", "ratio_river_dict", "ratio_vw")
    return Result(
        "learn",
        figures={name: ratios.pop(name) for name in figures},
        detail={**ratios, **medians, "batch": BATCH, "runs": runs, "lost": lost},
    )


COMPARED = {
    "ratio_river_15": ("columns_15", "river_15"),
    "ratio_river_50": ("columns_50", "river_50"),
    "ratio_river_dict": ("dict_15", "river_15"),
    "ratio_vw": ("columns_15", "vw_parsed_15"),
    "ratio_river_default_15": ("columns_15", "river_default_15"),
    "ratio_river_default_50": ("columns_50", "river_default_50"),
    "ratio_river_dict_50": ("dict_50", "river_50"),
    "ratio_vw_50": ("columns_50", "vw_parsed_50"),
    "ratio_arrow_15": ("arrow_15", "river_15"),
    "ratio_arrow_50": ("arrow_50", "river_50"),
    "ratio_adagrad_15": ("adagrad_15", "river_adagrad_15"),
    "ratio_ftrl_15": ("ftrl_15", "river_ftrl_15"),
    "ratio_adpredictor_15": ("adpredictor_15", "river_adpredictor_15"),
    "ratio_plain_sgd_dict_15": ("plain_sgd_dict_15", "river_plain_sgd_dict_15"),
    "ratio_plain_sgd_dict_50": ("plain_sgd_dict_50", "river_plain_sgd_dict_50"),
}
"""Ours over the reference. Plain SGD takes dictionaries of numbers that need no encoding."""


def _measure(rates: dict[str, list[float]], contestants: Mapping[str, Rate], runs: int) -> None:
    for once in contestants.values():  # compile, and meet every category
        once()
    for _ in range(runs):
        for name, once in contestants.items():
            began = time.process_time()
            rows = once()
            rates.setdefault(name, []).append(rows / (time.process_time() - began))


def _contestants(shape: str, numbers: int, categories: int, rows: int) -> dict[str, Rate]:
    many, few = _data(numbers, categories, 20 * rows), _data(numbers, categories, rows)
    parts = list(zip(many[0].batches(BATCH), _parts(many[1]), strict=True))
    arrow = list(zip(_arrow(many[0]).to_batches(BATCH), _parts(many[1]), strict=True))
    dicts = list(zip(few[0].to_dicts(), few[1].tolist(), strict=True))
    encoder = (
        compose.Select(*few[0].categorical_names) | preprocessing.OneHotEncoder(drop_zeros=True)
    ) + compose.Select(*few[0].numeric_names)
    ready = [(encoder.transform_one(x), y) for x, y in dicts]
    found = {
        "columns": _ours_on_columns(TabularLogisticRegression(), parts),
        "river": _river(_pipeline(few[0], True, optim.SGD()), dicts),
        "dict": _ours_on_dicts(TabularLogisticRegression(), dicts),
        "vw_parsed": _vw(dicts),
        "river_default": _river(_pipeline(few[0], False, optim.SGD()), dicts[: len(dicts) // 2]),
        "arrow": _ours_on_columns(TabularLogisticRegression(), arrow),
        "plain_sgd_dict": _ours_on_dicts(LogisticRegression(), ready),
        "river_plain_sgd_dict": _river(linear_model.LogisticRegression(), ready),
    }
    if shape == "15":
        found |= {
            "adagrad": _ours_on_columns(TabularLogisticRegression("adagrad"), parts),
            "river_adagrad": _river(_pipeline(few[0], True, optim.AdaGrad()), dicts),
            "ftrl": _ours_on_columns(TabularLogisticRegression("ftrl"), parts),
            "river_ftrl": _river(_pipeline(few[0], True, optim.FTRLProximal()), dicts),
            "adpredictor": _ours_on_columns(AdPredictor(), parts),
            "river_adpredictor": _river(linear_model.AdPredictor(), ready),
        }
    return {f"{name}_{shape}": rate for name, rate in found.items()}


def _data(numbers: int, categories: int, rows: int) -> tuple[Columns, Any]:
    """Standardised and skewed numbers, categories as a bank's, labels that depend on both."""
    rng = np.random.default_rng(1)
    numeric = rng.normal(size=(rows, numbers))
    numeric[:, ::2] = np.round(np.exp(numeric[:, ::2]) * 30.0)
    sizes = [CARDINALITIES[j % len(CARDINALITIES)] for j in range(categories)]
    codes = np.column_stack([rng.zipf(1.5, rows) % size for size in sizes])
    logit = 0.8 * numeric[:, 1] + 0.5 * (codes[:, 0] % 3) - 2.0
    labels = rng.random(rows) < 1.0 / (1.0 + np.exp(-logit))
    columns = Columns(
        numeric,
        [f"number {j}" for j in range(numbers)],
        codes,
        [f"category {j}" for j in range(categories)],
        [[f"value {k}" for k in range(size)] for size in sizes],
    )
    return columns, labels


def _parts(labels: Any) -> list[Any]:
    return [labels[start : start + BATCH] for start in range(0, len(labels), BATCH)]


def _arrow(columns: Columns) -> pa.Table:
    made = {
        str(name): pa.array(columns.numeric[:, j]) for j, name in enumerate(columns.numeric_names)
    }
    for j, name in enumerate(columns.categorical_names):
        values = pa.array(list(columns.categories[j]))
        made[str(name)] = pa.DictionaryArray.from_arrays(pa.array(columns.codes[:, j]), values)
    return pa.table(made)


def _pipeline(columns: Columns, drop_zeros: bool, optimizer: Any) -> Any:
    numbers = compose.Select(*columns.numeric_names) | preprocessing.StandardScaler()
    encoder = preprocessing.OneHotEncoder(drop_zeros=drop_zeros)
    categories = compose.Select(*columns.categorical_names) | encoder
    return (numbers + categories) | linear_model.LogisticRegression(optimizer)


def _ours_on_columns(model: Any, parts: list[tuple[Any, Any]]) -> Rate:
    def once() -> int:
        for rows, labels in parts:
            model.predict_learn_many(rows, labels)
        return sum(len(labels) for _, labels in parts)

    return once


def _ours_on_dicts(model: Any, rows: list[tuple[dict[Any, Any], bool]]) -> Rate:
    def once() -> int:
        for x, y in rows:
            model.predict_learn_one(x, y)
        return len(rows)

    return once


def _river(model: Any, rows: list[tuple[dict[Any, Any], bool]]) -> Rate:
    def once() -> int:
        for x, y in rows:
            model.predict_proba_one(x)
            model.learn_one(x, y)
        return len(rows)

    return once


def _vw(rows: list[tuple[dict[Any, Any], bool]]) -> Rate:
    """Vowpal Wabbit on examples parsed before; its `learn` predicts each first, as ours does."""
    model = pyvw.Workspace("--loss_function logistic -b 18 --quiet")
    examples = []
    for x, y in rows:
        numbers = " ".join(
            f"{name.replace(' ', '_')}:{value}"
            for name, value in x.items()
            if not isinstance(value, str)
        )
        categories = " ".join(
            f"{name}={value}".replace(" ", "_")
            for name, value in x.items()
            if isinstance(value, str)
        )
        examples.append(model.parse(f"{1 if y else -1} |n {numbers} |c {categories}"))

    def once() -> int:
        for example in examples:
            model.learn(example)
        return len(examples)

    return once
