"""Rules and dashboards: every metric, label and value that they ask for is shown."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.queries import (
    DASHBOARDS,
    DEPLOY,
    board_queries,
    labels_of,
    panels,
    rules,
    uses,
)  # fmt: skip

OF_PROMETHEUS = {"job", "instance"}
OTHERS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
RECORDED = {rule["record"]: rule["expr"] for rule in rules("recording.yml")}
ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}
QUERIES = {
    **RECORDED,
    **{name: rule["expr"] for name, rule in ALERTS.items()},
    **{
        f"{file.stem} {number}": query
        for file in DASHBOARDS
        for number, query in enumerate(board_queries(file))
    },
}


def shown() -> dict[str, set[str]]:
    """The labels of every series that the product shows."""
    from nextbest.flows.telemetry import names

    found: dict[str, set[str]] = {}
    for metric in names.ALL:
        ends = {"histogram": ("_bucket", "_sum", "_count")}.get(metric.kind, ("",))
        for end in ends:
            found[metric.name + end] = {*metric.labels, *(["le"] if end == "_bucket" else [])}
    return found


def fixed() -> dict[str, set[str]]:
    """The values of labels that have a fixed list."""
    from nextbest.flows.telemetry import names

    results = {*names.TRIGGER_RESULTS, *names.RECEIPT_RESULTS, *names.REFRESH_RESULTS}
    return {
        "policy": set(names.POLICIES),
        "kind": set(names.EXAMPLE_KINDS),
        "rule": set(names.RULES),
        "reason": {*names.DEAD_REASONS, *names.FALLBACK_REASONS},
        "result": results,
        "role": {"run", "serve"},
        "job": {"nextbest-run", "nextbest-serve"},
    }


@pytest.mark.parametrize("name", QUERIES)
def test_what_a_query_asks_for_is_shown(name: str) -> None:
    series, values = shown(), fixed()
    for use in uses(QUERIES[name]):
        if use.name in RECORDED:
            known = labels_of(RECORDED[use.name])
        else:
            assert use.name in series.keys() | OTHERS, f"{use.name} is not shown"
            known = frozenset(series.get(use.name, set()))
        assert use.labels <= known | OF_PROMETHEUS, (use.name, use.labels - known)
        for label, value in use.values:
            if label in values and not re.search(r"[.*|]", value):
                assert value in values[label], (use.name, label, value)


def test_every_metric_that_is_shown_is_looked_at_somewhere() -> None:
    asked = {use.name for query in QUERIES.values() for use in uses(query)}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} | asked
    from nextbest.flows.telemetry import names

    unseen = {metric.name for metric in names.ALL} - families
    # Facts to look up rather than to watch.
    facts = {"nextbest_strategy_info", "nextbest_audit_last_run_timestamp_seconds"}
    facts |= {"nextbest_log_read_bytes_total", "nextbest_compile_seconds_total"}
    facts |= {"nextbest_rows_written_total", "nextbest_rows_evicted_total"}
    facts |= {"nextbest_outages_total", "nextbest_lookup_rows_total"}
    facts |= {"nextbest_decisions_repeated_total"}
    facts |= {"nextbest_decisions_waiting", "nextbest_examples_kept"}
    assert unseen <= facts, unseen - facts


def test_every_alert_says_what_it_means_and_where_the_runbook_says_what_to_do() -> None:
    headings = re.findall(r"^#+ (.+)$", (DEPLOY / "RUNBOOK.md").read_text(), re.M)
    anchors = {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}
    for name, alert in ALERTS.items():
        notes = alert["annotations"]
        assert alert["labels"]["severity"] in {"critical", "warning"}, name
        assert set(notes) == {"summary", "description", "runbook"}, name
        place, _, anchor = notes["runbook"].partition("#")
        assert place == "deploy/RUNBOOK.md"
        assert anchor in anchors, (name, anchor)


def test_prometheus_reads_all_rules_and_the_services_of_the_compose_file() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    assert set(config["rule_files"]) == {"recording.yml", "alerts.yml"}
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    found = {job["job_name"]: job for job in config["scrape_configs"]}
    assert found.keys() == fixed()["job"]
    worker = services["worker"]["environment"]["NEXTBEST_METRICS_PORT"]
    assert found["nextbest-run"]["static_configs"] == [{"targets": [f"worker:{worker}"]}]
    (replicas,) = found["nextbest-serve"]["dns_sd_configs"]
    assert replicas["names"] == ["service"]
    assert str(replicas["port"]) == services["service"]["environment"]["NEXTBEST_METRICS_PORT"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_rules_fire_when_they_should_and_only_then() -> None:
    tests = Path(__file__).parent / "rules_test.yml"
    done = subprocess.run(
        ["promtool", "test", "rules", tests], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_can_be_read(file: Path) -> None:
    board = json.loads(file.read_text())
    assert board["uid"] == f"nextbest-{file.stem}"
    assert board["description"]
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
    shown_panels = panels(board)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len({panel["title"] for panel in shown_panels}) == len(shown_panels)
    for panel in shown_panels:
        defaults: dict[str, Any] = panel["fieldConfig"]["defaults"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"], panel["title"]
        if panel["type"] != "heatmap":
            assert defaults["thresholds"]["steps"], panel["title"]
    linked = {link["url"].removeprefix("/d/nextbest-") for link in board["links"]}
    assert linked == {other.stem for other in DASHBOARDS} - {file.stem}


def test_grafana_is_given_its_source_and_its_dashboards() -> None:
    folder = DEPLOY / "grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/nextbest.yaml").read_text())["providers"]
    assert (source["uid"], source["url"]) == ("prometheus", "http://prometheus:9090")
    mounts = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["grafana"]["volumes"]
    assert any(mount.split(":")[1] == provider["options"]["path"] for mount in mounts)
    for file in DASHBOARDS:
        variables = json.loads(file.read_text())["templating"]["list"]
        assert [v["current"]["value"] for v in variables if v["type"] == "datasource"] == [
            source["uid"]
        ]
