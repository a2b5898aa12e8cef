"""Charts of `nextbest.flows.monitor.learning`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..learning import OTHERS, Gap, calibration_error
from ..newest import Table
from ..windows import moments
from .theme import (
    BLUE,
    FAINT,
    GREY,
    ORANGE,
    colours,
    named_ends,
    number,
    time_axis,
    titled,
    when,
)

_ROW, _LONGEST = 26, 22


def learning_curve(
    table: Table, gap: Gap | None, objective: str, window: str, alarms: Sequence[int] = ()
) -> Any:
    """Return mean rewards over time, the learned policy's against the control group's.

    Parameters
    ----------
    table
        Of `course`, by group.
    gap
        Of `gap`.
    objective
        Its name.
    window
        How long a window is, in words.
    alarms
        Of `alarms`: drawn as vertical lines.
    """
    layers = _lines(table, "mean", f"{objective}: mean reward")
    if alarms:
        marks = pa.table({"at": moments(list(alarms))})
        rule = alt.Chart(marks).mark_rule(color=ORANGE, strokeDash=[4, 3], strokeWidth=1.5)
        layers.append(rule.encode(x="at:T", tooltip=[when(title="reward dropped (UTC)")]))
    notes = [f"Mean reward of the decisions of each {window}, with 95% intervals by customer."]
    if alarms:
        notes.append(
            f"Dashed: {len(alarms)} alarm{'s' * (len(alarms) > 1)} that rewards fell below what "
            "the model foretold."
        )
    title = _gain(gap, objective) if gap is not None else _change(table, objective)
    return titled(alt.layer(*layers), title, *notes)


def progressive_loss(table: Table, objective: str) -> Any:
    """Return the log loss of all forecasts so far; ``table`` is of a cumulative `course`."""
    last = {row["series"]: row for row in table.to_pylist() if row["logloss"] is not None}
    row = last.get("learned") or next(iter(last.values()), None)
    title = f"{objective}: log loss"
    if row is not None:
        base = _entropy(row["mean"])
        says = "below" if row["logloss"] < base else "not below"
        title = (
            f"Forecasts of {objective} cost {number(row['logloss'])} nats each, {says} the "
            f"{number(base)} of always saying {row['mean']:.1%}"
        )
    table = table.filter(pc.is_valid(table["logloss"]))
    layers = _lines(table, "logloss", "log loss, nats", band=False, zero=False)
    return titled(
        alt.layer(*layers), title,
        "Progressive: each forecast was made before its outcome was learned. Lower is better; "
        "each point is the mean of all decisions until then.",
    )  # fmt: skip


def progressive_reward(table: Table, objective: str, by: str) -> Any:
    """Return the mean reward of all decisions so far, a line for each value of a column.

    Parameters
    ----------
    table
        Of a cumulative `course` by that column.
    objective
        Its name.
    by
        The column.
    """
    last = {row["series"]: row["mean"] for row in table.to_pylist() if row["series"] != OTHERS}
    name = max(last, key=lambda one: last[one], default=None)
    title = f"{objective} by {by.removeprefix('input.')}, so far"
    if name is not None:
        among = (
            f"Of the {len(last)} most frequent, " if OTHERS in table["series"].to_pylist() else ""
        )
        title = f"{among}{_short(name)} has earned most so far: {number(last[name])} a decision"
    return titled(
        alt.layer(*_lines(table, "mean", f"{objective}: mean reward so far", band=False)), title,
        f"Progressive mean reward by {by.removeprefix('input.')}: each point is the mean of all "
        "decisions until then.",
    )  # fmt: skip


def reward_by(table: Table, objective: str, by: str) -> Any:
    """Return mean rewards by the values of a column; ``table`` is of `by_value`."""
    name = by.removeprefix("input.")
    rows = table.sort_by([("mean", "descending")])
    order = [f"{_short(row['value'])} ({row['n']:,})" for row in rows.to_pylist()]
    rows = rows.append_column("said", pa.array(order, pa.string()))
    y = alt.Y("said:N", sort=order, title=None, axis=alt.Axis(labelLimit=180))
    x = alt.X(
        "mean:Q",
        title=f"{objective}: mean reward",
        scale=alt.Scale(zero=True),
        axis=alt.Axis(tickCount=6),
    )
    base = alt.Chart(rows).encode(y=y)
    tips = [
        alt.Tooltip("value:N", title=name), alt.Tooltip("n:Q", title="decisions", format=","),
        alt.Tooltip("customers:Q", format=","), alt.Tooltip("mean:Q", format=".4f"),
        alt.Tooltip("low:Q", format=".4f"), alt.Tooltip("high:Q", format=".4f"),
        alt.Tooltip("foretold:Q", format=".4f"), alt.Tooltip("logloss:Q", format=".4f"),
    ]  # fmt: skip
    bar = base.mark_rule(strokeWidth=6, color=BLUE, opacity=0.25).encode(x="low:Q", x2="high:Q")
    dot = base.mark_circle(size=80, color=BLUE, opacity=1).encode(x=x, tooltip=tips)
    tick = base.mark_tick(color=ORANGE, thickness=2.5, height=14).encode(x="foretold:Q")
    named = [row for row in rows.to_pylist() if row["value"] != OTHERS]
    title = f"{objective} by {name}"
    if len(named) > 1:
        best, worst = named[0], named[-1]
        title = (
            f"{_short(best['value'])} earns most: {number(best['mean'])} a decision, "
            f"{_short(worst['value'])} least: {number(worst['mean'])}"
        )
    return titled(
        alt.layer(bar, dot, tick), title,
        f"Mean reward by {name} with 95% intervals by customer. Orange: what was foretold. "
        "In brackets: decisions.",
        height=max(60, _ROW * rows.num_rows),
    )  # fmt: skip


def reliability_curve(table: Table, objective: str, control: Table | None = None) -> Any:
    """Return how often happened what was foretold.

    Parameters
    ----------
    table
        Of `calibration`.
    objective
        Its name.
    control
        Of `calibration` too, of the control group alone; None: there is none.
    """
    error, n = calibration_error(table), float(np.sum(table["n"].to_numpy()))
    ends_ = [pc.max(table[name]).as_py() or 0.0 for name in ("foretold", "high")]
    if control is not None and control.num_rows > 1:
        ends_ += [pc.max(control[name]).as_py() or 0.0 for name in ("foretold", "observed")]
    top = float(max(ends_))
    top = min(1.0, max(0.05, top * 1.05))
    line = alt.Chart(pa.table({"p": [0.0, top], "q": [0.0, top]}))
    scale = alt.Scale(domain=[0.0, top], nice=False)
    ideal = line.mark_line(color=FAINT, strokeDash=[4, 4], strokeWidth=1.5).encode(
        x=alt.X("p:Q", scale=scale, title="foretold", axis=alt.Axis(format=".0%", tickCount=6)),
        y=alt.Y("q:Q", scale=scale, title="happened", axis=alt.Axis(format=".0%", tickCount=6)),
    )
    base = alt.Chart(table).encode(x="foretold:Q")
    bar = base.mark_rule(color=BLUE, strokeWidth=5, opacity=0.25).encode(y="low:Q", y2="high:Q")
    dot = base.mark_line(
        color=BLUE, point=alt.OverlayMarkDef(filled=True, size=60, color=BLUE)
    ).encode(
        y="observed:Q",
        tooltip=[
            alt.Tooltip("n:Q", title="decisions", format=",.0f"),
            alt.Tooltip("from:Q", format=".3f"), alt.Tooltip("to:Q", format=".3f"),
            alt.Tooltip("foretold:Q", format=".4f"), alt.Tooltip("observed:Q", format=".4f"),
            alt.Tooltip("low:Q", format=".4f"), alt.Tooltip("high:Q", format=".4f"),
        ],
    )  # fmt: skip
    layers = [ideal, bar, dot]
    note = ""
    if control is not None and control.num_rows > 1:
        lot = alt.Chart(control).mark_line(color=GREY, strokeWidth=1.6, point=alt.OverlayMarkDef(
            filled=True, size=30, color=GREY))  # fmt: skip
        tips = [alt.Tooltip(f"{name}:Q", format=".4f") for name in ("foretold", "observed")]
        layers.insert(1, lot.encode(x="foretold:Q", y="observed:Q", tooltip=tips))
        note = " Grey: the control group alone, which nobody chose by forecast."
    mean = _weighted(table, "foretold"), _weighted(table, "observed")
    word = "too much" if mean[0] > mean[1] else "too little"
    return titled(
        alt.layer(*layers),
        f"Forecasts of {objective} are {error:.1%} off on average, {word} in sum: "
        f"{mean[0]:.1%} foretold, {mean[1]:.1%} happened",
        f"{n:,.0f} decisions in bins of equal size with 95% intervals. On the dashed line, what "
        f"is foretold happens as often as foretold.{note}",
        height=300,
    )  # fmt: skip


def exploration_shares(table: Table) -> Any:
    """Return how decisions were chosen over time; ``table`` is of `exploration`."""
    shares = _totals(table)
    explored = shares.get("explored", 0.0) / max(1e-12, shares.get("explored", 0.0) + (
        shares.get("best", 0.0)
    ))  # fmt: skip
    title = f"The learned policy explores: {explored:.1%} of its choices were not its best"
    if "best" not in shares:
        title = "Whether the best was chosen is not known of these decisions"
    return _stacked(
        table, title,
        "Share of decisions by how they were chosen: the highest score, something else that was "
        "drawn to learn more, the control group's lot, or the fallback.",
    )  # fmt: skip


def choice_shares(table: Table) -> Any:
    """Return what the learned policy offered over time; ``table`` is of `choices`."""
    shares = _totals(table)
    named = {one: share for one, share in shares.items() if one != OTHERS}
    name = max(named, key=lambda one: named[one], default=None)
    title = "The learned policy has offered nothing yet"
    if name is not None:
        title = (
            f"{_short(name)} is offered most: {shares[name]:.0%} of the learned policy's decisions"
        )
    return _stacked(table, title, "Share of the learned policy's decisions by what was offered.")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _totals(table: Table) -> dict[str, float]:
    counts: dict[str, float] = {}
    for name, n in zip(table["kind"].to_pylist(), table["n"].to_pylist(), strict=True):
        counts[name] = counts.get(name, 0.0) + n
    total = sum(counts.values()) or 1.0
    return {name: n / total for name, n in counts.items()}


def _stacked(table: Table, title: str, *subtitle: str) -> Any:
    names = list(dict.fromkeys(table["kind"].to_pylist()))
    colour = colours(names, "kind", legend=True)
    ranks = {name: place for place, name in enumerate(names)}
    order = pa.array([ranks[name] for name in table["kind"].to_pylist()], pa.int64())
    share = alt.Y(
        "share:Q", stack="zero", scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%", title="share of decisions"),
    )  # fmt: skip
    area = alt.Chart(table.append_column("order", order)).encode(
        x=time_axis(), y=share, color=colour, order="order:Q",
        tooltip=[when(), alt.Tooltip("kind:N", title="chosen"),
                 alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("n:Q", title="decisions")],
    )  # fmt: skip
    few = len(set(table["at"].to_pylist())) < 2
    drawn = area.mark_bar(size=40) if few else area.mark_area(opacity=0.9, line=False)
    return titled(drawn, title, *subtitle, height=220)


def _lines(
    table: Table, value: str, title: str, *, band: bool = True, zero: bool = True
) -> list[Any]:
    names = list(dict.fromkeys(table["series"].to_pylist()))
    colour = colours(names)
    x = time_axis()
    y = alt.Y(f"{value}:Q", title=title, scale=alt.Scale(zero=zero))
    base = alt.Chart(table)
    layers: list[Any] = []
    if band:
        layers.append(
            base.mark_area(opacity=0.14).encode(x=x, y="low:Q", y2="high:Q", color=colour)
        )
    tips = [
        when(), alt.Tooltip("series:N"), alt.Tooltip("n:Q", title="decisions", format=","),
        alt.Tooltip(f"{value}:Q", format=".4f"), alt.Tooltip("low:Q", format=".4f"),
        alt.Tooltip("high:Q", format=".4f"),
    ]  # fmt: skip
    dots = alt.OverlayMarkDef(filled=True, size=28)
    layers.append(base.mark_line(point=dots).encode(x=x, y=y, color=colour, tooltip=tips))
    highs = pc.max(table["high" if band else value]).as_py() or 0.0
    lows = 0.0 if zero else pc.min(table[value]).as_py() or 0.0
    layers.append(named_ends(table, value, colour, gap=max(1e-9, (highs - lows) * 0.07)))
    return layers


def _change(table: Table, objective: str) -> str:
    rows = table.to_pylist()
    own = [row for row in rows if row["series"] == rows[0]["series"]]
    if own and not any(row["mean"] for row in own):
        n = sum(row["n"] for row in own)
        return f"{objective}: no outcomes of {n:,} decisions, and no control group to compare with"
    if len(own) < 2:
        return f"{objective}: mean reward {number(own[0]['mean'] if own else None)}"
    first, last = own[0], own[-1]
    word = "went from"
    if last["low"] is not None and last["low"] > first["mean"]:
        word = "rose from"
    elif last["high"] is not None and last["high"] < first["mean"]:
        word = "fell from"
    return (
        f"{objective} {word} {number(first['mean'])} to {number(last['mean'])} a decision; "
        "there is no control group to compare with"
    )


def _gain(gap: Gap, objective: str) -> str:
    gain, learned, control = gap.gain, gap.learned.value, gap.control.value
    if gain.low != gain.low:
        return (
            f"{objective}: learned {number(learned)} a decision, control {number(control)}; "
            "too few customers to say how sure that is"
        )
    sides = f"{number(learned)} a decision by {objective}, the control group {number(control)}: "
    range_ = f"({gain.low:+.3g} to {gain.high:+.3g})"
    if gain.low <= 0.0 <= gain.high:
        return f"The learned policy earns {sides}no clear difference {range_}"
    word = "a gain" if gain.value > 0 else "a loss"
    return f"The learned policy earns {sides}{word} of {gain.value:+.3g} {range_}"


def _entropy(p: float) -> float:
    p = min(max(p, 1e-12), 1.0 - 1e-12)
    return float(-(p * np.log(p) + (1.0 - p) * np.log1p(-p)))


def _weighted(table: Table, name: str) -> float:
    n = table["n"].to_numpy()
    return float(n @ table[name].to_numpy() / n.sum()) if len(n) else float("nan")
