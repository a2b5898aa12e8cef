"""A log that is as bad as logs are: disorder, late events, duplicates, lines that are no events."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import count
from typing import Any

from .declared import ARMS
from .offers import Offers
from .served import Call, calls

START = 1_767_225_600_000_000  # 2026-01-01
SECOND = 1_000_000
_BAD = (
    b'{"event_id":"x"',
    b"[1,2]",
    b'{"event_id":"x","event_timestamp":1,"customer_id":"c","type":"steal"}',
    b'{"event_id":"x","event_timestamp":1,"customer_id":7,"type":"buy"}',
    b"\xff\xfe{}",
)


def make_blobs(
    seed: int, *, ahead: int, customers: int, offers: bool = False, served: bool = False
) -> Iterator[list[bytes | Call]]:
    """Yield lists of lines without end: about ``ahead`` events at once, then few at a time.

    One line in 20 is sent again, soon or at once; one event in 10 comes up to six hours late,
    often more than the allowed lateness; one line in 200 is no event. With ``offers`` there are
    decisions too, and what came of them; with ``served`` a service is asked for some.
    """
    rng = random.Random(seed)
    made = Offers(random.Random(seed)) if offers else None
    now = START
    again: list[bytes] = []
    lines: list[bytes | Call] = []
    for number in count():
        now += rng.randrange(2 * SECOND)
        event = _event(rng, number, now, customers)
        line = json.dumps(event).encode()
        lines.append(line)
        if made is not None:
            lines += made.after(number, event, now)
        if served and number % 12 == 0:
            lines += calls(rng, number, now)
        if rng.random() < 0.05:
            again.append(line)
        if again and rng.random() < 0.05:
            lines.append(again.pop(rng.randrange(len(again))))
        if rng.random() < 0.005:
            lines.append(rng.choice(_BAD))
        if len(lines) >= (ahead if number < ahead else 40):
            yield lines
            lines = []


def _event(rng: random.Random, number: int, now: int, customers: int) -> dict[str, Any]:
    # A few customers are busy, most are rare: some are always in memory, most are not.
    customer = int(customers * rng.random() ** 2)
    delay = rng.randrange(6 * 3600) * SECOND if rng.random() < 0.1 else 0
    return {
        "event_id": f"e{number}",
        "event_timestamp": now - delay,
        "customer_id": f"customer-{customer}",
        "type": rng.choice(("visit", "view", "view", "buy", "leave")),
        "channel": rng.choice(("web", "app", None)) or "web",
        "properties": {"category": rng.choice(ARMS), "value": rng.randrange(10_000) / 100},
    }
