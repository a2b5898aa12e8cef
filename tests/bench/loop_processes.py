"""A worker and services of one loop, as users run them, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
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


@contextlib.contextmanager
def working(home: Path, url: str, catalog: str, strategy: Path) -> Iterator[None]:
    """A worker that follows the log and learns, until the end of the block."""
    command = [sys.executable, "-m", "nextbest.flows.cli", "run", *_LOG, "--catalog", catalog]
    command += ["--data-dir", str(home), "--redis-url", url, "--strategy", str(strategy)]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=_ROOT)
    try:
        yield
        assert worker.poll() is None, "the worker has ended"
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)


@contextlib.contextmanager
def serving(home: Path, url: str, catalog: str, strategy: Path) -> Iterator[int]:
    """The port of a service that decides, until the end of the block."""
    command = [sys.executable, "-m", "nextbest.flows.cli", "serve", "--port", "0", *_LOG]
    command += ["--catalog", catalog, "--data-dir", str(home), "--redis-url", url]
    command += ["--strategy", str(strategy)]
    # On a machine that others use too a decision is to be late rather than a fallback.
    environ = {**os.environ, "NEXTBEST_DECIDE_SECONDS": "30"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=environ
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("serving "), "the service does not start"
            yield int(line.partition(",")[0].rpartition(":")[2])
        finally:
            process.terminate()


@contextlib.contextmanager
def loop(home: Path, url: str, catalog: str, text: str, services: int = 1) -> Iterator[list[int]]:
    """The ports of services with a worker behind them, which decide by a strategy."""
    home.mkdir(parents=True, exist_ok=True)
    strategy = home / "strategy.yaml"
    strategy.write_text(text)
    with contextlib.ExitStack() as running:
        running.enter_context(working(home / "worker", url, catalog, strategy))
        yield [
            running.enter_context(serving(home / f"service-{n}", url, catalog, strategy))
            for n in range(services)
        ]
