"""Customers in a process of their own: ``python loop_traffic.py PORT RATE [PEOPLE]`` until its end.

So many times a second one of them looks at something, is offered something, and buys or does not.
How many did is printed at the end.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.loop_processes import Service
from tests.bench.loop_shop import CATEGORIES

_CUSTOMERS = 500
_BUYS = 0.5


def run(port: int, rate: float, people: int = _CUSTOMERS) -> int:
    """Go on until the process is to end; return how many came."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    rng = random.Random(1)
    service = Service(port)
    began, count = time.perf_counter(), 0
    while not ended:
        time.sleep(max(0.0, began + count / rate - time.perf_counter()))
        _journey(service, rng, count, people)
        count += 1
    service.close()
    return count


def _journey(service: Service, rng: random.Random, number: int, people: int) -> None:
    customer = f"other-{rng.randrange(people)}"
    event = {
        "event_id": f"other-{number}", "event_timestamp": time.time_ns() // 1000,
        "customer_id": customer, "type": "view",
        "properties": {"category": rng.choice(CATEGORIES), "value": 1.0},
    }  # fmt: skip
    service.post("/v1/events", event)
    context = {"page": f"p{rng.randrange(5)}", "region": f"r{rng.randrange(4)}"}
    made = service.decide(customer, "web", context=context)
    if rng.random() < _BUYS:
        outcome = {
            "outcome_id": f"other-{number}", "customer": customer, "response": "buy",
            "decision_id": made["decision_id"],
        }  # fmt: skip
        service.post("/v1/outcomes", outcome)


if __name__ == "__main__":
    print(run(int(sys.argv[1]), float(sys.argv[2]), *map(int, sys.argv[3:])))
