"""Titles of the learning page where there is nothing to tell of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nextbest.flows.monitor import learning
from nextbest.flows.monitor.charts import learning as charts
from nextbest.flows.monitor.decided import Decided

HOUR = 3_600_000_000


def title(rewards: list[float]) -> str:
    """The title of the learning curve of an hourly decision that earned these."""
    n = len(rewards)
    table = pa.table(
        {
            "at": np.arange(n) * HOUR,
            "customer": [f"c{i}" for i in range(n)],
            "arm": ["tea"] * n,
            "group": ["learned"] * n,
            "best": pa.array([None] * n, pa.bool_()),
            "foretold.accept": pa.array([0.5] * n, pa.float64()),
            "reward.accept": pa.array(rewards, pa.float64()),
        }
    )
    course = learning.course(Decided(table, ("accept",), True), "accept")
    said = charts.learning_curve(course, None, "accept", "hour").to_dict()["title"]["text"]
    return said if isinstance(said, str) else " ".join(said)


@pytest.mark.parametrize("n", [1, 1500])
def test_that_there_were_no_outcomes_is_said(n: int) -> None:
    assert title([0.0] * n).startswith(f"accept: no outcomes of {n:,} decisions")


def test_a_change_is_told_where_there_were_some() -> None:
    assert title([0.0] * 300 + [1.0] * 300).startswith("accept rose from 0 to 1 a decision")
