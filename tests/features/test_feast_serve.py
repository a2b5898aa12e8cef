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
from tests.features.feast_cases import DAY, END, IDS, START, make_archive, publish

ROOT = Path(__file__).parents[2]
FEAST = Path(sys.executable).parent / "feast"
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
COMMANDS = """
import sys
from feast.cli.cli import cli
directory, start, end = sys.argv[1:]
for command in (["apply"], ["plan"], ["materialize", start, end]):
    cli(["-c", directory, *command], standalone_mode=False)
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "FEAST_USAGE": "False"}


def _iso(at: int) -> str:
    return pd.Timestamp(at, unit="us").isoformat()


@pytest.fixture(scope="module")
def applied(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository with an ordinary view beside ours, applied, materialised; what was said."""
    directory = tmp_path_factory.mktemp("repo")
    archive = make_archive(tmp_path_factory.mktemp("archive"), embedded_store)
    write_repo(directory, "tests.features.feast_cases:CATALOG", embedded_store, archive=archive)
    scores = {
        "customer_id": ["ada", "ada", "nobody"],
        "score": [1, 2, 3],
        "event_timestamp": pa.array([START, END, START], pa.timestamp("us", "UTC")),
    }
    path = directory / "scores.parquet"
    pq.write_table(pa.table(scores), path)
    (directory / "profile.py").write_text(PROFILE.format(path=str(path)))
    with redis.Redis.from_url(embedded_store) as store:
        store.flushall()
        publish(store)
    arguments = [str(directory), _iso(START - DAY), _iso(END + DAY)]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *arguments],
        env=_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return directory, done.stdout + done.stderr


@contextmanager
def _server(directory: Path, *arguments: str) -> Iterator[str]:
    """Run a command of Feast until it answers, and then until the end; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    log = (directory / f"{arguments[0]}.log").open("w+")
    process = subprocess.Popen(
        [str(FEAST), "-c", str(directory), *arguments, "--port", str(port)],
        env=_environment(), stdout=log, stderr=log,
    )  # fmt: skip
    try:
        for _ in range(1200):
            try:
                urlopen(address + "/health", timeout=5).close()
                break
            except URLError:
                log.seek(0)
                assert process.poll() is None, log.read()
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _post(address: str, path: str, body: Any) -> Any:
    request = Request(
        address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_the_command_applies_and_materialises_ordinary_views_only(
    applied: tuple[Path, str],
) -> None:
    directory, said = applied
    assert "Applying changes for project feast_cases" in said
    assert "No changes to registry" in said
    store = feast.FeatureStore(repo_path=str(directory))
    assert {s.name for s in store.list_feature_services()} == {"ranking", "shelf", "feast_cases"}
    answer = store.get_online_features(
        ["profile:score", "history:all_events"], [{"customer_id": i} for i in IDS["customer"]]
    ).to_dict()
    assert answer["score"] == [None, 3, 2, None, None, 2]
    assert answer["all_events"][1] is None


def test_feast_serve_answers_over_http(applied: tuple[Path, str]) -> None:
    with _server(applied[0], "serve", "--max-requests", "0", "--no-access-log") as address:
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


def test_feast_ui_shows_what_was_applied(applied: tuple[Path, str]) -> None:
    with _server(applied[0], "ui", "--host", "127.0.0.1") as address:
        with urlopen(address + "/projects-list.json", timeout=30) as answer:
            assert "feast_cases" in answer.read().decode()
        with urlopen(address + "/p/feast_cases", timeout=30) as page:
            assert b"<html" in page.read()
