"""Run a benchmark scenario: ``uv run python tests/bench/run.py SCENARIO [--json] [--quick]``.

Every figure is a ratio against a reference measured in the same run, or stands beside one;
medians of at least 5 runs (3 with ``--quick``). Without a scenario: the list of them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import (
    scenario_commit,
    scenario_decide_batch,
    scenario_decide_http,
    scenario_decide_inprocess,
    scenario_decide_kernel,
    scenario_drift,
    scenario_fleet,
    scenario_freshness,
    scenario_historical,
    scenario_ingest_json,
    scenario_ingest_parquet,
    scenario_kernel,
    scenario_learn,
    scenario_learn_to_serve,
    scenario_lookup,
    scenario_lookup_http,
    scenario_loop_regret,
    scenario_measures,
    scenario_policies,
    scenario_promotion,
    scenario_quality_digits,
    scenario_quality_journey,
    scenario_quality_stream,
    scenario_receipt,
    scenario_recovery,
    scenario_regret,
    scenario_replay,
    scenario_reroute,
    scenario_same_visit,
    scenario_scale,
    scenario_soak,
    scenario_telemetry,
)
from tests.bench.harness import Result

SCENARIOS: dict[str, Callable[..., Result]] = {
    "kernel": scenario_kernel.run,
    "commit": scenario_commit.run,
    "decide-kernel": scenario_decide_kernel.run,
    "decide-http": scenario_decide_http.run,
    "decide-inprocess": scenario_decide_inprocess.run,
    "decide-batch": scenario_decide_batch.run,
    "ingest-parquet": scenario_ingest_parquet.run,
    "recovery": scenario_recovery.run,
    "replay": scenario_replay.run,
    "freshness": scenario_freshness.run,
    "receipt": scenario_receipt.run,
    "reroute": scenario_reroute.run,
    "historical": scenario_historical.run,
    "scale": scenario_scale.run,
    "ingest-json": scenario_ingest_json.run,
    "lookup": scenario_lookup.run,
    "lookup-http": scenario_lookup_http.run,
    "measures": scenario_measures.run,
    "learn": scenario_learn.run,
    "learn-to-serve": scenario_learn_to_serve.run,
    "same-visit": scenario_same_visit.run,
    "regret": scenario_regret.run,
    "loop-regret": scenario_loop_regret.run,
    "policies": scenario_policies.run,
    "quality-journey": scenario_quality_journey.run,
    "quality-stream": scenario_quality_stream.run,
    "quality-digits": scenario_quality_digits.run,
    "drift": scenario_drift.run,
    "fleet": scenario_fleet.run,
    "promotion": scenario_promotion.run,
    "telemetry": scenario_telemetry.run,
    "soak": scenario_soak.run,
}


def main(
    scenario: str | None = typer.Argument(None, help="Which scenario; none: list them."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object as the last line."),
    quick: bool = typer.Option(False, help="End within 60 seconds."),
    minutes: float | None = typer.Option(None, min=0.5, help="How long, of soak.  [default: 60]"),
) -> None:
    """Run one scenario and print its figures."""
    if scenario is None:
        for name, run in SCENARIOS.items():
            print(f"{name:16} {(sys.modules[run.__module__].__doc__ or '').splitlines()[0]}")
        return
    if scenario not in SCENARIOS:
        raise SystemExit(f"no scenario {scenario!r}; there are {', '.join(SCENARIOS)}")
    if minutes is not None and scenario != "soak":
        raise SystemExit("--minutes goes with soak")
    more = {} if minutes is None else {"minutes": minutes}
    result = SCENARIOS[scenario](quick=quick, **more)
    if as_json:
        print(
            json.dumps({"scenario": scenario, "figures": result.figures, "detail": result.detail})
        )
        return
    table = Table("figure", "value", title=scenario)
    for figures, style in ((result.figures, "bold"), (result.detail, "dim")):
        for name, value in figures.items():
            shown = f"{value:,.1f}" if isinstance(value, float) else str(value)
            table.add_row(name, shown, style=style)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
