"""The benchmarks' reference computes the same features: only then is a ratio one."""

from __future__ import annotations

import math

import pytest

from nextbest.features.plan import Plan
from nextbest.features.state import ShardState

from .catalog import CATEGORIES, catalog
from .plain import PlainCustomer, plain_events
from .run import SCENARIOS
from .scenario_kernel import encode
from .workload import DAY, START, shop_events


def test_plain_python_equals_the_kernels() -> None:
    events = shop_events(20, 1200, 40.0)
    state = ShardState(Plan.compile(catalog), max_slots=1 << 10)
    for batch in encode(state.plan, events):
        state.apply(batch)
    customers: dict[str, PlainCustomer] = {}
    for customer, event in plain_events(events):
        customers.setdefault(customer, PlainCustomer()).update(event)
    assert len(customers) == len(state) == 20
    newest = max(plain.last for plain in customers.values())
    for at in (newest, START + 41 * DAY):
        rows = state.read(list(customers), at)
        for plain, values in zip(customers.values(), rows.values.tolist(), strict=True):
            expected: list[float] = []
            for value in plain.features(at).values():
                numbers = value if isinstance(value, list) else [value]
                expected.extend(math.nan if n is None else n for n in numbers)
            assert values == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def test_a_catalog_of_forty_features() -> None:
    assert len(list(catalog.features())) == 40
    assert len(catalog.columns) == 38 + 2 * len(CATEGORIES)


def test_scenarios_say_what_they_measure() -> None:
    permanent = {"kernel", "ingest-parquet", "recovery", "freshness", "scale", "ingest-json"}
    permanent |= {"lookup"}
    assert permanent <= SCENARIOS.keys()
