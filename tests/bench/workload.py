"""Events of a shop as it is: visits of several events, many customers at a time, in time order."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from .catalog import CATEGORIES, TYPES

SECOND = 1_000_000
DAY = 86_400 * SECOND
START = 1_767_225_600 * SECOND  # 2026-01-01
EVENTS_A_VISIT = 8
SECONDS_BETWEEN = 45.0
_SHARE = (0.7, 0.1, 0.1, 0.1)  # of TYPES


def shop_events(customers: int, events: int, days: float, *, seed: int = 0) -> pa.Table:
    """Make ``events`` events of ``customers`` customers over ``days`` days, in time order.

    A visit has `EVENTS_A_VISIT` events on average (geometric), `SECONDS_BETWEEN` seconds apart on
    average (exponential); visits begin uniformly over the days and the customers.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.geometric(1.0 / EVENTS_A_VISIT, 1 + 2 * events // EVENTS_A_VISIT)
    visits = int(np.searchsorted(np.cumsum(sizes), events)) + 1
    sizes = sizes[:visits]
    visit = np.repeat(np.arange(visits), sizes)[:events]
    starts = rng.uniform(0.0, days * DAY, visits)
    gaps = rng.exponential(SECONDS_BETWEEN * SECOND, events)
    since = np.cumsum(gaps)
    first = np.searchsorted(visit, np.arange(visits))
    time = starts[visit] + since - since[first][visit]
    order = np.argsort(time, kind="stable")
    who = rng.integers(0, customers, visits)[visit][order]
    kind = rng.choice(len(TYPES), events, p=_SHARE)
    priced = (kind == TYPES.index("purchase")) | (kind == TYPES.index("cart"))
    searched = kind == TYPES.index("search")
    value = np.round(rng.gamma(2.0, 20.0, events), 2)
    names = np.char.add("customer-", np.arange(customers).astype(str))
    return pa.table(
        {
            "event_id": np.char.add("e", np.arange(events).astype(str)),
            "event_timestamp": pa.array(
                START + time[order].astype(np.int64), pa.timestamp("us", tz="UTC")
            ),
            "customer_id": pa.array(names).take(pa.array(who)),
            "type": _dictionary(kind, TYPES),
            "channel": _dictionary(rng.integers(0, 2, events), ("web", "app")),
            "category": _dictionary(rng.zipf(1.4, events) % len(CATEGORIES), CATEGORIES),
            "value": pa.array(value, mask=~priced),
            "results": pa.array(rng.poisson(3.0, events), pa.int64(), mask=~searched),
        }
    )


def as_lines(events: pa.Table) -> list[bytes]:
    """Write events as a producer would: compact JSON of about 190 bytes, ids like UUIDs."""
    columns = events.to_pydict()
    stamps = events["event_timestamp"].cast("int64").to_pylist()
    lines = []
    for i, stamp in enumerate(stamps):
        names = ("category", "value", "results")
        event = {
            "event_id": f"{i:08x}-7c4a-7d1e-9b2f-{i:012x}",
            "event_timestamp": stamp,
            "customer_id": columns["customer_id"][i],
            "type": columns["type"][i],
            "channel": columns["channel"][i],
            "properties": {n: columns[n][i] for n in names if columns[n][i] is not None},
        }
        lines.append(json.dumps(event, separators=(",", ":")).encode())
    return lines


def as_blobs(lines: list[bytes], size: int = 1 << 20) -> list[bytes]:
    """Join lines into blobs of about so many bytes."""
    each = size * len(lines) // sum(len(line) + 1 for line in lines)
    return [b"\n".join(lines[i : i + each]) + b"\n" for i in range(0, len(lines), each)]


def _dictionary(codes: Any, words: tuple[str, ...]) -> pa.DictionaryArray[Any]:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(words))
