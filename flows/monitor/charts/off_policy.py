"""Charts of `nextbest.flows.monitor.candidates`."""

from __future__ import annotations

from typing import Any

import altair as alt
import pyarrow as pa

from ..newest import Table
from .theme import BLUE, FAINT, GREEN, GREY, INK, ORANGE, number, titled

_ROW = 34
_VERDICTS = ["better", "worse", "cannot tell"]


def gains(table: Table, objective: str) -> Any:
    """Return what candidates gain over the log, with intervals; ``table`` is of `verdicts`."""
    rows = table.sort_by([("gain", "descending")])
    order = rows["candidate"].to_pylist()
    low, high = _ends(rows)
    drawn = rows.append_column("from", pa.array(low)).append_column("until", pa.array(high))
    y = alt.Y("candidate:N", sort=order, title=None, axis=alt.Axis(labelLimit=200))
    colour = alt.Color(
        "verdict:N", legend=alt.Legend(title=None),
        scale=alt.Scale(domain=_VERDICTS, range=[GREEN, ORANGE, GREY]),
    )  # fmt: skip
    tips = [
        "candidate:N", "verdict:N", alt.Tooltip("logged:Q", format=".4f", title="the log earned"),
        alt.Tooltip("value:Q", format=".4f", title="this would"),
        alt.Tooltip("gain:Q", format="+.4f"), alt.Tooltip("low:Q", format="+.4f"),
        alt.Tooltip("high:Q", format="+.4f"),
    ]  # fmt: skip
    base = alt.Chart(drawn)
    x = alt.X("gain:Q", title="gain over the log, a decision", axis=alt.Axis(tickCount=6))
    bar = base.mark_rule(strokeWidth=7, opacity=0.3).encode(
        x="from:Q", x2="until:Q", y=y, color=colour, tooltip=tips
    )
    dot = base.mark_circle(size=95, opacity=1).encode(x=x, y=y, color=colour, tooltip=tips)
    zero = alt.Chart(pa.table({"x": [0.0]})).mark_rule(color=INK, strokeWidth=1.2).encode(x="x:Q")
    return titled(
        alt.layer(zero, bar, dot), _finding(rows.to_pylist(), objective),
        f"Gain in {objective} over the policy that made the log, with 95% intervals that hold at "
        "any time one looks. Line: the log itself.",
        height=max(80, _ROW * rows.num_rows),
    )  # fmt: skip


def overlap(table: Table, least: float = 100.0) -> Any:
    """Return how many decisions of its own the log is worth to each candidate.

    Parameters
    ----------
    table
        Of `verdicts`.
    least
        What a verdict needs, `Rules.min_effective`.
    """
    rows = table.sort_by([("effective", "descending")])
    few = [row["candidate"] for row in rows.to_pylist() if row["effective"] < least]
    title = f"The log covers every candidate: it is worth {least:g} decisions of each or more"
    if few:
        title = f"The log covers {', '.join(map(repr, few[:3]))} too little for a verdict"
    y = alt.Y("candidate:N", sort=rows["candidate"].to_pylist(), title=None,
              axis=alt.Axis(labelLimit=200))  # fmt: skip
    x = alt.X("n:Q", title="decisions", axis=alt.Axis(tickCount=6))
    base = alt.Chart(rows)
    whole = base.mark_bar(height=16, color="#e9edf1").encode(x=x, y=y)
    tips = [
        "candidate:N", alt.Tooltip("effective:Q", format=",.0f", title="effective sample size"),
        alt.Tooltip("n:Q", format=",", title="decisions judged"),
        alt.Tooltip("mean_weight:Q", format=".3f"),
        alt.Tooltip("largest:Q", format=".3g", title="largest weight"),
        alt.Tooltip("unsupported:Q", format=".2%", title="never possible in the log"),
    ]  # fmt: skip
    own = base.mark_bar(height=16, color=BLUE, cornerRadiusEnd=2).encode(
        x="effective:Q", y=y, tooltip=tips
    )
    rule = alt.Chart(pa.table({"x": [least]})).mark_rule(color=ORANGE, strokeDash=[4, 3])
    return titled(
        alt.layer(whole, own, rule.encode(x="x:Q")), title,
        "Blue: effective sample size. Pale: decisions that were judged. Dashed: what a verdict "
        "needs.",
        height=max(80, _ROW * rows.num_rows),
    )  # fmt: skip


def estimators(table: Table, candidate: str, logged: float) -> Any:
    """Return what each estimator says of a candidate.

    Parameters
    ----------
    table
        Of `estimates`.
    candidate
        Which.
    logged
        What the log earned.
    """
    rows = [row for row in table.to_pylist() if row["candidate"] == candidate]
    values = [row["value"] for row in rows]
    spread = max(values) - min(values) if values else 0.0
    own = pa.Table.from_pylist(rows, schema=table.schema)
    y = alt.Y("estimator:N", sort=None, title=None)
    base = alt.Chart(own)
    tips = ["estimator:N", alt.Tooltip("value:Q", format=".4f"),
            alt.Tooltip("low:Q", format=".4f"), alt.Tooltip("high:Q", format=".4f")]  # fmt: skip
    bar = base.mark_rule(strokeWidth=6, color=BLUE, opacity=0.25).encode(
        x="low:Q", x2="high:Q", y=y
    )
    x = alt.X("value:Q", title="a decision", scale=alt.Scale(zero=False),
              axis=alt.Axis(tickCount=6))  # fmt: skip
    dot = base.mark_circle(size=85, color=BLUE, opacity=1).encode(x=x, y=y, tooltip=tips)
    line = alt.Chart(pa.table({"x": [logged]})).mark_rule(color=FAINT, strokeWidth=1.5)
    return titled(
        alt.layer(line.encode(x="x:Q"), bar, dot),
        f"{candidate}: estimators are {number(spread)} apart",
        "Value of a decision by each estimator, plus and minus two standard errors. If they "
        "disagree, trust none. Line: the log itself.",
        height=max(80, 28 * len(rows)),
    )  # fmt: skip


def _finding(rows: list[dict[str, Any]], objective: str) -> str:
    better = [row for row in rows if row["verdict"] == "better"]
    worse = [row for row in rows if row["verdict"] == "worse"]
    if better:
        best = better[0]
        return (
            f"{best['candidate']} would have earned more: {best['gain']:+.3g} of {objective} a "
            f"decision ({_end(best['low'])} to {_end(best['high'])})"
        )
    if len(worse) == len(rows) and rows:
        return "No candidate would have earned more: all would have earned less"
    if worse:
        return f"No candidate is surely better; {len(worse)} would have earned less"
    return "The log cannot tell whether any candidate is better"


def _ends(rows: Table) -> tuple[list[float], list[float]]:
    """Return ends that can be drawn: what has none goes as far as anything else."""
    known = [
        row[name] for row in rows.to_pylist() for name in ("low", "high", "gain")
        if row[name] is not None
    ]  # fmt: skip
    least, most = (min(known), max(known)) if known else (0.0, 0.0)
    low = [least if value is None else value for value in rows["low"].to_pylist()]
    high = [most if value is None else value for value in rows["high"].to_pylist()]
    return low, high


def _end(value: float | None) -> str:
    return "no end" if value is None else f"{value:+.3g}"
