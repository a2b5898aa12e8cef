"""Fixtures that every test may use: a real online store, and the real dataflow engine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import redis
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from hypothesis import HealthCheck, settings

from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.run import run_engine

# The same examples each time, so that a change is judged by itself; the long forms look for others.
# How long one takes says nothing: the machine does other things, too.
settings.register_profile(
    "same",
    derandomize=os.environ.get("NEXTBEST_LAWS") != "long",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same")

if sys.dont_write_bytecode:
    # Hundreds of processes are started: with its bytecode kept nowhere, each of them would compile
    # every library again, which is most of the time that all tests take.
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": sys.pycache_prefix}


LONGEST = (
    ("test_demo", "test_tutorial", "test_cluster", "test_feast_serve", "test_fleet_command"),
    ("test_readme", "test_deploy_runbook", "test_chaos", "test_notebooks", "test_rehearsal"),
)
"""Where a test alone takes many seconds, mostly of other processes: what each half begins with."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin each half with what takes longest, and the second one then with the learners.

    Each of two processes begins with one half, and takes over from the other when it is done. So
    none is left alone with a long test at the end; and one compiles the kernels of the features,
    where that was not done before, while the other compiles those of the learners.
    """
    first, second = ([item for item in items if item.path.stem in half] for half in LONGEST)
    long = {item.path.stem for item in (*first, *second)}
    rest = [item for item in items if item.path.stem not in long]
    learners = [item for item in rest if item.path.parent.name == "learners"]
    others = [item for item in rest if item.path.parent.name != "learners"]
    half = len(items) // 2 - len(first)
    items[:] = first + others[:half] + second + learners + others[half:]


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one embedded server for the whole run."""
    data_dir = tmp_path_factory.mktemp("store")
    yield ensure_server(data_dir)
    stop_server(data_dir)


@pytest.fixture(scope="module")
def embedded_store(embedded_server: str) -> str:
    """The URL of that server, empty when a file of tests begins, in whatever order they come."""
    with redis.Redis.from_url(embedded_server) as client:
        client.flushall()
    return embedded_server


@pytest.fixture
def store_url(embedded_store: str) -> str:
    """The URL of an empty online store."""
    with redis.Redis.from_url(embedded_store) as client:
        client.flushall()
    return embedded_store


@pytest.fixture
def store(store_url: str) -> Iterator[redis.Redis]:
    """A client of an empty online store."""
    with redis.Redis.from_url(store_url) as client:
        yield client


def row_names(client: redis.Redis, prefix: str) -> list[bytes]:
    """The keys of rows below a prefix such as ``nextbest:shop:customer:``, in order."""
    declared = f"{prefix}schema:".encode()
    return sorted(n for n in client.scan_iter(f"{prefix}*") if not n.startswith(declared))


class RunFlow(Protocol):
    """Run a dataflow to its end, or to the error that its own code raised.

    `recovery` is the directory of the recovery store, made if need be; `every` is the
    length of an epoch in seconds, 0 makes each batch an epoch of its own.
    """

    def __call__(self, flow: Dataflow, recovery: Path | None = None, every: float = 0) -> None: ...


@pytest.fixture
def run_flow() -> RunFlow:
    """See `RunFlow`."""

    def run(flow: Dataflow, recovery: Path | None = None, every: float = 0) -> None:
        config = None
        # The engine's functions carry no types.
        if recovery is not None:
            if not recovery.exists():
                recovery.mkdir()
                init_db_dir(recovery, 1)  # type: ignore[no-untyped-call]
            config = RecoveryConfig(recovery)  # type: ignore[no-untyped-call]
        run_engine(flow, every, config)

    return run
