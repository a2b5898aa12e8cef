"""Lookups of rows that are of an older declaration yet are logged as such, and not compared."""

from __future__ import annotations

from pathlib import Path

import httpx
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import redis

from nextbest.features import Catalog, FeatureView
from nextbest.features.audit import audit
from nextbest.features.online import FeatureClient
from nextbest.features.served_lookups import read_lookups
from tests.features.online_cases import write_rows
from tests.flows.service import shop
from tests.flows.service.world import EVENTS, NOW, served
from tests.laws.driver import decode_rows

OLD = Catalog(
    name="shop",
    views=[
        FeatureView(name="visits", source=shop.shop, features=shop.visits.features[:1]),
        shop.pairs,
    ],
)
OF_ANN = [one for one in EVENTS if one["customer_id"] == "ann"]


def archive(directory: Path) -> Path:
    table = decode_rows(shop.shop, EVENTS)
    table = table.append_column("position", pa.array(np.arange(len(EVENTS))))
    table = table.append_column("late", pa.array(np.zeros(len(EVENTS), np.bool_)))
    (directory / "partition=0").mkdir(parents=True)
    pq.write_table(table, directory / "partition=0" / "epoch-00000000.parquet")
    return directory


def test_an_older_row_is_no_skew(store: redis.Redis, store_url: str, tmp_path: Path) -> None:
    customers = OLD.of("customer")
    write_rows(store, customers, EVENTS)
    pair = {"customer_id": ["ann"], "category": ["tea"]}
    bodies = [
        {"ids": ["ann", "nobody"], "features": ["visits"], "at": NOW},
        {"ids": pair, "features": ["visits:events", "pairs:n"], "at": NOW},
    ]
    with served(store_url, tmp_path / "home", NEXTBEST_LOOKUP_LOG_SHARE="1") as service:
        for body in bodies:
            assert httpx.post(f"{service.url}/v1/features", json=body).status_code == 200
        write_rows(store, shop.catalog.of("customer"), EVENTS)
        assert httpx.post(f"{service.url}/v1/features", json=bodies[0]).status_code == 200
        assert service.stop() == 0
    lookups = list(read_lookups(tmp_path / "home" / "lookups"))
    older = [(one.id, one.entity) for one in lookups if one.older]
    assert older == [("ann", "customer")] * 2
    assert b"older" not in msgspec.json.encode(lookups[-1])
    report = audit(
        shop.catalog,
        archive(tmp_path / "events"),
        lookups,
        is_archived=lambda a, b: [True] * len(a),
    )
    assert (report.differences, report.lookups) == (0, len(lookups) - len(older) - 1)
    assert report.others["of rows that were of an older declaration yet"] == 2


def test_an_answer_says_which_rows_are_older(store: redis.Redis, store_url: str) -> None:
    ids = ["ann", "nobody", "ben"]
    new = shop.catalog.of("customer")
    write_rows(store, new, EVENTS)
    with FeatureClient(store_url, new) as client:
        assert client.get(ids, at=NOW).older is None
        write_rows(store, OLD.of("customer"), OF_ANN)
        found = client.get(ids, at=NOW).older
        assert found is not None
        assert found.tolist() == [True, False, False]
