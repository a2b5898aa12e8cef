"""``measures``: AUC and log loss at a click rate of 0.53%, against River's in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from river import metrics

from nextbest.learners import AUC, LogLoss, roc_auc

from .harness import Result

RATE = 0.0053


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs, rows = (3, 20_000) if quick else (5, 50_000)
    y, p = _clicks(rows * runs)
    exact = roc_auc(y, p)
    own, rivers, fine = AUC(), metrics.ROCAUC(), metrics.ROCAUC(n_thresholds=100)
    pairs = list(zip(y.tolist(), p.tolist(), strict=True))
    losses = LogLoss(), metrics.LogLoss()
    rates: dict[str, list[float]] = {}
    for i in range(runs):  # side by side: the machine is the same for all
        part = slice(i * rows, (i + 1) * rows)
        for name, measure in (
            ("auc", own),
            ("river_auc", rivers),
            ("log_loss", losses[0]),
            ("river_log_loss", losses[1]),
        ):
            rates.setdefault(name, []).append(rows / _seconds(_each(measure, pairs[part])))
        column = AUC()
        rates.setdefault("auc_column", []).append(
            rows / _seconds(lambda part=part, column=column: column.update_many(y[part], p[part]))
        )
    for outcome, probability in pairs[:rows]:
        fine.update(outcome, probability)
    rate = {name: statistics.median(measured) for name, measured in rates.items()}
    return Result(
        "measures",
        figures={
            "auc_error": abs(own.get() - exact),
            "river_auc_error": abs(rivers.get() - exact),
            "ratio_river_auc": rate["auc"] / rate["river_auc"],
            "ratio_river_log_loss": rate["log_loss"] / rate["river_log_loss"],
            "column_per_s": rate["auc_column"],
        },
        detail={
            "exact_auc": exact,
            "auc_bound": own.bound,
            "river_auc": rivers.get(),
            "river_auc_error_100_thresholds": abs(fine.get() - roc_auc(y[:rows], p[:rows])),
            "get_us": 1e6 * statistics.median(_seconds(own.get) for _ in range(runs)),
            "rows": rows * runs,
            "runs": runs,
            **{f"{name}_per_s": value for name, value in rate.items()},
        },
    )


def _clicks(n: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    logits = np.log(RATE / (1.0 - RATE)) - 0.5 + rng.normal(size=n)
    p = 1.0 / (1.0 + np.exp(-logits))
    return rng.random(n) < p, p


def _each(measure: Any, pairs: list[tuple[bool, float]]) -> Callable[[], None]:
    def once() -> None:
        for y, p in pairs:
            measure.update(y, p)

    return once


def _seconds(do: Callable[[], Any]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began
