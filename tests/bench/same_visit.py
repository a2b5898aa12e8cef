"""Visits in which something is left in the cart, and the decision right after the last click.

Each visit is three events in one request: something is put in the cart, then two things are looked
at. The next decision is asked for with the events' receipts. Its order hangs on each of them, see
`loop_shop`: it is right only if the row that it was made of has the cart, both views, and the
newest category. What it was made of is in its record, and `why` shows it.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

from .loop_processes import Service
from .loop_shop import CATEGORIES, RANKED

WAIT_SECONDS = 30
_VISITS_EACH = 5
"""Visits of one customer, one soon after the other: one session, in which counts go on."""


class Visits(NamedTuple):
    """What visits met with.

    Attributes
    ----------
    took
        Milliseconds of each visit, from posting its events to the decision's answer.
    decided
        Milliseconds of those that the decision took.
    missed
        What was wrong with the others, in words.
    """

    took: list[float]
    decided: list[float]
    missed: list[str]


def visits(
    name: str, ports: list[int], count: int, threads: int, *, receipts: bool = True
) -> Visits:
    """Make visits, as many at a time as there are threads; by turns at each of the services.

    Parameters
    ----------
    name
        What the customers' names begin with: of customers who have not been there.
    ports
        Of the services.
    count
        Of visits.
    threads
        Each has customers of its own.
    receipts
        Whether the decision is asked for with them; without, it may well come too early.
    """
    whole = Visits([], [], [])
    bounds = [count * thread // threads for thread in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        running = [
            pool.submit(_some, f"{name}-{thread}", ports, end - begin, receipts)
            for thread, (begin, end) in enumerate(pairwise(bounds))
        ]
        for done in running:
            for found, part in zip(whole, done.result(), strict=True):
                found.extend(part)
    return whole


def _some(name: str, ports: list[int], count: int, receipts: bool) -> Visits:
    services = [Service(port) for port in ports]
    done = Visits([], [], [])
    try:
        for number in range(count):
            # The events go to one service, the decision is asked of the next one.
            first, second = (services[(number + i) % len(services)] for i in range(2))
            customer = f"{name}-{number // _VISITS_EACH}"
            turn = number % _VISITS_EACH + 1
            wrong = _visit(first, second, customer, turn, number, receipts, done)
            if wrong:
                done.missed.append(f"{customer}: {wrong}")
    finally:
        for service in services:
            service.close()
    return done


def _visit(
    first: Service,
    second: Service,
    customer: str,
    turn: int,
    number: int,
    with_receipts: bool,
    done: Visits,
) -> str:
    """Make one visit; return what was wrong."""
    category = CATEGORIES[number % len(CATEGORIES)]
    others = CATEGORIES[(number + 1) % len(CATEGORIES)], CATEGORIES[(number + 7) % len(CATEGORIES)]
    now = time.time_ns() // 1000
    events = [
        {
            "event_id": f"{customer}-{turn}-{i}", "event_timestamp": now + i,
            "customer_id": customer, "type": kind,
            "properties": {"category": where, "value": 20.0},
        }
        for i, (kind, where) in enumerate(
            [("cart", others[0]), ("view", others[1]), ("view", category)]
        )
    ]  # fmt: skip
    context = {"carts": turn, "views": 2 * turn, "category": category}
    began = time.perf_counter()
    receipts = first.post("/v1/events", events)["receipts"]
    posted = time.perf_counter()
    made = second.decide(
        customer, "visit", n=len(RANKED), context=context,
        after=receipts if with_receipts else None, wait_seconds=WAIT_SECONDS,
    )  # fmt: skip
    ended = time.perf_counter()
    done.took.append(1e3 * (ended - began))
    done.decided.append(1e3 * (ended - posted))
    return _wrong(made, second.ask("GET", f"/v1/decisions/{made['decision_id']}/why"), context)


def _wrong(made: Any, why: Any, context: dict[str, Any]) -> str:
    """Return what shows that an event was not seen; empty: nothing."""
    served = {one["name"]: one["value"] for one in why["features"]}
    seen = {name: served[f"visit:{name}"] for name in context}
    ranked = [offer["action"] for offer in made["offers"]]
    if made["stale"]:
        return "stale"
    if not why["reproduced"]:
        return f"not reproduced: {why['differences']}"
    if seen != context:
        return f"served {seen}, not {context}"
    return "" if ranked == RANKED else f"ranked {ranked}"
