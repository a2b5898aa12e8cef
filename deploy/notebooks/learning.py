"""How well what was learned does: `marimo run deploy/notebooks/learning.py -- --data-dir DIR`."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="nextbest: learning")


@app.cell
def _():
    import sys

    import marimo as mo

    from nextbest.flows.monitor import learning, opened
    from nextbest.flows.monitor.arguments import arguments_of
    from nextbest.flows.monitor.charts import learning as charts
    from nextbest.flows.monitor.charts import theme
    from nextbest.flows.monitor.decided import DEFAULT_ROWS, DecisionLog

    def show(chart):
        return mo.vstack([mo.Html(theme.heading(chart)), theme.untitled(chart)], gap=0)

    return DEFAULT_ROWS, DecisionLog, arguments_of, charts, learning, mo, opened, show, sys


@app.cell
def _(arguments_of, sys):
    arguments = arguments_of(sys.argv)
    return (arguments,)


@app.cell
def _(DEFAULT_ROWS, DecisionLog, arguments, mo, opened):
    place = opened.open_directory(arguments)
    directory = place.settings.data_dir
    log = DecisionLog(place.settings.archive_dir, int(float(arguments.get("most", DEFAULT_ROWS))))
    refresh = mo.ui.refresh(**opened.refreshing(arguments))
    get_objective, set_objective = mo.state(None)
    get_by, set_by = mo.state("arm")
    return directory, get_by, get_objective, log, place, refresh, set_by, set_objective


@app.cell
def _(directory, mo, place, refresh):
    _head = [mo.md(f"# Learning\n`{directory}`")]
    if not directory.is_dir():
        _head.append(mo.callout(mo.md(place.warning), kind="warn"))
    mo.vstack([*_head, refresh])
    return


@app.cell
def _(directory, log, mo, opened, refresh):
    refresh.value  # reads again when it ticks
    decided = log.read()
    _why = opened.nothing_decided(decided, directory)
    mo.stop(bool(_why), mo.callout(mo.md(_why)))
    return (decided,)


@app.cell
def _(decided, get_by, get_objective, mo, set_by, set_objective):
    _names, _fields = list(decided.objectives), decided.fields or ["arm"]
    objective = mo.ui.dropdown(
        _names,
        value=get_objective() if get_objective() in _names else _names[0],
        on_change=set_objective,
        label="objective",
    )
    by = mo.ui.dropdown(
        _fields,
        value=get_by() if get_by() in _fields else _fields[0],
        on_change=set_by,
        label="compare by",
    )
    mo.hstack([objective, by], justify="start", wrap=True, gap=2)
    return by, objective


@app.cell
def _(decided, mo, objective, opened):
    _why = opened.nothing_settled(decided, objective.value)
    mo.stop(bool(_why), mo.callout(mo.md(_why)))
    chosen = objective.value
    mo.md(opened.basis(decided, chosen))
    return (chosen,)


@app.cell
def _(charts, chosen, decided, learning, show):
    gap = learning.gap(decided, chosen)
    alarms = learning.alarms(decided, chosen)
    course = learning.course(decided, chosen, windows=24)
    curve = charts.learning_curve(course, gap, chosen, learning.window(decided, chosen, 24), alarms)
    show(curve)
    return alarms, course, curve, gap


@app.cell
def _(by, charts, chosen, decided, learning, show):
    values = learning.by_value(decided, chosen, by.value)
    reward_by = charts.reward_by(values, chosen, by.value)
    show(reward_by)
    return reward_by, values


@app.cell
def _(by, charts, chosen, decided, learning, show):
    courses = learning.course(decided, chosen, by.value, most=8, cumulative=True)
    rewards = charts.progressive_reward(courses, chosen, by.value)
    show(rewards)
    return courses, rewards


@app.cell
def _(charts, chosen, decided, learning, show):
    reliability = learning.calibration(decided, chosen)
    control = learning.calibration(decided, chosen, group="control")
    reliability_curve = charts.reliability_curve(reliability, chosen, control)
    show(reliability_curve)
    return control, reliability, reliability_curve


@app.cell
def _(charts, chosen, decided, learning, show):
    progress = learning.course(decided, chosen, cumulative=True)
    loss = charts.progressive_loss(progress, chosen)
    show(loss)
    return loss, progress


@app.cell
def _(charts, decided, learning, mo, show):
    exploration = learning.exploration(decided)
    explored = charts.exploration_shares(exploration)
    _known = set(exploration["kind"].to_pylist()) != {"not known"}
    _note = "*Examples of a decision point do not say whether the best was chosen.*"
    show(explored) if _known else mo.md(_note)
    return explored, exploration


@app.cell
def _(charts, decided, learning, show):
    choices = learning.choices(decided)
    offered = charts.choice_shares(choices)
    show(offered)
    return choices, offered


if __name__ == "__main__":
    app.run()
