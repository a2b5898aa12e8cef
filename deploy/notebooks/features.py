"""What features are like: `marimo run deploy/notebooks/features.py -- --data-dir DIR`."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="nextbest: features")


@app.cell
def _():
    import sys

    import marimo as mo

    from nextbest.features.errors import NextbestError
    from nextbest.flows.monitor import opened, sampled, skew
    from nextbest.flows.monitor.arguments import arguments_of
    from nextbest.flows.monitor.charts import features as charts
    from nextbest.flows.monitor.charts import theme

    def show(chart):
        return mo.vstack([mo.Html(theme.heading(chart)), theme.untitled(chart)], gap=0)

    return NextbestError, arguments_of, charts, mo, opened, sampled, show, skew, sys


@app.cell
def _(arguments_of, sys):
    arguments = arguments_of(sys.argv)
    return (arguments,)


@app.cell
def _(arguments, mo, opened, sampled):
    place = opened.open_directory(arguments)
    directory = place.settings.data_dir
    log = sampled.EventLog(
        place.settings.archive_dir, int(float(arguments.get("most", sampled.DEFAULT_EVENTS)))
    )
    refresh = mo.ui.refresh(**opened.refreshing(arguments))
    share = mo.ui.slider(
        10, 90, 5, value=50, label="earlier period, % of the time", show_value=True
    )
    get_column, set_column = mo.state(None)
    return directory, get_column, log, place, refresh, set_column, share


@app.cell
def _(directory, mo, place, refresh, share):
    _head = [mo.md(f"# Features\n`{directory}`")]
    if place.warning:
        _head.append(mo.callout(mo.md(place.warning), kind="warn"))
    mo.vstack([*_head, mo.hstack([share, refresh], justify="start", wrap=True, gap=2)])
    return


@app.cell
def _(directory, log, mo, refresh):
    refresh.value  # reads again when it ticks
    events = log.read()
    mo.stop(
        not events.num_rows,
        mo.callout(mo.md(f"no events yet in {directory}: a run archives them")),
    )
    return (events,)


@app.cell
def _(NextbestError, events, log, mo, place, sampled):
    mo.stop(place.catalog is None, None)
    try:
        with mo.status.spinner("replaying the archive"):
            drawn = sampled.sample(place.catalog, place.settings.archive_dir / "events", events)
    except NextbestError as _error:
        mo.stop(True, mo.callout(mo.md(str(_error)), kind="warn"))
    _which = "events" if log.complete else "newest events; the archive has more"
    mo.md(
        f"Features as of {len(drawn.at):,} moments, drawn evenly from {drawn.drawn_from:,} "
        f"{_which}, replayed."
    )
    return (drawn,)


@app.cell
def _(charts, drawn, sampled, share, show):
    drift = sampled.drift(drawn, share.value / 100)
    bars = charts.drift_bars(drift)
    show(bars)
    return bars, drift


@app.cell
def _(charts, drawn, drift, sampled, share, show):
    farthest = drift["column"].to_pylist()[:3]
    course = sampled.drift_course(drawn, farthest, share.value / 100)
    detected = sampled.detected(drawn, farthest, share.value / 100)
    lines = charts.drift_lines(course, detected)
    show(lines)
    return course, detected, farthest, lines


@app.cell
def _(drawn, drift, get_column, mo, set_column):
    _columns = drift["column"].to_pylist()
    column = mo.ui.dropdown(
        _columns,
        value=get_column() if get_column() in drawn.columns else _columns[0],
        on_change=set_column,
        label="feature",
    )
    column
    return (column,)


@app.cell
def _(charts, column, drawn, drift, sampled, share, show):
    bins = sampled.distribution(drawn, column.value, share.value / 100)
    _verdicts = dict(zip(drift["column"].to_pylist(), drift["verdict"].to_pylist(), strict=True))
    distribution = charts.distributions(bins, column.value, _verdicts[column.value])
    show(distribution)
    return bins, distribution


@app.cell
def _(charts, drawn, sampled, show):
    states = sampled.states(drawn)
    present = charts.state_bars(states)
    show(present)
    return present, states


@app.cell
def _(charts, events, log, sampled, show):
    late = sampled.lateness(events)
    lateness = charts.late_lines(late, log.complete)
    show(lateness)
    return late, lateness


@app.cell
def _(mo, place, refresh, skew):
    refresh.value  # lookups may have been added
    mo.stop(place.catalog is None, None)
    audited = skew.skew(place.settings, place.catalog)
    said = skew.skew_sentence(audited)
    _bad = not isinstance(audited, str) and audited.differences
    _parts = [
        mo.md("### Skew audit"),
        mo.callout(mo.md(said), kind="danger" if _bad else "neutral"),
    ]
    if _bad:
        _rows = [
            {
                "id": one.lookup.id,
                "feature": one.column,
                "served": one.served,
                "replayed": one.replayed,
            }
            for one in audited.skews
        ]
        _parts.append(mo.ui.table(_rows, selection=None))
    mo.vstack(_parts)
    return audited, said


if __name__ == "__main__":
    app.run()
