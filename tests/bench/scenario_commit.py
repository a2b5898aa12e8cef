"""``commit``: decisions a second that one client commits, with caps and without.

A decision of 50 features is made from caps alone. With caps the customer's contacts are read,
checked against those of 30 actions, and compared and set with the commit; without, there is
nothing to read. The reference appends the same lines to a stream, over a connection of the same
kind, and nothing else; the three take turns.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from operator import truediv
from pathlib import Path

import hiredis
import redis
import redis.asyncio

from nextbest.features.online.shared_connection import SharedConnection
from nextbest.flows.decision.commit import AsyncCommitter, Committed, Log
from nextbest.flows.decision.contacts import CapRules, Update
from nextbest.flows.decision.keys import Keys, decision_id
from nextbest.flows.decision.record import Offer, Record, Served, event_of
from nextbest.flows.decision.strategy import Action, Cap, Channel, CoolDown, Objective, Strategy
from nextbest.flows.embedded import ensure_server, stop_server

from .harness import Result

ACTIONS, FEATURES, CUSTOMERS = 30, 50, 2000
AT_ONCE = 64
_START = 1_790_000_000_000_000
_CHECKS = 2000
_LOG = Log("log", None, 16)


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs, count = (3, 2000) if quick else (5, 10_000)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home)
        try:
            rates = asyncio.run(_rates(url, runs, count))
            with redis.Redis.from_url(url) as client:
                assert client.xlen("log") == 3 * (runs + 1) * count
        finally:
            stop_server(home)
    capped, free, bare = (statistics.median(some) for some in rates)
    return Result(
        "commit",
        figures={
            "decisions_per_s": capped,
            "without_caps_per_s": free,
            "ratio_append": statistics.median(map(truediv, rates[0], rates[2])),
            "check_us": _check_us(runs),
        },
        detail={
            "append_per_s": bare,
            "line_bytes": len(event_of(_record(0, "green", b""))),
            "at_once": AT_ONCE,
            "runs": runs,
        },
    )


def strategy() -> Strategy:
    """Thirty actions with caps of their own, through one channel."""
    actions = {
        f"action-{n}": Action(channels=["web"], caps=[Cap(most=2, per="7d")], tags={"kind": "x"})
        for n in range(ACTIONS)
    }
    return Strategy(
        name="bench",
        objectives={"sale": Objective(response="accept")},
        channels={"web": Channel(caps=[Cap(most=40, per="1d")])},
        actions=actions,
        caps=[Cap(most=100, per="7d")],
        cool_downs=[CoolDown(pause="7d")],
    )


def _record(number: int, action: str, contacts: bytes) -> Record:
    at, customer = _START + number, f"customer-{number % CUSTOMERS}"
    served = Served(position=1 << 20, age_ms=3, values=bytes(8 * FEATURES), state=bytes(FEATURES))
    offers = [Offer(action=action, score=0.25, propensity=0.5, draw=0.75, chances={"sale": 0.25})]
    return Record(
        id=decision_id(at, customer, number),
        customer=customer,
        at=at,
        channel="web",
        strategy="0123456789abcdef",
        served=served,
        contacts=contacts,
        offers=offers,
        eligible=[f"action-{n}" for n in range(ACTIONS)],
        scores=bytes(8 * ACTIONS),
    )


async def _rates(url: str, runs: int, count: int) -> list[list[float]]:
    rules = CapRules.compile(strategy())
    connections = redis.asyncio.ConnectionPool.from_url(url)
    bare = SharedConnection(connections, 10.0)
    async with (
        AsyncCommitter(url, Keys("bench", "capped"), _LOG) as committer,
        AsyncCommitter(url, Keys("bench", "free"), _LOG) as uncapped,
    ):

        async def capped(number: int) -> None:
            customer = f"customer-{number % CUSTOMERS}"
            contacts = await committer.contacts(customer)
            found = rules.check(contacts, "web", _START + number)
            action = rules.names[int(found.allowed.argmax())]
            update = rules.offered(contacts, [action], "web", _START + number)
            done = await committer.commit(_record(number, action, contacts), update)
            assert isinstance(done, Committed)

        async def free(number: int) -> None:
            done = await uncapped.commit(_record(number, "action-0", b""), Update(b"", 0))
            assert isinstance(done, Committed)

        async def append(number: int) -> None:
            line = event_of(_record(number, "action-0", b"")) + b"\n"
            await bare.ask(hiredis.pack_command(("XADD", "log", "*", "events", line)))

        rates: list[list[float]] = [[], [], []]
        for turn in range(runs + 1):
            for kind, step in enumerate((capped, free, append)):
                began = time.perf_counter()
                await _many(step, (3 * turn + kind) * count, count)
                if turn:  # the first warms up
                    rates[kind].append(count / (time.perf_counter() - began))
    await bare.close()
    return rates


async def _many(step: Callable[[int], Awaitable[None]], begin: int, count: int) -> None:
    numbers = iter(range(begin, begin + count))

    async def worker() -> None:
        for number in numbers:
            await step(number)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def _check_us(runs: int) -> float:
    """Microseconds of a check of 30 actions and 20 contacts."""
    rules = CapRules.compile(strategy())
    contacts = b""
    for n in range(20):
        contacts = rules.offered(contacts, [f"action-{n}"], "web", _START + n).contacts
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        for _ in range(_CHECKS):
            rules.check(contacts, "web", _START + 100)
        times.append(1e6 * (time.perf_counter() - began) / _CHECKS)
    return statistics.median(times[1:])
