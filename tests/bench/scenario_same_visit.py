"""``same-visit``: three events are posted, and the very next decision is ranked from all of them.

A worker and two services run as users run them, each in a process of its own, over a log of two
partitions. In each of 1,000 visits something is put in the cart and two more things are looked at;
the events go to one service, and the decision is asked of the other, with their receipts.
``seen`` counts the decisions whose record has all three as they were served, whose order is the
one that only all three lead to, and which come out again byte for byte. The time is from before
the events are posted until the decision is answered. The figures beside: a decision of a customer
for whom nothing has to be waited for, and what share of visits is seen without receipts.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from nextbest.flows.embedded import ensure_server, stop_server

from . import loop_shop
from .harness import Result
from .loop_processes import Service, loop
from .same_visit import visits

THREADS = 2
_WARM_UP = 50


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs, each = (3, 100) if quick else (5, 200)
    took: list[float] = []
    decided: list[float] = []
    plain: list[float] = []
    missed: list[str] = []
    without = unasked = 0
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home)
        try:
            catalog = f"{loop_shop.__file__}:catalog"
            with loop(home / "loop", url, catalog, loop_shop.TEXT, services=2) as ports:
                visits("warm", ports, _WARM_UP, THREADS)
                for number in range(runs):
                    found = visits(f"run-{number}", ports, each, THREADS)
                    took += found.took
                    decided += found.decided
                    missed += found.missed
                    plain += _plain(ports[0], each)
                    few = visits(f"few-{number}", ports, each // 4, THREADS, receipts=False)
                    without += each // 4
                    unasked += each // 4 - len(few.missed)
        finally:
            stop_server(home)
    return Result(
        "same-visit",
        figures={
            "seen": float(runs * each - len(missed)),
            "p50_ms": float(np.quantile(took, 0.5)),
            "p99_ms": float(np.quantile(took, 0.99)),
        },
        detail={
            "visits": runs * each,
            "missed": missed[:5],
            "share_seen_without_receipts": unasked / without,
            "decide_p50_ms": float(np.quantile(decided, 0.5)),
            "decide_p99_ms": float(np.quantile(decided, 0.99)),
            "plain_decide_p50_ms": float(np.quantile(plain, 0.5)),
            "plain_decide_p99_ms": float(np.quantile(plain, 0.99)),
            "max_ms": max(took),
            "load_average": os.getloadavg()[0],
        },
    )


def _plain(port: int, count: int) -> list[float]:
    """Return the milliseconds of decisions that wait for nothing."""
    service, took = Service(port), []
    for number in range(count):
        began = time.perf_counter()
        service.decide(f"warm-0-{number % 5}", "visit", n=4)
        took.append(1e3 * (time.perf_counter() - began))
    service.close()
    return took
