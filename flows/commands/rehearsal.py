"""`nextbest warm`: everything once, in a made-up shop, so that no kernel is compiled later.

Real processes do what they will do: a worker reads a stream, a service takes events, looks up,
decides and takes outcomes. A declaration is interpreted, so what was compiled for one serves all.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ...features.errors import NextbestError
from ..embedded import ensure_server, stop_server
from .rehearsal_shop import STRATEGY, WORDS

_CATALOG = "nextbest.flows.commands.rehearsal_shop:catalog"
_START_SECONDS = 300.0
_CUSTOMERS = 6
_STEP_US = 1_000_000


class RehearsalError(NextbestError):
    """Something that is installed does not work; the message has what it said last."""


class Rehearsed(NamedTuple):
    """What a rehearsal left.

    Attributes
    ----------
    kernels, size
        How many files of machine code are kept, and their bytes.
    directory
        Where; None: beside the code.
    seconds
        How long it took.
    """

    kernels: int
    size: int
    directory: Path | None
    seconds: float


def rehearse() -> Rehearsed:
    """Run a worker and a service on a made-up stream, in a directory that is removed again.

    Raises
    ------
    RehearsalError
        If one of them ends, or answers with an error.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="nextbest-warm-", ignore_cleanup_errors=True) as home:
        directory = Path(home)
        strategy = directory / "rehearsal.yaml"
        strategy.write_text(STRATEGY)
        ensure_server(directory / "data")
        shared = ["--catalog", _CATALOG, "--strategy", str(strategy), "--stream", "rehearsal"]
        shared += ["--data-dir", str(directory / "data")]
        try:
            with (
                _process(directory / "run.log", ["run", "--supervise", *shared]) as worker,
                _process(directory / "serve.log", ["serve", "--port", "0", *shared]) as service,
            ):
                _play(_url(service, worker))
                for process in (worker, service):
                    process.stop()
        finally:
            stop_server(directory / "data")
    return _kept(time.perf_counter() - began)


class _Process:
    def __init__(self, arguments: list[str], log: Path) -> None:
        self._log = log
        environ = {k: v for k, v in os.environ.items() if not k.startswith("NEXTBEST_")}
        with log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603  # ourselves
                [sys.executable, "-m", "nextbest.flows.cli", *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environ,
            )  # fmt: skip

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def check(self) -> None:
        if self._process.poll() is not None:
            raise RehearsalError(f"the rehearsal ended too early: {self._last()}")

    def stop(self) -> None:
        self.check()
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(_START_SECONDS) != 0:
            raise RehearsalError(f"the rehearsal did not end well: {self._last()}")

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _last(self) -> str:
        return " | ".join(self.said().splitlines()[-5:])


@contextlib.contextmanager
def _process(log: Path, arguments: list[str]) -> Iterator[_Process]:
    process = _Process(arguments, log)
    try:
        yield process
    finally:
        process.kill()


def _url(service: _Process, worker: _Process) -> str:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        for word in service.said().replace(",", " ").split():
            if word.startswith("http://"):
                return word
        service.check()
        worker.check()
        select.select([], [], [], 0.05)
    raise RehearsalError(f"the service does not start: {service.said()[-500:]}")


def _play(root: str) -> None:
    start = time.time_ns() // 1000
    receipts: list[str] = []
    for number, kind in enumerate(("visit", "view", "cart", "purchase", "view")):
        events = [_event(f"c{c}", number, kind, start) for c in range(_CUSTOMERS)]
        receipts = _ask(f"{root}/v1/events", events)["receipts"]
    _await(f"{root}/v1/features/c0?after={receipts[0]}&wait_seconds=10")
    _ask(f"{root}/v1/features", {"ids": [f"c{c}" for c in range(_CUSTOMERS)]})
    _ask(f"{root}/v1/features", {"ids": {"customer_id": ["c0"], "word": ["one"]}})
    context = {"device": "phone"}
    asked = {"customer": "c0", "channel": "web", "context": context, "n": 2, "explain": True}
    for number, response in enumerate(("accept", "refuse")):
        decided = _ask(f"{root}/v1/decide", {**asked, "customer": f"c{number}"})
        outcome = {
            "outcome_id": str(number), "customer": f"c{number}",
            "decision_id": decided["decision_id"], "response": response,
        }  # fmt: skip
        _ask(f"{root}/v1/outcomes", outcome)
        _ask(f"{root}/v1/decisions/{decided['decision_id']}/why")
    people = [f"c{c}" for c in range(_CUSTOMERS)]
    _ask(f"{root}/v1/decide/batch", {"channel": "web", "customers": people, "context": context})
    _ask(f"{root}/v1/customers/c0")
    time.sleep(2.5)  # silence becomes an answer when an objective's window ends
    _ask(f"{root}/v1/events", [_event("c0", 9, "view", start)])
    time.sleep(1.5)  # a snapshot, and models that were published are taken up
    _ask(f"{root}/v1/decide", asked)


def _await(url: str) -> None:
    """Ask until the worker, which compiles first, has read what the receipt in the URL names."""
    end = time.monotonic() + _START_SECONDS
    while _ask(url).get("stale"):
        if time.monotonic() > end:
            raise RehearsalError(f"{url}: the worker does not read the stream")


def _event(customer: str, number: int, kind: str, start: int) -> dict[str, Any]:
    word = WORDS[number % len(WORDS)]
    return {
        "event_id": f"{customer}-{number}", "event_timestamp": start + number * _STEP_US,
        "customer_id": customer, "type": kind, "channel": "web",
        "properties": {"word": word, "value": 12.5, "count": number, "flag": number % 2 == 0},
    }  # fmt: skip


def _ask(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310  # our own service, on loopback
        url, data, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_START_SECONDS) as answer:  # noqa: S310
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        told = error.read().decode(errors="replace")
        raise RehearsalError(f"{url}: {error.code}: {told}") from None
    except OSError as error:
        raise RehearsalError(f"{url}: {error}") from None


def _kept(seconds: float) -> Rehearsed:
    named = os.environ.get("NUMBA_CACHE_DIR")
    root = Path(named) if named else Path(__file__).parents[2]
    files = [path for path in root.rglob("*.nbc") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return Rehearsed(len(files), size, Path(named) if named else None, seconds)
