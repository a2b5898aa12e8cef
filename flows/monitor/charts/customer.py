"""Charts of `nextbest.flows.monitor.person`."""

from __future__ import annotations

from typing import Any

import altair as alt
import pyarrow as pa
import pyarrow.compute as pc

from ..newest import Table
from ..person import History, Person
from ..windows import moments
from .theme import BLUE, GREEN, INK, MUTED, ORANGE, number, time_axis, titled, when

_ROW, _HEIGHT = 30, 110
MOST_MARKS = 3000
"""Marks of a time line, at most: the newest."""


def time_line(person: Person, customer: str, at: int | None = None) -> Any:
    """Return events, decisions and outcomes of a customer on one line of time.

    Parameters
    ----------
    person
        What is archived of them.
    customer
        Their id.
    at
        The moment that is looked at, microseconds: a vertical line.
    """
    marks = _marks(person)
    order = list(dict.fromkeys(row for row, _ in sorted(
        zip(marks["row"].to_pylist(), marks["rank"].to_pylist(), strict=True), key=lambda x: x[1]
    )))  # fmt: skip
    kinds = ["event", "late event", "decision", "outcome"]
    colour = alt.Color(
        "kind:N", legend=alt.Legend(title=None, columns=3),
        scale=alt.Scale(domain=kinds, range=[MUTED, ORANGE, BLUE, GREEN]),
    )  # fmt: skip
    shape = alt.Shape(
        "kind:N", legend=None,
        scale=alt.Scale(domain=kinds, range=["circle", "circle", "diamond", "triangle-up"]),
    )  # fmt: skip
    points = (
        alt.Chart(marks).mark_point(filled=True, size=70, opacity=0.75)
        .encode(
            x=time_axis(), y=alt.Y("row:N", sort=order, title=None, axis=alt.Axis(grid=True)),
            color=colour, shape=shape,
            tooltip=[when(), alt.Tooltip("row:N", title="what"), "kind:N", "channel:N", "said:N"],
        )
    )  # fmt: skip
    layers = [points, *_moment(at)]
    events, decided = person.events.num_rows, len(person.decided)
    said = f"{customer}: {events:,} events, {decided:,} decisions, {_answers(person)}"
    notes = ["Each mark is an event, a decision (what was offered first) or an outcome."]
    if not person.complete:
        notes.append(f"The newest {events:,} events; the archive has more.")
    if events + decided > MOST_MARKS:
        notes.append(f"The newest {MOST_MARKS:,} are drawn.")
    return titled(alt.layer(*layers), said, " ".join(notes), height=max(90, _ROW * len(order)))


def feature_course(history: History, column: str, at: int | None = None) -> Any:
    """Return a feature of a customer over time, and its value at a moment.

    Parameters
    ----------
    history
        See `History`.
    column
        Which, a number.
    at
        The moment that is looked at, microseconds.
    """
    table = history.course(column)
    known = table.append_column("moment", moments(table["at"].to_numpy())).drop_columns(["at"])
    line = (
        alt.Chart(known).mark_line(interpolate="step-after", color=BLUE)
        .encode(
            x=time_axis("moment"), y=alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=3)),
            tooltip=[when("moment"), alt.Tooltip("value:Q", format=".5g"), "state:N"],
        )
    )  # fmt: skip
    title = column
    if at is not None:
        row = table.slice(history.place(at), 1).to_pylist()[0]
        said = number(row["value"], 4) if row["state"] == "present" else row["state"]
        title = f"{column}: {said}"
    return titled(alt.layer(line, *_moment(at, "moment")), title, height=_HEIGHT)


def candidates(rows: list[dict[str, Any]]) -> Any:
    """Return the scores of the actions of a decision.

    Parameters
    ----------
    rows
        ``action``, ``score``, ``offered`` (bool) of each that could be chosen.
    """
    best = sorted(rows, key=lambda row: -row["score"])[:20]
    chosen = next((row["action"] for row in best if row["offered"]), None)
    title = "Nothing could be chosen"
    if best:
        title = f"{best[0]['action']} had the highest score"
        if chosen is not None and chosen != best[0]["action"]:
            title = f"{chosen} was drawn, though {best[0]['action']} had the highest score"
    table = pa.Table.from_pylist(best) if best else pa.table({"action": [], "score": []})
    bars = (
        alt.Chart(table).mark_bar(height=14, cornerRadiusEnd=2)
        .encode(
            x=alt.X("score:Q", axis=alt.Axis(tickCount=5)),
            y=alt.Y("action:N", sort=[row["action"] for row in best], title=None),
            color=alt.condition("datum.offered", alt.value(BLUE), alt.value("#c3ccd5")),
            tooltip=["action:N", alt.Tooltip("score:Q", format=".4f"), "offered:N"],
        )
    )  # fmt: skip
    return titled(bars, title, "Scores of the actions that could be chosen; blue: offered.",
                  height=max(60, 24 * len(best)))  # fmt: skip


def _marks(person: Person) -> Table:
    events, decided, outcomes = person.events, person.decided.table, person.outcomes
    late = events["late"].to_pylist()
    parts = [
        pa.table(
            {
                "at": moments(events["at"].to_numpy()), "row": events["type"].cast(pa.string()),
                "rank": pa.array([0] * events.num_rows, pa.int64()),
                "kind": pa.array(["late event" if x else "event" for x in late], pa.string()),
                "channel": events["channel"].cast(pa.string()),
                "said": events["properties"].cast(pa.string()),
            }
        ),
        pa.table(
            {
                "at": moments(decided["at"].to_numpy()),
                "row": pa.array([f"\N{RIGHTWARDS ARROW} {a}" for a in decided["arm"].to_pylist()],
                                pa.string()),
                "rank": pa.array([1] * decided.num_rows, pa.int64()),
                "kind": pa.array(["decision"] * decided.num_rows, pa.string()),
                "channel": decided["channel"].cast(pa.string()),
                "said": pa.array([f"{p:.3f}" for p in decided["propensity"].to_pylist()],
                                 pa.string()),
            }
        ),
        pa.table(
            {
                "at": moments(outcomes["at"].to_numpy()),
                "row": outcomes["response"],
                "rank": pa.array([2] * outcomes.num_rows, pa.int64()),
                "kind": pa.array(["outcome"] * outcomes.num_rows, pa.string()),
                "channel": pa.nulls(outcomes.num_rows, pa.string()),
                "said": outcomes["arm"],
            }
        ),
    ]  # fmt: skip
    table = pa.concat_tables(parts, promote_options="permissive")
    newest: Any = pc.sort_indices(table, [("at", "descending")])
    return table.take(newest.slice(0, MOST_MARKS))


def _answers(person: Person) -> str:
    n = person.outcomes.num_rows
    return f"{n:,} outcome{'' if n == 1 else 's'}"


def _moment(at: int | None, name: str = "at") -> list[Any]:
    if at is None:
        return []
    table = pa.table({name: moments([at])})
    return [alt.Chart(table).mark_rule(color=INK, strokeWidth=1.2).encode(x=f"{name}:T")]
