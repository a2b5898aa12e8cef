"""The notebooks on what a real run left: their numbers are those of the log, and they draw them."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from nextbest.features.catalog_codec import meaning_id
from nextbest.features.replay import backfill
from nextbest.features.served_lookups import ServedLookup
from nextbest.flows import cli
from nextbest.flows.commands.evaluate import evaluate_strategy
from nextbest.flows.decision.evaluation import SCORE
from nextbest.flows.decision.loading import load
from nextbest.flows.embedded import stop_server
from nextbest.flows.monitor.candidates import variants
from nextbest.flows.settings import Settings
from nextbest.flows.simulate.catalog import catalog
from nextbest.flows.simulate.world import Setting, World
from tests.flows.monitor.made import CATALOG, write_log

NOTEBOOKS = Path(__file__).parents[3] / "deploy" / "notebooks"
NAMES = ("learning", "off_policy", "features", "customer")
WORLD = World(Setting(people=10, days=8, visits=2.0, refusals=0.3, new_actions=0), 7)


class Left(NamedTuple):
    """What a run left: its data directory, the lines of its log, and the strategy."""

    data_dir: Path
    log: list[Any]
    strategy: Path


def call(*args: str | Path) -> None:
    """Run a command of the command line in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["nextbest", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert not ended.value.code


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    """A run of a log whose decisions and outcomes a simulated world made."""
    home = tmp_path_factory.mktemp("notebooks")
    log, strategy = write_log(home, WORLD, control=0.3)
    data_dir = home / "data"
    call("run", log, "--catalog", CATALOG, "--strategy", strategy, "--data-dir", data_dir)
    yield Left(data_dir, [json.loads(line) for line in log.read_bytes().splitlines()], strategy)
    stop_server(data_dir)


class Ran(NamedTuple):
    """What a notebook's cells show, and its variables."""

    shown: str
    values: dict[str, Any]


def ran(name: str, **arguments: str) -> Ran:
    """Run a notebook as `marimo run` does, with arguments."""
    spec = importlib.util.spec_from_file_location(f"notebook_{name}", NOTEBOOKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    outputs, values = module.app.run(defs={"arguments": arguments})
    texts = [getattr(each, "text", "") for each in outputs if each is not None]
    return Ran("\n".join(map(str, texts)), dict(values))


def drawn(chart: Any) -> dict[str, Any]:
    """The specification of a chart, which has a title and rows to draw."""
    spec: dict[str, Any] = chart.to_dict()
    assert spec["title"]["text"][0]
    assert spec["width"] == "container"
    assert any(len(rows) > 1 for rows in spec["datasets"].values())
    return spec


def expected(left: Left) -> dict[str, dict[str, Any]]:
    """By decision: its group, arm, and the reward that the log says; None if it is still open."""
    window = WORLD.setting.window_us
    found: dict[str, dict[str, Any]] = {}
    loop = [event for event in left.log if event["type"] in ("decision", "outcome")]
    end = max(event["event_timestamp"] for event in loop) - 1
    last = max(event["event_timestamp"] for event in left.log)
    for event in loop:
        own = event["properties"]["nextbest"]
        if event["type"] == "decision":
            at = event["event_timestamp"]
            # A window whose end the log has come to was closed by silence or by a response.
            found[own["id"]] = {
                "at": at, "customer": event["customer_id"], "arm": own["offers"][0]["action"],
                "group": "control" if own.get("control") else "learned", "reward": 0.0,
                "settled": at + window <= end, "closable": at + window <= last,
            }  # fmt: skip
        elif own["decision_id"] in found:
            decision = found[own["decision_id"]]
            in_time = event["event_timestamp"] <= decision["at"] + window
            if own["response"] == "accept" and in_time:
                decision["reward"] = 1.0
    return found


def test_learning_shows_what_the_log_says(left: Left) -> None:
    page = ran("learning", **{"data-dir": str(left.data_dir)})
    decisions = expected(left)
    own = page.values["decided"].settled("accept").to_pylist()
    assert {row["id"] for row in own} >= {k for k, one in decisions.items() if one["settled"]}
    assert {row["id"] for row in own} <= {k for k, one in decisions.items() if one["closable"]}
    assert [row["reward.accept"] for row in own] == [decisions[row["id"]]["reward"] for row in own]
    means = {
        group: np.mean([d["reward.accept"] for d in own if d["group"] == group])
        for group in ("learned", "control")
    }
    gap = page.values["gap"]
    assert gap.learned.value == pytest.approx(means["learned"])
    assert gap.control.value == pytest.approx(means["control"])
    told = {row["value"]: row for row in page.values["values"].to_pylist()}
    for arm in {row["arm"] for row in own}:
        rewards = [row["reward.accept"] for row in own if row["arm"] == arm]
        assert (told[arm]["n"], told[arm]["mean"]) == (
            len(rewards),
            pytest.approx(np.mean(rewards)),
        )
    for name in (
        "curve",
        "reward_by",
        "rewards",
        "reliability_curve",
        "loss",
        "explored",
        "offered",
    ):
        drawn(page.values[name])
    assert f"{len(decisions):,} decisions, {len(own):,} with a known outcome" in page.shown


def test_off_policy_judges_as_the_command_does(left: Left) -> None:
    page = ran("off_policy", **{"data-dir": str(left.data_dir), "policy": str(left.strategy)})
    settings = Settings(data_dir=left.data_dir)
    text = left.strategy.read_text()
    rows = {row["candidate"]: row for row in page.values["verdicts"].to_pylist()}
    assert set(rows) == {*variants(text), left.strategy.stem}
    for name, yaml in {**variants(text), left.strategy.stem: text}.items():
        asked = evaluate_strategy(settings, catalog, load(yaml, catalog)).verdicts[0]
        assert rows[name]["n"] == asked.report.overlap.n
        assert rows[name]["gain"] == pytest.approx(asked.report.gain)
        assert rows[name]["effective"] == pytest.approx(asked.report.overlap.effective)
        assert rows[name]["low"] == pytest.approx(asked.report.interval.lower)
    same = rows[left.strategy.stem]
    assert same["verdict"] == "cannot tell"
    assert same["value"] == pytest.approx(same["logged"], abs=0.2)
    assert page.values["objective"].value == SCORE
    for name in ("gains", "overlap", "estimators"):
        drawn(page.values[name])
    wrong = ran("off_policy", **{"data-dir": str(left.data_dir), "policy": "no/such.yaml"})
    assert set(wrong.values["faults"]) == {"no/such.yaml"}
    latin = left.data_dir.parent / "latin.yaml"
    latin.write_bytes("name: caf\u00e9\n".encode("latin-1"))
    wrong = ran("off_policy", **{"data-dir": str(left.data_dir), "policy": str(latin)})
    assert set(wrong.values["faults"]) == {str(latin)}


def views_of(left: Left, customer: str, at: int) -> int:
    return sum(
        event["type"] == "view" and event["customer_id"] == customer
        and event["event_timestamp"] <= at
        for event in left.log
    )  # fmt: skip


def test_features_are_counted_and_compared(left: Left) -> None:
    put_lookups(left)
    page = ran("features", **{"data-dir": str(left.data_dir)})
    sampled = page.values["drawn"]
    events = [event for event in left.log if event["type"] not in ("decision", "outcome")]
    assert sampled.at.tolist() == sorted(event["event_timestamp"] for event in events)
    column = sampled.columns.index("taste:views")
    by_time = {(e["event_timestamp"]): e["customer_id"] for e in events}
    views = [views_of(left, by_time[at], at) for at in sampled.at.tolist()]
    # Who only left has not viewed anything: that is a count of 0, not a missing one.
    assert sampled.values[:, column].tolist() == views
    drift = {row["column"]: row for row in page.values["drift"].to_pylist()}
    cut = sampled.split(0.5)
    assert drift["taste:views"]["before"] == pytest.approx(np.mean(views[:cut]))
    assert drift["taste:views"]["after"] == pytest.approx(np.mean(views[cut:]))
    assert drift["taste:views"]["verdict"] == "drifted"  # views ever only grow
    gone = {row["column"]: row["share"] for row in page.values["states"].to_pylist()
            if row["state"] == "missing"}  # fmt: skip
    last = sampled.columns.index("taste:last")
    assert gone["taste:last"] == pytest.approx(np.isnan(sampled.values[:, last]).mean())
    behind, newest = [], 0
    for event in events:
        newest = max(newest, event["event_timestamp"])
        behind.append((newest - event["event_timestamp"]) / 1e6)
    assert max(page.values["late"]["most"].to_pylist()) == pytest.approx(max(behind))
    assert max(behind) > 0.0
    for name in ("bars", "lines", "distribution", "present", "lateness"):
        drawn(page.values[name])
    assert page.values["said"].startswith("No skew: 5 lookups, ")
    put_lookups(left, wrong=1.0)
    again = ran("features", **{"data-dir": str(left.data_dir)})
    assert again.values["audited"].differences == 1
    assert "1 values were served otherwise" in again.values["said"]


def put_lookups(left: Left, wrong: float = 0.0) -> None:
    """Log five lookups as a service does, one of them perhaps wrong."""
    file = next((left.data_dir / "archive/events/partition=0").glob("*.parquet"))
    rows = pq.read_table(file, columns=["customer_id", "event_timestamp", "position"]).to_pylist()
    last = {row["customer_id"]: row for row in rows}
    ids = sorted(last)[:5]
    at = [round(last[one]["event_timestamp"].timestamp() * 1e6) + 5 for one in ids]
    known = np.array([last[one]["position"] for one in ids])
    found = backfill(catalog, left.data_dir / "archive/events", ids, np.array(at), known=known)
    lines = []
    for place, one in enumerate(ids):
        values = [None if v != v else v for v in found.values[place].tolist()]
        if place == 0 and values[0] is not None:
            values[0] += wrong
        lookup = ServedLookup(
            at[place], catalog.name, meaning_id(catalog.of("customer")), "customer", one,
            int(known[place]), None, values, found.state[place].tolist(),
        )  # fmt: skip
        lines.append(msgspec.json.encode(lookup) + b"\n")
    (left.data_dir / "lookups").mkdir(exist_ok=True)
    (left.data_dir / "lookups" / "lookups-1-1.ndjson").write_bytes(b"".join(lines))


def test_a_customer_is_shown_as_of_any_moment(left: Left) -> None:
    name = "person-3"
    page = ran("customer", **{"data-dir": str(left.data_dir), "customer": name})
    found, history = page.values["found"], page.values["history"]
    own = [event for event in left.log if event["customer_id"] == name]
    kinds = [event["type"] for event in own]
    assert found.events.num_rows == sum(k not in ("decision", "outcome") for k in kinds)
    assert len(found.decided) == kinds.count("decision")
    for place in range(0, len(history.at), 37):
        told = {row["feature"]: row["value"] for row in history.told(place)}
        assert told["taste:views"] == str(views_of(left, name, int(history.at[place])))
    now = {row["feature"]: row["value"] for row in page.values["now"].told}
    assert now["taste:views"] == str(kinds.count("view"))
    why = page.values["why"]
    assert why.reproduced
    newest = max((e for e in own if e["type"] == "decision"), key=lambda e: e["event_timestamp"])
    assert why.decision_id == newest["event_id"]
    for chart in [page.values["line"], *page.values["courses"], page.values["scores"]]:
        drawn(chart)
    assert len(page.values["courses"]) == 4
    nobody = ran("customer", **{"data-dir": str(left.data_dir), "customer": "nobody"})
    assert "no events of &#x27;nobody&#x27;" in nobody.shown or "nobody" in nobody.shown


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["empty", "nowhere"])
def test_an_empty_directory_is_told_in_a_sentence(name: str, where: str, tmp_path: Path) -> None:
    directory = tmp_path / where
    if where == "empty":
        directory.mkdir()
    page = ran(name, **{"data-dir": str(directory)})
    assert "yet in" in page.shown
    assert ("there is no such directory" in page.shown) == (where == "nowhere")
    assert "Traceback" not in page.shown
    assert not (directory / "valkey").exists()  # a page that looks starts nothing


def test_a_page_reads_what_was_added(left: Left) -> None:
    """A refresh asks the same reader again: what it returns then has the new decisions."""
    page = ran("learning", **{"data-dir": str(left.data_dir)})
    log, before = page.values["log"], len(page.values["decided"])
    directory = left.data_dir / "archive/decisions/partition=0"
    files = sorted(directory.glob("epoch-*.parquet"))
    table = pq.read_table(files[-1]).slice(0, 1)
    name = "f" * 16 + "-" + "f" * 16 + "-" + "f" * 16
    text = table["record"][0].as_py().replace(table["event_id"][0].as_py(), name)
    table = table.set_column(5, "record", [[text]]).set_column(1, "event_id", [[name]])
    added = directory / f"epoch-{int(files[-1].stem[6:]) + 1:08d}.parquet"
    pq.write_table(table, added)
    try:
        assert len(log.read()) == before + 1
    finally:
        added.unlink()
