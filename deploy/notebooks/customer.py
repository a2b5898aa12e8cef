"""One customer: `marimo run deploy/notebooks/customer.py -- --data-dir DIR --customer ID`."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="nextbest: customer")


@app.cell
def _():
    import sys

    import marimo as mo

    from nextbest.flows.commands.lookup import moment
    from nextbest.flows.monitor import opened, person
    from nextbest.flows.monitor.arguments import arguments_of
    from nextbest.flows.monitor.charts import customer as charts
    from nextbest.flows.monitor.charts import theme

    def show(chart):
        return mo.vstack([mo.Html(theme.heading(chart)), theme.untitled(chart)], gap=0)

    return arguments_of, charts, mo, moment, opened, person, show, sys


@app.cell
def _(arguments_of, sys):
    arguments = arguments_of(sys.argv)
    return (arguments,)


@app.cell
def _(arguments, mo, opened, person):
    place = opened.open_directory(arguments)
    directory = place.settings.data_dir
    _known = person.newest_customers(place.settings.archive_dir)
    _first = str(arguments.get("customer", _known[0] if _known else ""))
    customer = mo.ui.text(value=_first, label="customer", debounce=True)
    refresh = mo.ui.refresh(**opened.refreshing(arguments))
    get_share, set_share = mo.state(100)
    get_decision, set_decision = mo.state(None)
    return (
        customer,
        directory,
        get_decision,
        get_share,
        place,
        refresh,
        set_decision,
        set_share,
    )


@app.cell
def _(customer, directory, mo, place, refresh):
    _head = [mo.md(f"# Customer\n`{directory}`")]
    if place.warning:
        _head.append(mo.callout(mo.md(place.warning), kind="warn"))
    mo.vstack([*_head, mo.hstack([customer, refresh], justify="start", wrap=True, gap=2)])
    return


@app.cell
def _(customer, person, place):
    log = person.PersonLog(place.settings.archive_dir, customer.value)
    return (log,)


@app.cell
def _(customer, directory, log, mo, refresh):
    refresh.value  # reads again when it ticks
    found = log.read()
    _there = found.events.num_rows or len(found.decided)
    mo.stop(
        not _there,
        mo.callout(
            mo.md(
                f"no events of {customer.value!r} in {directory}"
                if customer.value
                else f"no events yet in {directory}: a run archives them"
            )
        ),
    )
    return (found,)


@app.cell
def _(customer, found, mo, person, place):
    history = None
    if place.catalog is not None and found.events.num_rows:
        history = person.history(
            place.catalog,
            place.settings.archive_dir / "events",
            customer.value,
            found.events["at"].to_pylist(),
        )
    _times = history.at.tolist() if history is not None else found.decided.table["at"].to_pylist()
    span = (min(_times), max(_times)) if _times else (0, 0)
    mo.stop(not _times, None)
    return history, span


@app.cell
def _(get_share, mo, set_share):
    share = mo.ui.slider(
        0, 100, 0.5, value=get_share(), on_change=set_share, label="moment", full_width=True
    )
    return (share,)


@app.cell
def _(mo, moment, share, span):
    at = int(span[0] + (span[1] - span[0]) * share.value / 100)
    mo.vstack([share, mo.md(f"as of **{moment(at)}**")], gap=0)
    return (at,)


@app.cell
def _(at, charts, customer, found, show):
    line = charts.time_line(found, customer.value, at)
    show(line)
    return (line,)


@app.cell
def _(at, charts, history, mo, show):
    _columns = [] if history is None else history.varying()[:4]
    courses = [charts.feature_course(history, name, at) for name in _columns]
    mo.vstack([show(chart) for chart in courses]) if courses else mo.md("")
    return (courses,)


@app.cell
def _(at, customer, history, mo, moment, person, place, refresh):
    refresh.value  # the store's row may have changed
    mo.stop(history is None, None)
    then = history.told(history.place(at))
    now = person.in_store(place.settings, place.catalog, customer.value)
    _current = {row["feature"]: row for row in now.told}
    _rows = [
        {
            "feature": row["feature"],
            "then": row["value"],
            "state then": row["state"],
            "now": _current.get(row["feature"], {}).get("value", ""),
            "state now": _current.get(row["feature"], {}).get("state", ""),
        }
        for row in then
    ]
    _note = now.fault or ("" if now.told else "the store has no row of this customer")
    mo.vstack(
        [
            mo.md(f"### Features as of {moment(at)}, and in the store now"),
            mo.md(_note) if _note else mo.md(""),
            mo.ui.table(_rows, selection=None, page_size=20),
        ]
    )
    return now, then


@app.cell
def _(found, get_decision, mo, moment, set_decision):
    mo.stop(not len(found.decided), mo.md("*No decisions for this customer yet.*"))
    _rows = found.decided.table.select(["id", "at", "arm", "group"]).to_pylist()[::-1][:200]
    _labels = {f"{moment(r['at'])}  {r['arm']} ({r['group']})": r["id"] for r in _rows}
    decision = mo.ui.dropdown(
        _labels,
        value=get_decision() if get_decision() in _labels else next(iter(_labels)),
        on_change=lambda chosen: set_decision({v: k for k, v in _labels.items()}.get(chosen)),
        label="decision",
        full_width=True,
    )
    mo.vstack([mo.md("### Decisions"), decision])
    return (decision,)


@app.cell
def _(charts, decision, mo, moment, person, place, show):
    mo.stop(place.catalog is None, mo.md("*Reasons need the catalog: -- --catalog FILE:NAME.*"))
    why = person.explained(place.settings, place.catalog, decision.value)
    mo.stop(isinstance(why, str), mo.callout(mo.md(str(why)), kind="warn"))
    _offered = {offer.action for offer in why.offers}
    scores = charts.candidates(
        [
            {"action": c.action, "score": c.score, "offered": c.action in _offered}
            for c in why.candidates
        ]
    )
    _lines = [
        f"`{why.decision_id}` on {why.channel}, strategy `{why.strategy[:8]}`"
        + (", made again byte for byte" if why.reproduced else ", **not reproduced**")
        + (", control group" if why.control else "")
        + (f", fallback: {why.fallback}" if why.fallback else "")
    ]
    _lines += [
        f"- **{offer.action}**: chosen with a chance of {offer.propensity:.3g}"
        + "".join(f"\n    - {reason.text}" for reason in offer.reasons[:6])
        for offer in why.offers
    ]
    for _one in why.came.credits if why.came else []:
        _what = "withdrawn" if _one.reward is None else f"{_one.reward:.3g}"
        _lines.append(
            f"- {_one.objective}: {_what}"
            + (" (silence)" if _one.silence else "")
            + f", {moment(_one.at)}"
        )
    _lines += [f"- excluded: {e.action} by {e.rule}" for e in why.excluded[:8]]
    mo.vstack([mo.md("\n".join([_lines[0], "", *_lines[1:]])), show(scores)])
    return scores, why


if __name__ == "__main__":
    app.run()
