"""``learn-to-serve``: from posting an outcome until answers show what was learned from it.

A worker and two services run as users run them, each in a process of its own, over a log of two
partitions, while others come, are offered something and buy, so that there is always something to
publish. One customer after the other is offered something and responds, at one service. Then
decisions are asked for, again and again, until the score has changed: of that customer (their own
weights), and of somebody else, at that service and at the other one (what all share). That
objective is taught by nobody else. The time is from before the outcome is posted until an answer
with another score.

The figures beside are of the same run: from posting an event until a lookup at the other service
shows it, and a bare round trip through the same server.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import redis

from nextbest.flows.embedded import ensure_server, stop_server

from . import loop_shop, loop_traffic
from .harness import Result
from .loop_processes import Service, loop
from .scenario_freshness import bare_round_trip

RATE = 20.0
"""Of others: journeys a second."""
_LOOK = 0.002
"""Seconds between two looks."""
_LONGEST = 60.0
_WARM_UP = 3


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    probes = 36 if quick else 400
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home)
        try:
            catalog = f"{loop_shop.__file__}:catalog"
            with (
                loop(home / "loop", url, catalog, loop_shop.TEXT, services=2) as ports,
                _others(ports[1]),
                contextlib.closing(_Probes(*ports)) as probing,
            ):
                for number in range(_WARM_UP):
                    probing.outcome(-1 - number)
                    probing.row(-1 - number)
                probing.forget()
                for number in range(probes):
                    probing.outcome(number)
                    probing.row(number)
            with redis.Redis.from_url(url) as client:
                bare = bare_round_trip(client)
        finally:
            stop_server(home)
    return Result(
        "learn-to-serve",
        figures={
            "p50_ms": _quantile(probing.shared, 0.5),
            "p99_ms": _quantile(probing.shared, 0.99),
            "person_p50_ms": _quantile(probing.person, 0.5),
            "person_p99_ms": _quantile(probing.person, 0.99),
        },
        detail={
            "max_ms": max(probing.shared),
            "person_max_ms": max(probing.person),
            "row_p50_ms": _quantile(probing.rows, 0.5),
            "row_p99_ms": _quantile(probing.rows, 0.99),
            "bare_round_trip_p50_ms": bare,
            "outcomes": probes,
            "replicas": 2,
            "others_per_s": RATE,
            "load_average": os.getloadavg()[0],
        },
    )


class _Probes:
    """Outcomes and events, and how long it took until answers showed them.

    Attributes
    ----------
    shared
        Milliseconds until somebody else's score had changed, at the one service and at the other.
    person, rows
        Milliseconds until the customer's own score had; until an event was in the row.
    """

    def __init__(self, here: int, there: int) -> None:
        self._here, self._there = Service(here), Service(there)
        self._rng = random.Random(3)
        self.forget()

    def forget(self) -> None:
        """Forget what was measured."""
        self.shared: list[float] = []
        self.person: list[float] = []
        self.rows: list[float] = []

    def outcome(self, number: int) -> None:
        """Have somebody respond, and wait until all scores have changed."""
        here, there = self._here, self._there
        customer = f"probe-{number}"
        offered = here.decide(customer, "watch")
        looks: list[tuple[list[float], Callable[[], float]]] = [
            (self.person, lambda: _score(here, customer)),
            (self.shared, lambda: _score(here, "somebody")),
            (self.shared, lambda: _score(there, "somebody else")),
        ]
        waiting = [(found, look, look()) for found, look in looks]
        self._pause()
        outcome = {
            "outcome_id": customer, "customer": customer, "decision_id": offered["decision_id"],
            "response": "like", "value": float(number % 2),
        }  # fmt: skip
        began = time.perf_counter()
        here.post("/v1/outcomes", outcome)
        while waiting:
            still = []
            for found, look, before in waiting:
                changed = look() != before
                took = time.perf_counter() - began
                assert took < _LONGEST, f"nothing was learned from outcome {number}"
                if changed:
                    found.append(1e3 * took)
                else:
                    still.append((found, look, before))
            waiting = still
            time.sleep(_LOOK)

    def row(self, number: int) -> None:
        """Post an event, and wait until it is in the row."""
        customer = f"row-{number}"
        event = {
            "event_id": customer, "event_timestamp": time.time_ns() // 1000,
            "customer_id": customer, "type": "view", "properties": {},
        }  # fmt: skip
        began = time.perf_counter()
        self._here.post("/v1/events", event)
        while not self._there.ask("GET", f"/v1/features/{customer}")["rows"][0]["known"]:
            assert time.perf_counter() - began < _LONGEST, f"event {number} never came"
            time.sleep(_LOOK)
        self.rows.append(1e3 * (time.perf_counter() - began))

    def close(self) -> None:
        """Close the connections."""
        self._here.close()
        self._there.close()

    def _pause(self) -> None:
        """Be at any place between two publications."""
        time.sleep(0.3 * self._rng.random())


def _score(service: Service, customer: str) -> float:
    score: float = service.decide(customer, "watch")["offers"][0]["score"]
    return score


def _quantile(found: list[float], q: float) -> float:
    return float(np.quantile(found, q))


@contextlib.contextmanager
def _others(port: int) -> Iterator[None]:
    command = [sys.executable, loop_traffic.__file__, str(port), str(RATE)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield
            assert process.poll() is None, "the others have ended"
        finally:
            process.send_signal(signal.SIGTERM)
