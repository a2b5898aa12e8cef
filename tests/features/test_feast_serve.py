"""Feast's own command and servers on a repository of ours, each as a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import feast
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from nextbest.features.feast_plugin.repo import write_repo
from tests.features.feast_cases import DAY, END, IDS, START, publish

ROOT = Path(__file__).parents[2]
PROFILE = """
import feast
from feast.types import Int64
from nextbest_views import Entity_customer

profile = feast.FeatureView(
    name="profile",
    entities=[Entity_customer],
    schema=[feast.Field(name="score", dtype=Int64)],
    source=feast.FileSource(path={path!r}, timestamp_field="event_timestamp"),
)
"""
# One process takes Feast in, which is what takes long; each command is a copy of it. Copies are
# made while nothing runs in it yet.
COMMANDS = """
import os
import sys
import feast.feature_server, feast.ui_server
from feast.cli.cli import cli

def begin(*command):
    copy = os.fork()
    if copy == 0:
        cli(["-c", directory, *command])
    return copy

directory, start, end, serve, ui = sys.argv[1:]
for command in (["apply"], ["plan"], ["materialize", start, end]):
    assert os.waitpid(begin(*command), 0)[1] == 0, command
servers = [
    begin("serve", "--port", serve, "--max-requests", "0", "--no-access-log"),
    begin("ui", "--host", "127.0.0.1", "--port", ui),
]
sys.stdin.read()
for server in servers:
    os.kill(server, 15)
    os.waitpid(server, 0)
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "FEAST_USAGE": "False"}


def _iso(at: int) -> str:
    return pd.Timestamp(at, unit="us").isoformat()


def _make_repo(directory: Path, store_url: str) -> None:
    """Write a repository with an ordinary view beside ours."""
    archive = directory.parent / "archive"  # nobody asks for history
    write_repo(directory, "tests.features.feast_cases:CATALOG", store_url, archive=archive)
    scores = {
        "customer_id": ["ada", "ada", "nobody"],
        "score": [1, 2, 3],
        "event_timestamp": pa.array([START, END, START], pa.timestamp("us", "UTC")),
    }
    path = directory / "scores.parquet"
    pq.write_table(pa.table(scores), path)
    (directory / "profile.py").write_text(PROFILE.format(path=str(path)))


@contextmanager
def _feast(directory: Path, log: Path) -> Iterator[tuple[str, str]]:
    """Apply, plan, materialise, then serve; yield the addresses of the servers."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = [str(each.getsockname()[1]) for each in (one, other)]
    arguments = [str(directory), _iso(START - DAY), _iso(END + DAY), *ports]
    with (
        log.open("w") as said,
        subprocess.Popen(
            [sys.executable, "-c", COMMANDS, *arguments],
            env=_environment(), stdin=subprocess.PIPE, stdout=said, stderr=said,
        ) as process,
    ):  # fmt: skip
        try:
            for port in ports:
                _await(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
        finally:
            process.communicate()
    assert process.returncode == 0, log.read_text()


def _await(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(2000):
        try:
            urlopen(address, timeout=5).close()
        except URLError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())


def _post(address: str, path: str, body: Any) -> Any:
    request = Request(
        address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _check_what_was_materialised(directory: Path, said: str) -> None:
    assert "Applying changes for project feast_cases" in said
    assert "No changes to registry" in said
    store = feast.FeatureStore(repo_path=str(directory))
    assert {s.name for s in store.list_feature_services()} == {"ranking", "shelf", "feast_cases"}
    answer = store.get_online_features(
        ["profile:score", "history:all_events"], [{"customer_id": i} for i in IDS["customer"]]
    ).to_dict()
    assert answer["score"] == [None, 3, 2, None, None, 2]
    assert answer["all_events"][1] is None


def _check_the_server(address: str) -> None:
    entities = {"customer_id": IDS["customer"]}
    answer = _post(
        address, "/get-online-features",
        {"features": ["visit:trail", "history:all_events", "visit:events"],
         "entities": entities},
    )  # fmt: skip
    service = _post(
        address, "/get-online-features",
        {"feature_service": "shelf", "entities": {"product_id": ["p1"]}},
    )  # fmt: skip
    with pytest.raises(URLError, match="400"):
        _post(
            address, "/get-online-features",
            {"features": ["taste:seen"],
             "entities": {"customer_id": ["ada"], "category": [None]}},
        )  # fmt: skip
    assert answer["metadata"]["feature_names"] == ["customer_id", "trail", "all_events", "events"]
    statuses = [vector["statuses"] for vector in answer["results"]]
    # It is long after the events: every ttl is over, and every session.
    assert statuses[2][1] == "NOT_FOUND"
    assert {*statuses[2]} == {"NOT_FOUND", "OUTSIDE_MAX_AGE"}
    assert statuses[1][2] == "PRESENT"
    assert answer["results"][1]["values"][2] == ["shoes", "hats", 'naïve, "odd"']
    assert service["metadata"]["feature_names"] == ["product_id", "views_7d", "heat", "bought_as"]


def _check_the_ui(address: str) -> None:
    with urlopen(address + "/projects-list.json", timeout=30) as answer:
        assert "feast_cases" in answer.read().decode()
    with urlopen(address + "/p/feast_cases", timeout=30) as page:
        assert b"<html" in page.read()


def test_feast_applies_materialises_serves_and_shows_a_repository(
    store: redis.Redis, store_url: str, tmp_path: Path
) -> None:
    directory, log = tmp_path / "repo", tmp_path / "feast.log"
    _make_repo(directory, store_url)
    publish(store)
    with _feast(directory, log) as (server, ui):
        _check_what_was_materialised(directory, log.read_text())
        _check_the_server(server)
        _check_the_ui(ui)
