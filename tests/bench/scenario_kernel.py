"""``kernel``: the shard step alone, 40 features, against the same features in plain Python."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa

from nextbest.features.batch import EventBatch
from nextbest.features.codec import EventDecoder
from nextbest.features.encoder import RecordEncoder
from nextbest.features.online import key_prefix
from nextbest.features.plan import Plan
from nextbest.features.state import ShardState

from .catalog import catalog
from .harness import Result, median_rate
from .plain import PlainCustomer, plain_events
from .workload import DAY, shop_events

BATCH = 10_000


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs = 3 if quick else 5
    plan = Plan.compile(catalog)
    small = _steady(plan, customers=10_000, days=30.0, events=1_000_000, runs=runs)
    large_customers = 200_000 if quick else 1_000_000
    large = _preloaded(plan, large_customers, runs=runs)
    plain = _plain(events=20_000 if quick else 50_000, runs=runs)
    return Result(
        "kernel",
        figures={
            "events_per_s": small["events_per_s"],
            "ratio_naive": small["events_per_s"] / plain,
            "row_bytes": small["row_bytes"],
        },
        detail={
            "customers": 10_000,
            f"events_per_s_{large_customers}_customers": large,
            "naive_events_per_s": plain,
            "features": len(list(catalog.features())),
            "operations": len(plan.tables.operations),
            "dense_row_bytes": 8 * plan.words,
            "batch": BATCH,
            "runs": runs,
        },
    )


def encode(plan: Plan, events: pa.Table) -> list[EventBatch]:
    """Encode a table in batches of `BATCH`."""
    decoder, encoder = EventDecoder(catalog.source), RecordEncoder(plan.categorical, plan.numeric)
    out = []
    for start in range(0, events.num_rows, BATCH):
        decoded = decoder.decode_arrow(events.slice(start, BATCH).combine_chunks())
        positions = decoded.index + start
        out.append(encoder.encode(decoded.table, positions))
    return out


def _steady(plan: Plan, *, customers: int, days: float, events: int, runs: int) -> dict[str, float]:
    """Rate over the second half of a month in which each customer has about 100 events."""
    batches = encode(plan, shop_events(customers, events, days))
    state = ShardState(plan)
    half = len(batches) // 2
    for batch in batches[:half]:
        state.apply(batch)
    rate = median_rate(state.apply, batches[half:], runs)
    commands = state.encode_changes(key_prefix(catalog))
    overhead = len(key_prefix(catalog)) + len("customer-5000") + len("$24\r\n\r\n$1000\r\n\r\n")
    return {
        "events_per_s": rate,
        "row_bytes": len(commands.payload) / commands.rows - overhead,
    }


def _preloaded(plan: Plan, customers: int, *, runs: int) -> float:
    """Rate over one day's visits when every customer is known already."""
    rng = np.random.default_rng(1)
    known = shop_events(customers, customers, 1.0, seed=5)
    names = pa.array(np.char.add("customer-", rng.permutation(customers).astype(str)))
    known = known.set_column(2, "customer_id", names)
    known = known.set_column(
        0, "event_id", pa.array(np.char.add("p", np.arange(customers).astype(str)))
    )
    state = ShardState(plan)
    for batch in encode(plan, known):
        state.apply(batch)
    del known
    batches = encode(plan, shop_events(customers, customers, 1.0, seed=2))
    for batch in batches:
        batch.records[:, 0] += np.uint64(2 * DAY)
    return median_rate(state.apply, batches, runs)


def _plain(*, events: int, runs: int) -> float:
    pairs = plain_events(shop_events(10_000 * events // 1_000_000 or 1, events, 30.0))

    def step(part: list[tuple[str, dict[str, Any]]]) -> None:
        for customer, event in part:
            known = customers.get(customer)
            if known is None:
                known = customers[customer] = PlainCustomer()
            known.update(event)

    customers: dict[str, PlainCustomer] = {}
    step(pairs[: events // 2])
    parts = [pairs[i : i + 1000] for i in range(events // 2, events, 1000)]
    return median_rate(step, parts, runs)


def warm_up() -> float:
    """Compile the kernels; return the seconds it took."""
    began = time.perf_counter()
    plan = Plan.compile(catalog)
    state = ShardState(plan)
    for batch in encode(plan, shop_events(10, 100, 1.0)):
        state.apply(batch)
    state.encode_changes(b"")
    return time.perf_counter() - began
