"""Charts of `nextbest.flows.monitor.sampled`."""

from __future__ import annotations

from typing import Any

import altair as alt
import pyarrow as pa
import pyarrow.compute as pc

from ..drifting import DRIFTED, MOVED
from ..newest import Table
from ..sampled import verdict_counts
from .theme import (
    BLUE,
    FAINT,
    GOLD,
    GREY,
    INK,
    MEANINGS,
    ORANGE,
    colours,
    ends,
    named_ends,
    number,
    time_axis,
    titled,
    when,
)

MOST_BARS = 30
"""Features of one chart, at most."""
_ROW = 24


def drift_bars(table: Table) -> Any:
    """Return how far features have moved between two periods; ``table`` is of `drift`."""
    counts = verdict_counts(table)
    rows = table.slice(0, MOST_BARS)
    drifted, moved = counts.get("drifted", 0), counts.get("moved", 0)
    if drifted + moved:
        more = f", {moved} more have moved" if moved else ""
        title = f"{drifted} of {table.num_rows} features have drifted{more}"
    else:
        title = f"All {table.num_rows} features are distributed as before"
    order = rows["column"].to_pylist()
    y = alt.Y("column:N", sort=order, title=None, axis=alt.Axis(labelLimit=220))
    verdicts = alt.Scale(domain=["drifted", "moved", "stable"], range=[ORANGE, GOLD, FAINT])
    x = alt.X("psi:Q", title="population stability index", axis=alt.Axis(tickCount=6))
    bars = (
        alt.Chart(rows).mark_bar(height=13, cornerRadiusEnd=2)
        .encode(
            x=x, y=y,
            color=alt.Color("verdict:N", scale=verdicts, legend=alt.Legend(title=None)),
            tooltip=[
                "column:N", alt.Tooltip("psi:Q", format=".3f"),
                alt.Tooltip("noise:Q", format=".3f"), "verdict:N",
                alt.Tooltip("before:Q", format=".4g", title="mean before"),
                alt.Tooltip("after:Q", format=".4g", title="mean after"),
                alt.Tooltip("without_before:Q", format=".1%", title="without a value before"),
                alt.Tooltip("without_after:Q", format=".1%", title="without a value after"),
            ],
        )
    )  # fmt: skip
    noise = alt.Chart(rows).mark_tick(color=INK, thickness=2, height=15).encode(x="noise:Q", y=y)
    limits = alt.Chart(pa.table({"x": [MOVED, DRIFTED]}))
    lines = limits.mark_rule(color=GREY, strokeDash=[3, 3]).encode(x="x:Q")
    note = "" if table.num_rows <= MOST_BARS else f" The {MOST_BARS} farthest apart are shown."
    return titled(
        alt.layer(bars, noise, lines), title,
        f"Later period against earlier one. Dashed: the customary limits, {MOVED:g} and "
        f"{DRIFTED:g}. Tick: what chance alone stays below in 19 of 20 cases.{note}",
        height=max(60, _ROW * rows.num_rows),
    )  # fmt: skip


def drift_lines(table: Table, detections: Table) -> Any:
    """Return stability over time; the tables are of `drift_course` and `detected`."""
    names = list(dict.fromkeys(table["series"].to_pylist()))
    colour = colours(names)
    last = dict.fromkeys(names, 0.0)
    for row in table.to_pylist():
        last[row["series"]] = row["psi"]
    worst = max(last, key=lambda name: last[name], default="")
    n = detections.num_rows
    heard = f"the detector noticed {n} change{'' if n == 1 else 's'}"
    if not n:
        heard = "the detector noticed no change"
    title = f"{worst} is farthest from before ({number(last[worst])}); {heard}" if worst else heard
    base = alt.Chart(table)
    tips = [when(), alt.Tooltip("series:N"), alt.Tooltip("psi:Q", format=".3f"),
            alt.Tooltip("noise:Q", format=".3f"), alt.Tooltip("n:Q", title="moments")]  # fmt: skip
    y = alt.Y("psi:Q", title="population stability index", scale=alt.Scale(zero=True))
    line = base.mark_line(point=alt.OverlayMarkDef(size=28)).encode(
        x=time_axis(), y=y, color=colour, tooltip=tips
    )
    top = pc.max(table["psi"]).as_py() or 1.0
    layers = [line, named_ends(table, "psi", colour, gap=top * 0.075)]
    limit = alt.Chart(pa.table({"y": [DRIFTED]})).mark_rule(color=GREY, strokeDash=[3, 3])
    if top > DRIFTED / 2:
        layers.append(limit.encode(y="y:Q"))
    if n:
        marks = alt.Chart(detections).mark_rule(strokeWidth=1.4, strokeDash=[5, 3])
        tip = [when(title="noticed (UTC)"), "series:N"]
        layers.append(marks.encode(x="at:T", color=colour, tooltip=tip))
    return titled(
        alt.layer(*layers), title,
        "Each window of time against the earlier period. Vertical: a streaming detector (ADWIN) "
        "noticed that the feature's mean rank has changed.",
    )  # fmt: skip


def state_bars(table: Table) -> Any:
    """Return how often features have a value; ``table`` is of `states`."""
    without: dict[str, float] = {}
    for row in table.to_pylist():
        if row["state"] != "present":
            without[row["column"]] = without.get(row["column"], 0.0) + row["share"]
    worst = sorted(without, key=lambda name: -without[name])[:MOST_BARS]
    rows = table.filter(pc.is_in(table["column"], pa.array(worst, pa.string())))
    gaps = sum(share > 0 for share in without.values())
    title = "Every feature always has a value"
    if gaps and without[worst[0]] == 1.0:
        never = sum(share == 1.0 for share in without.values())
        title = f"{_features(gaps)} a value at times, {never} of them always"
    elif gaps:
        title = f"{_features(gaps)} a value at times, {worst[0]} most: {without[worst[0]]:.1%}"
    names = ["present", "missing", "expired"]
    colour = alt.Color(
        "state:N", legend=alt.Legend(title=None),
        scale=alt.Scale(domain=names, range=[MEANINGS[name] for name in names]),
    )  # fmt: skip
    ranks = pa.array([names.index(name) for name in rows["state"].to_pylist()], pa.int64())
    bars = (
        alt.Chart(rows.append_column("order", ranks)).mark_bar(height=13)
        .encode(
            x=alt.X("share:Q", stack="zero", title="share of moments",
                    axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("column:N", sort=worst, title=None, axis=alt.Axis(labelLimit=220)),
            color=colour, order="order:Q",
            tooltip=["column:N", "state:N", alt.Tooltip("share:Q", format=".2%")],
        )
    )  # fmt: skip
    note = "" if len(without) <= MOST_BARS else f" The {MOST_BARS} most are shown."
    return titled(
        bars, title,
        "Missing: nothing is known yet. Expired: what was known is too old, such as a session "
        f"that is over.{note}",
        height=max(60, _ROW * len(worst)),
    )  # fmt: skip


def distributions(table: Table, column: str, verdict: str) -> Any:
    """Return how a feature is distributed in both periods; ``table`` is of `distribution`."""
    order = list(dict.fromkeys(table["bin"].to_pylist()))
    scale = alt.Scale(domain=["before", "after"], range=[FAINT, BLUE])
    bars = (
        alt.Chart(table).mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X("bin:N", sort=order, title=None,
                    axis=alt.Axis(labelAngle=-30, labelOverlap="greedy", labelLimit=120)),
            xOffset=alt.XOffset("period:N", sort=["before", "after"]),
            y=alt.Y("share:Q", title="share of moments", axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color("period:N", scale=scale, legend=alt.Legend(title=None)),
            tooltip=["period:N", "bin:N", alt.Tooltip("share:Q", format=".2%"), "n:Q"],
        )
    )  # fmt: skip
    return titled(bars, f"{column}: {verdict}", "Share of moments in the earlier and the later "
                  "period.", height=220)  # fmt: skip


def late_lines(table: Table, complete: bool = True) -> Any:
    """Return how far events came behind the log's newest; ``table`` is of `lateness`."""
    n = table["n"].to_numpy()
    late = float(n @ table["late"].to_numpy() / n.sum()) if len(n) else 0.0
    worst = pc.max(table["p99"]).as_py() or 0.0
    title = (
        f"Events come at most {_seconds(worst)} behind the newest (99% of them), "
        f"{late:.2%} too late for their session"
    )
    if not pc.max(table["most"]).as_py():
        title = "Events come in the order of their times: none was behind the newest"
    rows = []
    for row in table.to_pylist():
        rows += [
            {"at": row["at"], "series": name, "seconds": row[name], "n": row["n"]}
            for name in ("p50", "p99")
        ]
    long = pa.Table.from_pylist(rows) if rows else table
    colour = alt.Color(
        "series:N", legend=None, scale=alt.Scale(domain=["p50", "p99"], range=[BLUE, ORANGE])
    )
    scale = alt.Scale(zero=True) if worst else alt.Scale(domain=[0, 1])
    line = alt.Chart(long).mark_line(point=alt.OverlayMarkDef(size=28)).encode(
        x=time_axis(), y=alt.Y("seconds:Q", title="seconds behind", scale=scale),
        color=colour,
        tooltip=[when(), "series:N", alt.Tooltip("seconds:Q", format=",.3f"),
                 alt.Tooltip("n:Q", title="events", format=",")],
    )  # fmt: skip
    names = alt.Chart(ends(long, "seconds", gap=0.08 * (worst or 1.0))).mark_text(
        align="left", dx=7, fontWeight=600
    )
    text = names.encode(x="at:T", y="label_at:Q", text="series:N", color=colour)
    note = "" if complete else " The newest events only."
    return titled(
        alt.layer(line, text), title,
        "Median and 99th percentile of how much older an event was, when it came, than the newest "
        f"one of its partition.{note}",
    )  # fmt: skip


def _features(n: int) -> str:
    return "1 feature lacks" if n == 1 else f"{n} features lack"


def _seconds(value: float) -> str:
    for limit, size, unit in ((1, 0.001, "ms"), (120, 1, "s"), (7200, 60, "min")):
        if value < limit:
            return f"{value / size:.3g} {unit}"
    return f"{value / 3600:.3g} h"
