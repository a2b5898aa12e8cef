"""Several processes compute every entity, through a death and other numbers of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nextbest.flows.embedded import ensure_server, stop_server
from tests.flows import entity_cases as cases
from tests.flows.test_cluster import Run, wait_for

CATALOG = ("--catalog", "tests.flows.entity_cases:catalog")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def make(name: str, *arguments: str | Path) -> Run:
        runs.append(Run(tmp_path / name, *arguments, *CATALOG, references=()))
        return runs[-1]

    yield make
    for run in runs:
        if run.process is not None and run.process.poll() is None:
            run.process.kill()
            run.process.communicate()
        stop_server(run.home)


def test_processes_die_and_change_in_number(tmp_path: Path, make: Callable[..., Run]) -> None:
    log = cases.make_log(11, 400)
    path = cases.write(tmp_path / "log", log[:200], 2)
    run = make("data", path, "--partitions", "2")
    slow = {"NEXTBEST_BATCH_ROWS": "2", "NEXTBEST_EPOCH_BYTES": str(1 << 20)}
    run.start("--supervise", **slow)
    wait_for(lambda: (run.home / "state" / "entity-product").exists())
    os.kill(run.workers()[0], signal.SIGKILL)
    code, out, err = run.end()
    assert (code, err) == (0, "")
    assert "restarting: worker" in out
    cases.assert_store_is_right(ensure_server(run.home), cases.catalog, log[:200])
    cases.write(tmp_path / "log", log, 2)
    run.start("--processes", "2")
    code, out, err = run.end()
    assert (code, err) == (0, "")
    assert "have too long a key to count for product" in out
    cases.assert_store_is_right(ensure_server(run.home), cases.catalog, log)
