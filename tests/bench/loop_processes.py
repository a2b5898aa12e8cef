"""A worker and services of one loop, as users run them, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from . import processes

_Worker = contextlib.AbstractContextManager[None]
_Port = contextlib.AbstractContextManager[int]
_LOG = ("--stream", "clicks", "--partitions", "2")


class Service:
    """A connection to a service; of one thread."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return what was answered; it must be good."""
        sent = None if body is None else json.dumps(body)
        headers = {} if body is None else {"content-type": "application/json"}
        self._connection.request(method, path, sent, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 202), f"{path}: {answer.status} {text!r:.500}"
        return json.loads(text)

    def post(self, path: str, body: Any) -> Any:
        """Post something."""
        return self.ask("POST", path, body)

    def decide(self, customer: str, channel: str, **more: Any) -> Any:
        """Return a decision, which was no fallback."""
        made = self.post("/v1/decide", {"customer": customer, "channel": channel, **more})
        assert made["fallback"] is None, made["fallback"]
        return made

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def working(home: Path, url: str, catalog: str, strategy: Path, metrics_port: int = 0) -> _Worker:
    """A worker that follows the log and learns, until the end of the block."""
    shown = ["--metrics-port", str(metrics_port)]
    return processes.worker(*_LOG, *_words(home, url, catalog, strategy), *shown)


def serving(home: Path, url: str, catalog: str, strategy: Path) -> _Port:
    """The port of a service that decides, until the end of the block."""
    # On a machine that others use too a decision is to be late rather than a fallback.
    patient = {"NEXTBEST_DECIDE_SECONDS": "30"}
    return processes.service(*_LOG, *_words(home, url, catalog, strategy), environ=patient)


def _words(home: Path, url: str, catalog: str, strategy: Path) -> list[str]:
    where = ["--data-dir", str(home), "--redis-url", url]
    return ["--catalog", catalog, *where, "--strategy", str(strategy)]


@contextlib.contextmanager
def loop(
    home: Path, url: str, catalog: str, text: str, services: int = 1, metrics_port: int = 0
) -> Iterator[list[int]]:
    """The ports of services with a worker behind them, which decide by a strategy.

    The worker shows metrics at a port, if one is given.
    """
    home.mkdir(parents=True, exist_ok=True)
    strategy = home / "strategy.yaml"
    strategy.write_text(text)
    with contextlib.ExitStack() as running:
        running.enter_context(working(home / "worker", url, catalog, strategy, metrics_port))
        yield [
            running.enter_context(serving(home / f"service-{n}", url, catalog, strategy))
            for n in range(services)
        ]
