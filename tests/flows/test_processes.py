"""What surrounds the processes of a run: the store that they begin with."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from nextbest.features.errors import StoreError
from nextbest.flows.commands.processes import await_store
from nextbest.flows.embedded import ensure_server, reviver, stop_server
from nextbest.flows.settings import Settings
from nextbest.flows.sinks.outage import Patience
from tests.flows.server_cases import pid_of


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    yield Settings(data_dir=tmp_path / "data")
    stop_server(tmp_path / "data")


def test_a_store_that_died_with_the_workers_is_started_again(settings: Settings) -> None:
    url = ensure_server(settings.data_dir)
    os.kill(pid_of(url), signal.SIGKILL)
    told: list[str] = []
    patience = Patience(30.0, None, reviver(settings), lambda reason, _: told.append(reason))
    await_store(settings, url, patience)
    with redis.Redis.from_url(url) as client:
        assert client.ping()
    assert len(told) == 1
    assert "no answer" in told[0]
    await_store(settings, url, patience)  # one that lives is not waited for
    assert len(told) == 1


def test_a_store_that_stays_away_is_not_waited_for_for_ever(settings: Settings) -> None:
    url = f"unix://{settings.data_dir}/nobody.sock"
    with pytest.raises(StoreError, match=r"no answer: .* \(waited 0 s for it\)$"):
        await_store(settings, url, Patience(0.2))
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoreError, match="stopped while the store was away"):
        await_store(settings, url, Patience(30.0, stop))
