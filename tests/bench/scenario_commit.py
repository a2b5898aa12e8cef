"""``commit``: decisions a second that one client commits, and what each costs the store.

A decision of 50 features is made from caps alone. With caps the customer's contacts are read,
checked against those of 30 actions, and compared and set with the commit; without, there is
nothing to read. Together are 64 in one call, alone is one after the other; both set contacts. The
reference appends the same lines to a stream, over a connection of the same kind, and nothing else;
all take turns. What the store costs is its processor time, as it tells it.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from operator import truediv
from pathlib import Path
from typing import NamedTuple

import hiredis
import redis
import redis.asyncio

from nextbest.features.online.shared_connection import SharedConnection
from nextbest.flows.decision.commit import AsyncCommitter, Committed, Log
from nextbest.flows.decision.commit_async import Decision
from nextbest.flows.decision.contacts import CapRules, Update
from nextbest.flows.decision.ids import customer_hash
from nextbest.flows.decision.keys import Keys, decision_id
from nextbest.flows.decision.record import Offer, Record, Served, event_of
from nextbest.flows.decision.strategy import Action, Cap, Channel, CoolDown, Objective, Strategy
from nextbest.flows.embedded import ensure_server, stop_server

from .harness import Result

ACTIONS, FEATURES, CUSTOMERS = 30, 50, 2000
AT_ONCE = 64
_START = 1_790_000_000_000_000
_CHECKS = 2000
_LESS = 5
"""How many times fewer are committed alone."""
_LOG = Log("log", None, 16)


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs, count = (3, 2000) if quick else (5, 10_000)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home)
        try:
            found = asyncio.run(_turns(url, runs, count))
            with redis.Redis.from_url(url) as client:
                lines = sum(fields[b"events"].count(b"\n") for _, fields in client.xrange("log"))
        finally:
            stop_server(home)
    assert lines == (4 * count + count // _LESS) * (runs + 1)
    rates = {name: [turn.rate for turn in turns] for name, turns in found.items()}
    store = {name: statistics.median(t.store_us for t in turns) for name, turns in found.items()}
    return Result(
        "commit",
        figures={
            "decisions_per_s": statistics.median(rates["capped"]),
            "without_caps_per_s": statistics.median(rates["free"]),
            "together_per_s": statistics.median(rates["together"]),
            "ratio_append": statistics.median(map(truediv, rates["capped"], rates["append"])),
            "store_us_together": store["together"],
            "store_us_alone": store["alone"],
            "check_us": _check_us(runs),
        },
        detail={
            "append_per_s": statistics.median(rates["append"]),
            "store_us_append": store["append"],
            "line_bytes": len(event_of(_record(0, "green", b""))),
            "at_once": AT_ONCE,
            "runs": runs,
        },
    )


class _Turn(NamedTuple):
    """Decisions a second, and the store's microseconds a decision."""

    rate: float
    store_us: float


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


def _record(number: int, action: str, contacts: bytes, customer: str = "") -> Record:
    at, customer = _START + number, customer or f"customer-{number % CUSTOMERS}"
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


async def _turns(url: str, runs: int, count: int) -> dict[str, list[_Turn]]:
    rules = CapRules.compile(strategy())
    bare = SharedConnection(redis.asyncio.ConnectionPool.from_url(url), 10.0)
    async with (
        AsyncCommitter(url, Keys("bench", "capped"), _LOG) as committer,
        AsyncCommitter(url, Keys("bench", "free"), _LOG) as uncapped,
        AsyncCommitter(url, Keys("bench", "together"), _LOG) as together,
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

        async def alone(number: int) -> None:
            record, update, out, _ = _first(rules, number)
            assert isinstance(await together.commit(record, update, outbound=out), Committed)

        async def append(number: int) -> None:
            line = event_of(_record(number, "action-0", b"")) + b"\n"
            await bare.ask(hiredis.pack_command(("XADD", "log", "*", "events", line)))

        async def all_together(begin: int, many: int) -> None:
            decisions = [_first(rules, begin + n) for n in range(many)]
            for first in range(0, many, AT_ONCE):
                done = await together.commit_many(decisions[first : first + AT_ONCE])
                assert all(isinstance(one, Committed) for one in done)

        async def one_by_one(begin: int, many: int) -> None:
            for number in range(begin, begin + many):
                await alone(number)

        kinds = {
            "capped": (partial(_many, capped), count),
            "free": (partial(_many, free), count),
            "append": (partial(_many, append), count),
            "together": (all_together, count),
            "alone": (one_by_one, count // _LESS),
        }
        found: dict[str, list[_Turn]] = {name: [] for name in kinds}
        begin = 0
        with redis.Redis.from_url(url) as client:
            for turn in range(runs + 1):
                for name, (step, many) in kinds.items():
                    used, began = _processor_us(client), time.perf_counter()
                    await step(begin, many)
                    took = time.perf_counter() - began
                    used = _processor_us(client) - used
                    if turn:  # the first warms up
                        found[name].append(_Turn(many / took, used / many))
                    begin += many
    await bare.close()
    return found


def _first(rules: CapRules, number: int) -> Decision:
    """The first decision for a customer."""
    record = _record(number, "action-0", b"", f"customer-of-{number}")
    update = rules.offered(b"", ["action-0"], "web", record.at)
    return record, update, None, customer_hash(record.customer)


def _processor_us(client: redis.Redis) -> float:
    used = client.info("cpu")
    return 1e6 * (float(used["used_cpu_user"]) + float(used["used_cpu_sys"]))


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
