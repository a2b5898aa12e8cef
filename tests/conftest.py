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
from hypothesis import settings

from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.run import run_engine

# The same examples each time, so that a change is judged by itself; the long forms look for others.
settings.register_profile("same", derandomize=os.environ.get("NEXTBEST_LAWS") != "long")
settings.load_profile("same")

if sys.dont_write_bytecode:
    # Hundreds of processes are started: with its bytecode kept nowhere, each of them would compile
    # every library again, which is most of the time that all tests take.
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": sys.pycache_prefix}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin the second half with the learners: each of two processes begins with one half.

    So one compiles the kernels of the features while the other compiles those of the learners,
    and neither does again what the other does just then.
    """
    learners = [item for item in items if item.path.parent.name == "learners"]
    others = [item for item in items if item.path.parent.name != "learners"]
    half = len(items) // 2
    items[:] = others[:half] + learners + others[half:]


@pytest.fixture(scope="session")
def embedded_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one embedded server for the whole run; use `store_url`, which is empty."""
    data_dir = tmp_path_factory.mktemp("store")
    yield ensure_server(data_dir)
    stop_server(data_dir)


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
