"""``quality-stream``: logloss on seven real streams, against River's and VW's best linear rows.

Every stream is parted once into 20% of its rows to tune on and 80% to measure on. On the first
part a row of each party is chosen for a stream, alike for all: the least mean logloss over
as many orders as have 5,000 rows, at least one (quick: one). River has 16 rows (SGD, AdaGrad and
FTRL at five learning rates, AdPredictor), VW 11 (adaptive and FTRL at five, coin betting), ours
21: `BayesianRanker` at eight prior variances, the numbers with their full covariance or a variance
each, and in every row two experts, with forgetting 0 and .001; and our `LogisticRegression` with
FTRL-Proximal at VW's five learning rates. ``ours_untuned`` is the model with
its default experts and full covariance, where nothing is chosen. All are then validated
progressively on the second part, in orders that the seeds draw (a stream in time keeps its order,
and draws the category).

``worst_margin`` is the worst over the streams of the best reference's mean logloss less ours, in
nats: at 0 or above, ours is as good or better on every stream. The detail has each stream's
margins with their standard errors over the seeds, its rows as mean and standard deviation over
the seeds, and River's Hoeffding tree, which is not linear, on the first seed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from . import quality_classifiers as classifiers
from .harness import Result
from .quality_classifiers import Row, Rows
from .quality_streams import STREAMS, shuffled, split

TUNING_SEED = 100
TUNING_ROWS = 5_000
QUICK_ROWS = 2_000
TABLES = {"ours": classifiers.OURS, "river": classifiers.RIVER, "vw": classifiers.VW}


def run(*, quick: bool) -> Result:
    """Measure; see the module's text. Quick: 3 seeds, the first 2,000 rows of each order."""
    seeds = range(3 if quick else 10)
    detail: dict[str, object] = {
        "seeds": len(seeds),
        "tuned_on": "20% of the rows of each stream, which no figure sees",
        "rows": f"at most {QUICK_ROWS:,} a stream" if quick else "all",
    }
    margins = {}
    for name in STREAMS:
        began = time.perf_counter()
        found = measure(name, seeds, QUICK_ROWS if quick else None)
        reference = min((found.losses["river"], found.losses["vw"]), key=np.mean)
        for row in ("ours", "ours_untuned"):
            ahead = np.subtract(reference, found.losses[row])
            error = np.std(ahead, ddof=1) / np.sqrt(len(ahead))
            detail[f"{name}_{row}_margin"] = f"{ahead.mean():+.5f} ± {error:.5f}"
            if row == "ours":
                margins[name] = float(ahead.mean())
        for row, values in found.losses.items():
            label = f"{name}_{row}" + (f" ({found.chosen[row]})" if row in found.chosen else "")
            detail[label] = f"{np.mean(values):.5f} ± {np.std(values):.5f}"
        detail[f"{name}_seconds"] = round(time.perf_counter() - began, 1)
    detail["worst_stream"] = min(margins, key=margins.__getitem__)
    return Result("quality-stream", {"worst_margin": min(margins.values())}, detail)


class Found:
    """What was measured on one stream: which rows were chosen, and every seed's loglosses."""

    def __init__(self, chosen: dict[str, str]) -> None:
        self.chosen = chosen
        rows = ("ours", "ours_untuned", "river", "vw", "tree")
        self.losses: dict[str, list[float]] = {row: [] for row in rows}


def measure(name: str, seeds: range, limit: int | None) -> Found:
    """Tune every party on a stream's first part, and validate all on the second."""
    found = Found(tuned(name, limit))
    for seed in seeds:
        _, measured = split(STREAMS[name](seed))
        rows = _laid_out(measured, seed, limit)
        for party, row in found.chosen.items():
            found.losses[party].append(TABLES[party][row](rows))
        found.losses["ours_untuned"].append(classifiers.ours(rows))
        if seed == seeds[0]:
            found.losses["tree"].append(classifiers.hoeffding_tree(rows))
    return found


def tuned(name: str, limit: int | None) -> dict[str, str]:
    """Return each party's row with the least mean logloss over orders of the first part."""
    part, _ = split(STREAMS[name](TUNING_SEED))
    orders = 1 if limit else max(1, TUNING_ROWS // len(part.labels))
    seeds = range(TUNING_SEED, TUNING_SEED + orders)
    laid_out = [_laid_out(split(STREAMS[name](seed))[0], seed, limit) for seed in seeds]
    return {party: best(table, laid_out) for party, table in TABLES.items()}


def best(table: dict[str, Row], orders: Sequence[Rows]) -> str:
    """Return the row of a table with the least mean logloss over some orders."""
    losses = {name: sum(row(rows) for rows in orders) for name, row in table.items()}
    return min(losses, key=losses.__getitem__)


def _laid_out(stream: classifiers.Stream, seed: int, limit: int | None) -> Rows:
    ordered = shuffled(stream, seed)
    if limit is not None and len(ordered.labels) > limit:
        ordered = ordered.take(np.arange(limit))
    return classifiers.lay_out(ordered)
