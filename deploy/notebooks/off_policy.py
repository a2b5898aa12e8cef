"""Would another strategy earn more? `marimo run deploy/notebooks/off_policy.py -- --data-dir DIR`.

`--policy new.yaml` adds a candidate, and can be given several times.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="nextbest: off-policy")


@app.cell
def _():
    import sys
    from pathlib import Path

    import marimo as mo

    from nextbest.flows.decision.evaluation import SCORE
    from nextbest.flows.monitor import candidates, opened
    from nextbest.flows.monitor.arguments import arguments_of
    from nextbest.flows.monitor.charts import off_policy as charts
    from nextbest.flows.monitor.charts import theme

    def show(chart):
        return mo.vstack([mo.Html(theme.heading(chart)), theme.untitled(chart)], gap=0)

    return Path, SCORE, arguments_of, candidates, charts, mo, opened, show, sys


@app.cell
def _(arguments_of, sys):
    arguments = arguments_of(sys.argv)
    return (arguments,)


@app.cell
def _(arguments, candidates, mo, opened):
    place = opened.open_directory(arguments)
    directory = place.settings.data_dir
    log = candidates.RecordLog(
        place.settings.archive_dir, int(float(arguments.get("most", candidates.DEFAULT_ROWS)))
    )
    refresh = mo.ui.refresh(**opened.refreshing(arguments))
    get_objective, set_objective = mo.state(None)
    get_name, set_name = mo.state(None)
    return directory, get_name, get_objective, log, place, refresh, set_name, set_objective


@app.cell
def _(directory, mo, place, refresh):
    _head = [mo.md(f"# Off-policy\n`{directory}`")]
    if place.warning:
        _head.append(mo.callout(mo.md(place.warning), kind="warn"))
    mo.vstack([*_head, refresh])
    return


@app.cell
def _(directory, log, mo, place, refresh):
    refresh.value  # reads again when it ticks
    logged = log.read()
    mo.stop(
        not logged.records or place.catalog is None,
        None
        if logged.records
        else mo.callout(
            mo.md(f"no decisions yet in {directory}: a run with --strategy archives them")
        ),
    )
    return (logged,)


@app.cell
def _(candidates, logged, mo, place):
    _archive = place.settings.archive_dir
    text = candidates.newest_text(_archive, logged)
    edited = mo.ui.code_editor(text, language="yaml", label="", debounce=True, max_height=320)
    mo.accordion({"Edit the strategy, and see what the log says of it": edited})
    return edited, text


@app.cell
def _(Path, arguments, candidates, edited, mo, place, text):
    _given = arguments.get("policy", [])
    _texts = dict(candidates.variants(text)) if text else {}
    for _path in [_given] if isinstance(_given, str) else _given:
        try:
            _texts[Path(str(_path)).stem] = Path(str(_path)).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as _error:
            _texts[str(_path)] = f"# {_error}"
    if edited.value.strip() != text.strip():
        _texts["edited"] = edited.value
    _most = list(_texts.items())[-candidates.MOST_CANDIDATES :]
    wanted = {name: candidates.Candidate.of(one, place.catalog) for name, one in _most}
    mo.stop(not wanted, mo.callout(mo.md("no candidates: give one with -- --policy new.yaml")))
    return (wanted,)


@app.cell
def _(candidates, logged, mo, place, wanted):
    with mo.status.spinner(f"judging {len(wanted)} candidates"):
        judged = candidates.judge(logged, place.settings.archive_dir, place.catalog, wanted)
    faults = {name: found for name, found in judged.items() if isinstance(found, str)}
    _fine = {name: found for name, found in judged.items() if not isinstance(found, str)}
    _notes = [mo.callout(mo.md(f"**{name}**: {why}")) for name, why in faults.items()]
    mo.stop(not _fine, mo.vstack(_notes))
    _all = "" if logged.complete else "newest "
    _judged = max(found.judged for found in _fine.values())
    _said = [f"Judged by the {_all}{len(logged.records):,} decisions, {_judged:,} of them settled."]
    _check = next(iter(_fine.values())).check
    if _check is not None:
        _said.append(
            f"Control group: {_check.decisions:,} decisions earned {_check.earned:.4g} "
            f"(± {_check.error:.2g}), all others {_check.others:.4g}; the log "
            + {"agrees": "agrees with it.", "differs": "**contradicts it**."}.get(
                _check.said, "is too short to be checked by it."
            )
        )
    mo.vstack([mo.md(" ".join(_said)), *_notes])
    return faults, judged


@app.cell
def _(SCORE, get_objective, judged, mo, set_objective):
    _names = [SCORE]
    for _found in judged.values():
        if not isinstance(_found, str):
            _names += [one.name for one in _found.verdicts if one.name not in _names]
    objective = mo.ui.dropdown(
        _names,
        value=get_objective() if get_objective() in _names else SCORE,
        on_change=set_objective,
        label="by",
    )
    objective
    return (objective,)


@app.cell
def _(candidates, charts, judged, objective, show):
    verdicts = candidates.verdicts(judged, objective.value)
    gains = charts.gains(verdicts, objective.value)
    show(gains)
    return gains, verdicts


@app.cell
def _(charts, show, verdicts):
    overlap = charts.overlap(verdicts)
    show(overlap)
    return (overlap,)


@app.cell
def _(get_name, mo, set_name, verdicts):
    _names = verdicts["candidate"].to_pylist()
    name = mo.ui.dropdown(
        _names,
        value=get_name() if get_name() in _names else _names[0],
        on_change=set_name,
        label="candidate",
    )
    name
    return (name,)


@app.cell
def _(candidates, charts, judged, mo, name, objective, show, verdicts):
    estimates = candidates.estimates(judged, objective.value)
    _logged = dict(
        zip(verdicts["candidate"].to_pylist(), verdicts["logged"].to_pylist(), strict=True)
    )
    estimators = charts.estimators(estimates, name.value, _logged[name.value])
    _found = judged[name.value]
    _lines = [f"**{name.value}**. {_found.sentence()}"]
    _lines += [f"- left out: {n:,} {why}" for why, n in _found.left_out.items()]
    _lines += [
        f"- never possible in the log: {action}, {share:.1%} of its choices, "
        f"{_found.missing_why.get(action, '')}"
        for action, share in list(_found.missing.items())[:5]
    ]
    mo.vstack([mo.md("\n".join([_lines[0], "", *_lines[1:]])), show(estimators)])
    return estimates, estimators


if __name__ == "__main__":
    app.run()
