"""``quality-stream``: logloss on seven real streams, against River's and VW's best linear rows.

Every stream is parted once into 20% of its rows to tune on and 80% to measure on. River's rows
(SGD, AdaGrad and FTRL at five learning rates, AdPredictor) and VW's (adaptive and FTRL at five,
coin betting) are chosen on the first part, one of each for a stream; ours is not tuned: its
experts are the defaults of `BayesianRanker`. All are then validated progressively on the second
part, in orders that the seeds draw (a stream in time keeps its order, and draws the category).

``worst_margin`` is the worst over the streams of the best reference's mean logloss less ours, in
nats: at 0 or above, ours is as good or better on every stream. The detail has each stream's rows
as mean and standard deviation over the seeds, and River's Hoeffding tree, which is not linear.
"""

from __future__ import annotations

import time

import numpy as np

from . import quality_classifiers as classifiers
from .harness import Result
from .quality_classifiers import Row, Rows
from .quality_streams import STREAMS, shuffled, split

TUNING_SEED = 100
QUICK_ROWS = 2_000


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
        losses = {row: float(np.mean(values)) for row, values in found.losses.items()}
        margins[name] = min(losses["river"], losses["vw"]) - losses["ours"]
        for row, values in found.losses.items():
            label = f"{name}_{row}" + (f" ({found.chosen[row]})" if row in found.chosen else "")
            detail[label] = f"{np.mean(values):.4f} ± {np.std(values):.4f}"
        detail[f"{name}_margin"] = f"{margins[name]:+.5f}"
        detail[f"{name}_seconds"] = round(time.perf_counter() - began, 1)
    detail["worst_stream"] = min(margins, key=margins.__getitem__)
    return Result("quality-stream", {"worst_margin": min(margins.values())}, detail)


class Found:
    """What was measured on one stream: which rows were chosen, and every seed's loglosses."""

    def __init__(self, chosen: dict[str, str]) -> None:
        self.chosen = chosen
        self.losses: dict[str, list[float]] = {"ours": [], "river": [], "vw": [], "tree": []}


def measure(name: str, seeds: range, limit: int | None) -> Found:
    """Tune the references on a stream's first part, and validate all on the second."""
    tuning, _ = split(STREAMS[name](TUNING_SEED))
    rows = _laid_out(tuning, TUNING_SEED, limit)
    river, vw = best(classifiers.RIVER, rows), best(classifiers.VW, rows)
    found = Found({"river": river, "vw": vw})
    for seed in seeds:
        _, measured = split(STREAMS[name](seed))
        rows = _laid_out(measured, seed, limit)
        found.losses["ours"].append(classifiers.ours(rows))
        found.losses["river"].append(classifiers.RIVER[river](rows))
        found.losses["vw"].append(classifiers.VW[vw](rows))
        if seed == seeds[0]:
            found.losses["tree"].append(classifiers.hoeffding_tree(rows))
    return found


def best(table: dict[str, Row], rows: Rows) -> str:
    """Return the row of a table with the least logloss."""
    losses = {name: row(rows) for name, row in table.items()}
    return min(losses, key=losses.__getitem__)


def _laid_out(stream: classifiers.Stream, seed: int, limit: int | None) -> Rows:
    ordered = shuffled(stream, seed)
    if limit is not None and len(ordered.labels) > limit:
        ordered = ordered.take(np.arange(limit))
    return classifiers.lay_out(ordered)
