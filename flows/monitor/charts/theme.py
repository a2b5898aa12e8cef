"""The look of all charts, and the parts that they are put together from."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import altair as alt
import pyarrow as pa

from ..newest import Table

INK, MUTED, FAINT, GRID = "#1f2933", "#52606d", "#9aa5b1", "#e4e7eb"
BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
GOLD, SKY, VIOLET, GREY = "#c98a00", "#56b4e9", "#6a4c93", "#7b8794"
PALETTE = (BLUE, ORANGE, GREEN, PINK, GOLD, SKY, VIOLET, "#4b5320")
"""After Okabe and Ito (2008), "Color universal design", darkened where it is read as text."""
MEANINGS = {
    "learned": BLUE, "best": BLUE, "control": GREY, "fallback": GOLD, "explored": SKY,
    "(others)": FAINT, "(none)": FAINT, "not known": FAINT,
    "present": BLUE, "missing": FAINT, "expired": GOLD,
}  # fmt: skip
"""What always has the same colour."""
HEIGHT = 260
"""Pixels of a chart."""
_FONT = "Inter, system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_WRAP = 92
"""Characters of a line of a title, at most."""


@alt.theme.register("nextbest", enable=True)
def theme() -> alt.theme.ThemeConfig:
    """Return the theme; importing this module makes it Altair's."""
    quiet = {
        "labelColor": MUTED, "titleColor": MUTED, "labelFontSize": 12, "titleFontSize": 12,
        "titleFontWeight": "normal", "domainColor": FAINT, "tickColor": FAINT,
    }  # fmt: skip
    look: Any = {
        "config": {
            "background": "#ffffff",
            "font": _FONT,
            "padding": {"left": 4, "right": 12, "top": 8, "bottom": 6},
            "view": {"stroke": None, "continuousHeight": HEIGHT},
            "title": {
                "anchor": "start", "frame": "group", "color": INK, "fontSize": 16,
                "fontWeight": 600, "subtitleColor": MUTED, "subtitleFontSize": 12.5,
                "subtitlePadding": 5, "offset": 14, "subtitleLineHeight": 17, "lineHeight": 20,
            },
            "axis": {**quiet, "gridColor": GRID, "titlePadding": 8, "labelPadding": 5},
            "axisX": {"grid": False},
            "axisY": {"domain": False, "ticks": False},
            "legend": {"labelColor": INK, "labelFontSize": 12, "title": None, "orient": "top",
                       "direction": "horizontal", "symbolType": "circle", "offset": 6},
            "range": {"category": list(PALETTE)},
            "line": {"strokeWidth": 2.2, "strokeJoin": "round"},
            "text": {"fontSize": 12, "font": _FONT},
        }
    }  # fmt: skip
    found: alt.theme.ThemeConfig = look
    return found


def titled(chart: Any, title: str, *subtitle: str, height: int = HEIGHT) -> Any:
    """Return a chart with its finding above it, as wide as its page.

    Parameters
    ----------
    chart
        A layer or a single view.
    title
        What was found.
    subtitle
        How to read it, a line each; long ones are broken.
    height
        Pixels.
    """
    lines = [line for text in subtitle for line in _wrapped(text)]
    return chart.properties(
        title=alt.TitleParams(
            _wrapped(title, _WRAP - 16),
            **({"subtitle": lines} if lines else {}),  # type: ignore[arg-type]  # as it says
        ),
        width="container", height=height,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )  # fmt: skip


def heading(chart: Any) -> str:
    """Return a chart's title and subtitle as HTML, which a narrow page can break anywhere.

    Examples
    --------
    >>> chart = titled(alt.Chart().mark_point(), "3 < 4", "As counted.")
    >>> "3 &lt; 4" in heading(chart), "As counted." in heading(chart)
    (True, True)
    """
    title = chart.title if isinstance(chart.title, alt.TitleParams) else alt.TitleParams("")
    said, notes = (_joined(text) for text in (title.text, title.subtitle))
    return (
        f'<div style="font-family: {_FONT}; margin: 1.6rem 0 .3rem; line-height: 1.35">'
        f'<div style="font-weight: 600; font-size: 1.06rem">{escape(said)}</div>'
        f'<div style="font-size: .82rem; opacity: .72; margin-top: .2rem">{escape(notes)}</div>'
        "</div>"
    )


def untitled(chart: Any) -> Any:
    """Return a chart without its title: what stands below `heading`."""
    bare = chart.copy(deep=False)
    bare.title = alt.Undefined
    return bare


def _joined(text: Any) -> str:
    return " ".join(text) if isinstance(text, list) else "" if text is alt.Undefined else str(text)


def colours(names: Sequence[str], series: str = "series", *, legend: bool = False) -> alt.Color:
    """Return the colours of series: those with a meaning have their own."""
    free = [colour for colour in PALETTE if colour not in {MEANINGS.get(name) for name in names}]
    chosen, next_ = [], 0
    for name in names:
        if name in MEANINGS:
            chosen.append(MEANINGS[name])
        else:
            chosen.append(free[next_ % len(free)] if free else GREY)
            next_ += 1
    scale = alt.Scale(domain=list(names), range=chosen)
    shown = alt.Legend(title=None, columns=3, labelLimit=110) if legend else None
    return alt.Color(f"{series}:N", scale=scale, legend=shown)


def time_axis(name: str = "at", title: str | None = None, **more: Any) -> alt.X:
    """Return an axis of times, UTC."""
    axis = alt.Axis(title=title, labelOverlap="greedy", tickCount=6)
    return alt.X(f"{name}:T", scale=alt.Scale(type="utc", **more), axis=axis)


def when(name: str = "at", title: str = "time (UTC)") -> alt.Tooltip:
    """Return a tooltip's time."""
    return alt.Tooltip(f"{name}:T", title=title, timeUnit="utcyearmonthdatehoursminutesseconds")


def ends(table: Table, value: str, *, series: str = "series", gap: float = 0.0) -> Table:
    """Return each series' last row, with ``label_at``: heights at which labels do not overlap.

    Parameters
    ----------
    table
        With ``at``, the series and the value.
    value, series
        Columns.
    gap
        The least distance of two labels.

    Examples
    --------
    >>> table = pa.table({"at": [1, 2, 2], "series": ["a", "a", "b"], "mean": [0.0, 0.5, 0.5]})
    >>> ends(table, "mean", gap=0.1)["label_at"].to_pylist()
    [0.45, 0.55]
    """
    rows = {row[series]: row for row in table.to_pylist() if row[value] is not None}
    last = sorted(rows.values(), key=lambda row: row[value])
    heights: list[float] = []
    for row in last:
        heights.append(max(row[value], heights[-1] + gap) if heights else row[value])
    if heights:
        above = (heights[-1] - last[-1][value]) / 2
        heights = [height - above for height in heights]
    for row, height in zip(last, heights, strict=True):
        row["label_at"] = height
    found = pa.Table.from_pylist(last) if last else table.slice(0, 0)
    return found if last else found.append_column("label_at", pa.array([], pa.float64()))


def named_ends(
    table: Table, value: str, colour: alt.Color, *, gap: float, series: str = "series"
) -> Any:
    """Return the names of lines, to the right of where they end."""
    return (
        alt.Chart(ends(table, value, series=series, gap=gap))
        .mark_text(align="left", dx=7, fontWeight=600, clip=False)
        .encode(x="at:T", y=alt.Y("label_at:Q"), text=f"{series}:N", color=colour)
    )


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as a title says it.

    Examples
    --------
    >>> number(0.12345), number(12345.6), number(None), number(float("nan"))
    ('0.123', '12,346', '-', '-')
    """
    if value is None or value != value:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def _wrapped(text: str, width: int = _WRAP) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line] if line else lines
