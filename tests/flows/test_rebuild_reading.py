"""Lookups go on during a rebuild, and a small memory is enough for it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import redis

from nextbest.features import Catalog, EventSchema, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.online import FeatureClient
from tests.flows.entity_cases import LATER, MINUTE, START, assert_store_is_right, make_log, write
from tests.flows.rebuild_cases import CATALOGS, NEW, OLD, Place, new

THEN = START + 60 * MINUTE
"""Before most rows' newest event, as of which they are then read: sessions are open."""


@pytest.mark.parametrize("catalog", [OLD, NEW], ids=["old-reader", "new-reader"])
def test_no_lookup_sees_a_wrong_value_meanwhile(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch, catalog: str
) -> None:
    place = Place(tmp_path / "data", store_url, tmp_path / "log")
    log = make_log(51, 500, customers=40)
    place.write(log)
    place.run(OLD)
    monkeypatch.setattr("nextbest.flows.shard._ROWS_A_FLUSH", 3)  # many moments to look at
    given = CATALOGS[catalog]
    customers = sorted({row["customer_id"] for row in log})
    ready, done = threading.Event(), threading.Event()
    seen: list[Any] = []

    def read() -> None:
        with FeatureClient(store_url, given) as client:
            while not done.is_set():
                found = client.get(customers, at=THEN, features=["visits"])
                seen.append((found.rows.values.copy(), found.rows.state.copy()))
                ready.set()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert ready.wait(60)
        place.rebuild(NEW)
    finally:
        done.set()
        thread.join(60)
    assert_store_is_right(store_url, new, log)
    with FeatureClient(store_url, given) as client:
        seen.append((client.get(customers, at=THEN, features=["visits"]).rows.values, None))
    last = seen[-1][0]
    first = seen[0][0]
    assert len(seen) > 2
    # Each cell is missing or has the one value that the whole log gives it.
    shared = place_of(given, "events")
    assert np.isfinite(first[:, shared]).all()
    for values, _ in seen:
        assert np.array_equal(values[:, shared], last[:, shared])
        both = np.isfinite(values) & np.isfinite(last)
        assert np.array_equal(values[both], last[both])


def place_of(given: Catalog, feature: str) -> int:
    own = given.of("customer")
    return own.columns.index(f"visits:{feature}")


shop = EventSchema("shop", types=("view",), properties={"value": float})
_narrow = FeatureView(name="v", source=shop, features=[agg.count("n")])
_wide = FeatureView(
    name="v",
    source=shop,
    features=[agg.count("n"), agg.last_k("last", of="value", k=64), agg.sum("s", of="value")],
)
narrow = Catalog(name="mart", views=[_narrow])
wide = Catalog(name="mart", views=[_wide])
CUSTOMERS = 30_000


def test_a_small_memory_is_enough(tmp_path: Path, store_url: str, store: redis.Redis) -> None:
    place = Place(
        tmp_path / "data", store_url, tmp_path / "log",
        options={"memory_bytes": 16 << 20, "epoch_seconds": 0.5, "batch_rows": 4096},
    )  # fmt: skip
    here = "tests.flows.test_rebuild_reading"
    CATALOGS[f"{here}:wide"] = wide
    rng = np.random.default_rng(5)
    who = rng.integers(0, CUSTOMERS, 60_000)
    log = [
        {
            "event_id": f"e{i}", "event_timestamp": START + i * 1000, "type": "view",
            "customer_id": f"c{number}", "properties": {"value": i / 8},
        }
        for i, number in enumerate(who.tolist())
    ]  # fmt: skip
    write(place.log, log, 1)
    place.run(f"{here}:narrow")
    place.rebuild(f"{here}:wide", threads=2)
    rows = place.rows(f"{here}:wide")
    names = rows["customer"][0]
    assert len(names) == len(np.unique(who))
    counts: Any = [store.get(f"nextbest:mart:shard:{shard}:counts") for shard in range(4)]
    assert sum(msgspec.json.decode(each)["accepted"] for each in counts) == len(log)
    ids = [name.decode().rpartition(":")[2] for name in names]
    with FeatureClient(store_url, wide) as client:
        parts = [client.get(ids[i : i + 9999], at=LATER) for i in range(0, len(ids), 9999)]
    found = np.concatenate([part.rows.values for part in parts])
    at = wide.columns.index("v:n"), wide.columns.index("v:s")
    totals = np.bincount(who, minlength=CUSTOMERS)
    sums = np.bincount(who, np.arange(len(who)) / 8, minlength=CUSTOMERS)
    numbers = [int(name[1:]) for name in ids]
    assert np.array_equal(found[:, at[0]], totals[numbers])
    assert np.allclose(found[:, at[1]], sums[numbers])
    place.run(f"{here}:wide")
    assert place.rows(f"{here}:wide") == rows
