"""Sums beyond what a float64 holds are missing, and never a number that they are not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nextbest.features import Catalog, EventSchema, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.kernels.read import MISSING, PRESENT
from tests.laws.driver import Kernels, assert_equal_answers, both

DAY = 86_400_000_000
START = 20_000 * DAY
MOST = 1.5e308
SHOP = EventSchema("shop", types=("view",), properties={"value": float})
CATALOG = Catalog(
    name="c",
    views=[
        FeatureView(
            name="v",
            source=SHOP,
            features=[
                agg.sum("all", of="value"),
                agg.mean("mean", of="value"),
                agg.sum("day", of="value", window="1d"),
                agg.decayed("warm", of="value", half_life="7d"),
                agg.max("most", of="value"),
            ],
        )
    ],
)


def event(at: int, value: float) -> dict[str, Any]:
    return {
        "event_id": str(at), "event_timestamp": at, "customer_id": "ann", "type": "view",
        "channel": None, "properties": {"value": value},
    }  # fmt: skip


def read(kernels: Kernels, at: int) -> dict[str, float | None]:
    rows = kernels.state.read(["ann"], at)
    found = {}
    columns = zip(CATALOG.columns, rows.values[0].tolist(), rows.state[0].tolist(), strict=True)
    for column, value, state in columns:
        assert (state, math.isnan(value)) in ((PRESENT, False), (MISSING, True))
        found[column] = value if state == PRESENT else None
    return found


@pytest.mark.parametrize("signs", [(1, 1), (1, 1, -1, -1), (-1, -1)])
def test_a_sum_that_went_too_far_is_missing(signs: tuple[int, ...]) -> None:
    kernels, naive = both(CATALOG)
    events = [event(START + i, sign * MOST) for i, sign in enumerate(signs)]
    events.append(event(START + 100, 5.0))
    for one in events:
        naive.apply(one)
    kernels.apply(events)
    found = read(kernels, START + 100)
    assert [found[f"v:{name}"] for name in ("all", "mean", "day", "warm")] == [None] * 4
    assert found["v:most"] == (MOST if 1 in signs else 5.0)
    later = START + 40 * DAY
    assert read(kernels, later) == found | {"v:day": 0.0}
    assert_equal_answers(kernels, naive, ["ann"], [START + 100, later])


def test_one_large_number_decays_or_is_missing() -> None:
    kernels, naive = both(CATALOG)
    for i, value in enumerate((1e280, 3.0)):
        naive.apply(event(START + i * DAY, value))
        kernels.apply([event(START + i * DAY, value)])
    at = START + DAY
    assert read(kernels, at)["v:warm"] == pytest.approx(1e280 * 2 ** (-1 / 7))
    assert_equal_answers(kernels, naive, ["ann"], [at])
