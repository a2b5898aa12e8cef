"""Charts of odd inputs are charts too: nothing, one window, no end, one customer, odd names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nextbest.flows.monitor import learning
from nextbest.flows.monitor.candidates import Candidate, estimates, judge, variants, verdicts
from nextbest.flows.monitor.charts import customer, features, off_policy, theme
from nextbest.flows.monitor.charts import learning as charts
from nextbest.flows.monitor.decided import Decided
from nextbest.flows.monitor.intervals import Mean
from nextbest.flows.simulate.catalog import catalog

DAY = 86_400_000_000
NAN = float("nan")


def decisions(n: int, *, groups: tuple[str, ...] = ("learned",), foretold: bool = True) -> Decided:
    table = pa.table(
        {
            "at": np.arange(n) * 60_000_000 + DAY,
            "customer": ["ann"] * n,
            "arm": [("</div>tea & more", "mug", "x" * 80)[i % 3] for i in range(n)],
            "group": [groups[i % len(groups)] for i in range(n)],
            "best": pa.array([None] * n, pa.bool_()),
            "foretold.accept": pa.array([0.5 if foretold else None] * n, pa.float64()),
            "reward.accept": pa.array([float(i % 2) for i in range(n)], pa.float64()),
        }
    )
    return Decided(table, ("accept",), True)


def said(chart: Any) -> str:
    """The title; the whole chart fits the schema, which `to_dict` checks."""
    title = chart.to_dict()["title"]["text"]
    return " ".join(title) if isinstance(title, list) else title


@pytest.mark.parametrize(
    "found",
    [decisions(1), decisions(7, groups=("learned", "control")), decisions(60, foretold=False)],
    ids=["one", "one customer", "nothing foretold"],
)
def test_pages_of_few_decisions_are_drawn(found: Decided) -> None:
    course = learning.course(found, "accept")
    gap = learning.gap(found, "accept")
    assert "accept" in said(charts.learning_curve(course, gap, "accept", "day", [DAY]))
    known = learning.calibration(found, "accept").num_rows > 0
    loss = said(charts.progressive_loss(course, "accept"))
    assert loss.startswith("Forecasts of accept cost" if known else "accept: log loss")
    assert said(charts.reward_by(learning.by_value(found, "accept", "arm"), "accept", "arm"))
    calibration = learning.calibration(found, "accept")
    if calibration.num_rows:
        assert "Forecasts of accept" in said(charts.reliability_curve(calibration, "accept"))
    assert said(charts.choice_shares(learning.choices(found)))
    assert "not known" in said(charts.exploration_shares(learning.exploration(found)))


def test_titles_say_what_the_numbers_mean() -> None:
    course = learning.course(decisions(200), "accept")
    gains = {(0.1, 0.05, 0.15): "a gain of +0.1", (-0.1, -0.15, -0.05): "a loss of -0.1",
             (0.01, -0.05, 0.07): "no clear difference"}  # fmt: skip
    for (value, low, high), words in gains.items():
        gap = learning.Gap(Mean(0.4, 0.3, 0.5, 0.05, 99.0), Mean(0.3, 0.2, 0.4, 0.05, 99.0),
                           Mean(value, low, high, 0.02, 198.0))  # fmt: skip
        assert words in said(charts.learning_curve(course, gap, "accept", "day"))
    alone = learning.Gap(*[Mean(0.4, NAN, NAN, NAN, 0.0)] * 3)
    assert "too few customers" in said(charts.learning_curve(course, alone, "accept", "day"))
    chart = charts.reward_by(learning.by_value(decisions(7), "accept", "arm"), "accept", "arm")
    page = theme.heading(chart)
    assert "<div>tea" not in page
    assert "&lt;/div&gt;tea &amp; more" in page
    assert "title" not in theme.untitled(chart).to_dict()
    assert "title" in chart.to_dict()


def test_an_interval_without_an_end_is_drawn_to_the_edge() -> None:
    row = {
        "candidate": "new", "verdict": "cannot tell", "logged": 0.3, "value": 0.4, "gain": 0.1,
        "low": None, "high": None, "effective": 3.0, "n": 10, "mean_weight": 1.0, "largest": 4.0,
        "unsupported": 0.0,
    }  # fmt: skip
    better = {**row, "candidate": "better", "verdict": "better", "low": 0.05, "high": 0.15}
    kinds = verdicts({}, "accept").schema
    table = pa.Table.from_pylist([row, better], schema=kinds)
    assert said(off_policy.gains(table, "accept")).startswith("better would have earned more")
    assert "cannot tell" in said(off_policy.gains(table.slice(0, 1), "accept"))
    assert "'new', 'better' too little" in said(off_policy.overlap(table))
    worse = pa.Table.from_pylist([{**better, "verdict": "worse", "high": -0.1}], schema=kinds)
    assert "all would have earned less" in said(off_policy.gains(worse, "accept"))
    assert "apart" in said(off_policy.estimators(estimates({}, "accept"), "new", 0.3))


def test_drift_of_nothing_and_gaps_of_all_are_told() -> None:
    none = pa.table(
        {
            "column": pa.array(["a"]), "psi": [NAN], "noise": [NAN], "verdict": ["stable"],
            "before": [NAN], "after": [NAN], "without_before": [1.0], "without_after": [1.0],
        }
    )  # fmt: skip
    assert said(features.drift_bars(none)) == "All 1 features are distributed as before"
    times = pa.array([], pa.timestamp("us", "UTC"))
    empty = pa.array([], pa.float64())
    course = pa.table(
        {"at": times, "series": pa.array([], pa.string()), "psi": empty, "noise": empty, "n": empty}
    )
    heard = pa.table({"at": times, "series": pa.array([], pa.string())})
    assert "no change" in said(features.drift_lines(course, heard))
    gaps = [("a", "present", 0.0), ("a", "missing", 1.0), ("a", "expired", 0.0)]
    table = pa.Table.from_pylist([dict(zip(("column", "state", "share"), g)) for g in gaps])  # noqa: B905
    assert said(features.state_bars(table)) == "1 feature lacks a value at times, 1 of them always"
    assert said(customer.candidates([])) == "Nothing could be chosen"


def test_a_candidate_that_is_none_says_why(tmp_path: Any) -> None:
    from nextbest.flows.monitor.candidates import RecordLog

    wrong = {"new": Candidate.of("name: 5", catalog)}
    found = judge(RecordLog(tmp_path).read(), tmp_path, catalog, wrong)
    assert "name" in str(found["new"])
    assert verdicts(found, "accept").num_rows == 0
    assert variants("[]") == {}
