"""`nextbest simulate`: the table, and the files of a world."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nextbest.features import SettingsError
from nextbest.features.codec import EventDecoder
from nextbest.flows import cli
from nextbest.flows.commands.simulate import Wanted, run_simulation
from nextbest.flows.decision.loading import load
from nextbest.flows.simulate.catalog import catalog, shop
from nextbest.flows.simulate.world import DAY, START

WANTED: dict[str, Any] = {
    "seeds": range(1, 3), "people": 4, "days": 6, "visits": 2.0, "actions": 4, "new_actions": 1,
    "heterogeneity": 1.0, "drift": 0.2, "drift_at": 0.5, "policies": ["rules", "random"],
    "url": None, "day_seconds": 2.0, "events": None, "strategy": None,
}  # fmt: skip


def printed(**more: Any) -> str:
    out = StringIO()
    run_simulation(Wanted(**{**WANTED, **more}), Console(file=out, width=100))
    return out.getvalue()


def test_the_table_has_a_line_for_each_policy() -> None:
    said = printed()
    rows = [line.split() for line in said.splitlines() if "±" in line]
    assert [row[0] for row in rows] == ["rules", "random"]
    assert all(float(row[1]) > 0.0 for row in rows)
    assert "2 of 4 customers over 6 days" in said


def test_all_policies_stand_beside_the_oracle_and_ours() -> None:
    said = printed(policies=None, seeds=[3])
    rows = {line.split()[0]: line.split() for line in said.splitlines() if "±" in line}
    assert list(rows) == ["ours", "shared", "person", "river", "rules", "random"]
    regret = {name: float(row[1]) for name, row in rows.items()}
    for name, row in rows.items():  # shown as whole numbers
        low, high = (regret[name] - 0.5) / (regret["ours"] + 0.5), regret[name] + 0.5
        assert low - 0.005 <= float(row[4]) <= high / (regret["ours"] - 0.5) + 0.005
    assert float(rows["ours"][4]) == 1.0
    assert "earns" in said


def test_events_and_strategy_are_what_a_run_takes(tmp_path: Path) -> None:
    events, strategy = tmp_path / "events.ndjson", tmp_path / "strategy.yaml"
    rules = {"cap": 3, "refusals": 0.1, "failing": 0.1, "corrected": 0.1}
    said = printed(events=events, strategy=strategy, **rules)
    found = EventDecoder(shop).decode_ndjson(events.read_bytes())
    assert not found.rejected
    assert f"{found.records} events of seed 1" in said
    loaded = load(strategy.read_text(), catalog).strategy
    assert loaded.objectives["accept"].window == "500ms"  # a quarter of a short day
    assert len(loaded.actions) == 4
    assert all(action.caps[0].most == 3 for action in loaded.actions.values())
    assert (loaded.cool_downs[0].pause, loaded.channels["mail"].blocked_for) == ("1000ms", "1000ms")
    assert all(action.valid_from is None for action in loaded.actions.values())


def test_in_this_process_days_are_whole_and_actions_are_new() -> None:
    setting = Wanted(**WANTED).setting()
    assert (setting.start, setting.day_us, setting.new_actions) == (START, DAY, 1)


def test_what_cannot_be_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="--url asks a service"):
        printed(url="http://127.0.0.1:1", events=Path("e"))
    with pytest.raises(SettingsError, match="are lived through over HTTP"):
        printed(cap=2)
    monkeypatch.setattr("sys.argv", ["nextbest", "simulate", "--people", "0"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said == "nextbest: a world: Expected `int` >= 1 - at `$.people`\n"
