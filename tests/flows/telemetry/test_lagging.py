"""A log that hangs keeps nobody from seeing the other metrics."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from nextbest.flows.settings import Settings
from nextbest.flows.sources.valkey_reader import Place, StreamReader
from nextbest.flows.telemetry import names as n
from nextbest.flows.telemetry.lagging import Lags
from nextbest.flows.telemetry.showing import run_meter, showing_run
from tests.flows.telemetry.scraping import Scrape, free_ports


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


class HangingLog:
    def __init__(self, url: str) -> None:
        settings = {"timeout": 10.0, "outage_seconds": 600.0}
        self._reader = StreamReader(url, **settings, on_outage=None, reconnect=None)  # type: ignore[arg-type]
        self._reader._places[0] = Place("events", "0-0", 0, 0)

    def partitions(self) -> int:
        return 1

    def lags(self) -> dict[int, int]:
        return dict(self._reader.lags())


def test_metrics_are_shown_while_the_store_hangs(tmp_path: Path) -> None:
    with silent() as url, free_ports(1) as port:
        settings = Settings(data_dir=tmp_path, metrics_port=port)
        meter = run_meter(settings)
        with showing_run(meter, settings, "shop", HangingLog(url)):
            seconds = []
            for _ in range(3):  # others work on this machine too
                began = time.perf_counter()
                assert Scrape(port)(n.BUILD_INFO) == 1
                seconds.append(time.perf_counter() - began)
        assert min(seconds) < 1.5


def test_what_was_known_is_told_until_the_log_answers() -> None:
    answers, free = iter([{0: 7}, {0: 9}]), Event()
    free.set()

    def ask() -> dict[int, int]:
        free.wait(60)
        return next(answers)

    lags = Lags(ask)
    assert lags() == {0: 7}
    free.clear()
    assert lags() == {0: 7}
    assert lags() == {0: 7}  # it is not asked twice at a time
    free.set()
    assert lags() == {0: 9}


def test_why_it_failed_is_told_until_it_answers() -> None:
    said: list[object] = [OSError("away"), {0: 1}]

    def ask() -> dict[int, int]:
        answer = said.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    lags = Lags(ask)
    with pytest.raises(OSError, match="away"):
        lags()
    assert lags() == {0: 1}
