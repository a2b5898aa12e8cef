"""Events in a process of their own: ``python soak_traffic.py URL RATE`` until it is ended.

So many events a second of the same customers go to the log. How many they were, and how many
seconds they were late at the worst, is printed at the end.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import redis

from nextbest.flows.settings import Settings
from nextbest.flows.sources.valkey_stream import publish_events
from tests.bench.loop_shop import CATEGORIES

CUSTOMERS = 20_000
_BLOB = 100
_KINDS = ("view", "view", "view", "search", "cart", "purchase")


def run(url: str, rate: float) -> tuple[int, float]:
    """Go on until the process is to end; return how many events, and the worst lateness."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    rng = random.Random(1)
    shards = Settings().shards
    began, count, worst = time.perf_counter(), 0, 0.0
    with redis.Redis.from_url(url) as client:
        while not ended:
            rest = began + count / rate - time.perf_counter()
            worst = max(worst, -rest)
            time.sleep(max(0.0, rest))
            now = time.time_ns() // 1000
            lines = [_event(rng, count + n, now) for n in range(_BLOB)]
            publish_events(client, "clicks", lines, 2, shards)
            count += _BLOB
    return count, worst


def _event(rng: random.Random, number: int, now: int) -> bytes:
    # The first of all are all customers in turn, so that what grows later is no newcomer.
    customer = number if number < CUSTOMERS else rng.randrange(CUSTOMERS)
    return (
        f'{{"event_id":"soak-{number}","event_timestamp":{now},"customer_id":"soak-{customer}",'
        f'"type":"{rng.choice(_KINDS)}","properties":{{"category":"{rng.choice(CATEGORIES)}",'
        f'"value":{rng.randrange(1, 9000) / 100}}}}}'
    ).encode()


if __name__ == "__main__":
    print(*run(sys.argv[1], float(sys.argv[2])))
