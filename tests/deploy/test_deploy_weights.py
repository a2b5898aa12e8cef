"""Objectives that are to be avoided: what dashboards and alerts make of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.queries import DEPLOY, panels

WEIGHTS = {"sale": 1.0, "refusal": -0.1, "quarrel": -0.5}
MEANS = {
    ("sale", "exploit"): 0.4,
    ("sale", "control"): 0.2,
    ("refusal", "exploit"): 0.1,
    ("refusal", "control"): 0.3,
    ("quarrel", "exploit"): 0.2,
    ("quarrel", "control"): 0.1,
}
STEPS = 700


def series() -> list[dict[str, str]]:
    """What workers show of a day and more, every four minutes."""
    found = []
    for instance in ("a", "b"):  # each tells the weights
        for objective, weight in WEIGHTS.items():
            labels = f'objective="{objective}", instance="{instance}"'
            found.append((f"nextbest_objective_weight{{{labels}}}", f"{weight}x{STEPS}"))
    for (objective, policy), mean in MEANS.items():
        labels = f'{{objective="{objective}", policy="{policy}"}}'
        for name, step in (("reward", 100 * mean), ("rewarded", 100)):
            found.append((f"nextbest_{name}_total{labels}", f"0+{step}x{STEPS}"))
            found.append((f"nextbest_{name}_taken_back_total{labels}", f"0x{STEPS}"))
    return [{"series": name, "values": values} for name, values in found]


def panel(title: str) -> str:
    board = json.loads((DEPLOY / "grafana/dashboards/learning.json").read_text())
    [found] = [each for each in panels(board) if each["title"] == title]
    return str(found["targets"][0]["expr"]).replace("$objective", ".*")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_fewer_refusals_are_better(tmp_path: Path) -> None:
    chosen, control = 0.4 - 0.01 - 0.1, 0.2 - 0.03 - 0.05
    shown = {"Reward, chosen": chosen, "Reward, control": control, "Over control": chosen - control}
    quarrel = {
        "exp_labels": {"severity": "warning", "objective": "quarrel"},
        "exp_annotations": {
            "summary": "The control group does better than what is chosen, for quarrel",
            "description": "Of an objective with a weight below 0, that is less of it. Compare "
            "with `nextbest evaluate`, which says how sure that is.",
            "runbook": "deploy/RUNBOOK.md#the-control-group-is-better",
        },
    }
    case = {
        "interval": "4m",
        "input_series": series(),
        "alert_rule_test": [
            {
                "eval_time": "40h",
                "alertname": "NextbestControlIsBetter",
                "exp_alerts": [quarrel],
            }
        ],
        "promql_expr_test": [
            # Sums of floats: told to the sixth decimal.
            {"expr": f"round({panel(title)}, 1e-6)", "eval_time": "40h",
             "exp_samples": [{"labels": "{}", "value": round(value, 6)}]}
            for title, value in shown.items()
        ],
    }  # fmt: skip
    files = [str(DEPLOY / "prometheus" / name) for name in ("recording.yml", "alerts.yml")]
    tests = {"rule_files": files, "evaluation_interval": "4m", "tests": [case]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "tests.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
