"""A catalog of four entities, logs for it, and what the store must hold of them in the end."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import redis

from nextbest.features import Catalog, Entity, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.features.batch import DUPLICATE
from nextbest.features.entity_keys import key_column
from nextbest.features.kernels.layout import MAX_ID_BYTES
from nextbest.features.online import RowDecoder
from nextbest.features.plan import Plan
from nextbest.features.plans import Plans
from nextbest.flows.partitions import partitions_of
from tests.conftest import row_names
from tests.laws.driver import assert_equal_cells
from tests.naive.features import NaiveFeatures

Event = dict[str, Any]
START = 1_767_225_600_000_000  # 2026-01-01
MINUTE = 60_000_000
LATER = START + 90 * 24 * 60 * MINUTE
SHARDS = 4
PRODUCTS = ("tea", "", "milk", "brød", "x" * MAX_ID_BYTES)
TOO_LONG = "x" * (MAX_ID_BYTES + 1)
KINDS = ("view", "cart", "buy")

shop = EventSchema("shop", types=KINDS, properties={"product": str, "kind": str, "value": float})
product = Entity("product", ["product"])
_popular = [
    agg.count("views", where=event.type == "view", window="1d"),
    agg.count("all"),
    agg.sum("sold", of="value", where=event.type == "buy"),
    agg.decayed("trend", half_life="1h"),
    agg.last_k("prices", of="value", k=3),
    agg.time_since("since_sold", where=event.type == "buy"),
]
products = FeatureView(name="popular", source=shop, entity=product, features=_popular)
catalog = Catalog(
    name="mart",
    lateness="5m",
    views=[
        FeatureView(
            name="visits",
            source=shop,
            features=[agg.count("events", window="session"), agg.sum("spent", of="value")],
        ),
        products,
        FeatureView(
            name="busy",
            source=shop,
            entity=Entity("channel", ["channel"]),
            features=[agg.count("events", by="type", vocabulary=KINDS, window="1h", hop="10m")],
        ),
        FeatureView(
            name="taste",
            source=shop,
            entity=Entity("pair", ["customer_id", "kind"]),
            features=[
                agg.mean("price", of="value"),
                agg.distinct("d", of="type", vocabulary=KINDS),
            ],
        ),
    ],
)
without_customers = Catalog(name="mart", views=[products], lateness="5m")


def make_log(seed: int, n: int, customers: int = 9) -> list[Event]:
    """A log with disorder, repeated events, and events without keys or with too long ones."""
    rng = random.Random(seed)
    log: list[Event] = []
    minute = 0.0
    for i in range(n):
        if log and rng.random() < 0.1:
            log.append(rng.choice(log[-12:]))
            continue
        minute += rng.choice((0, 0.5, 3, 20))
        properties: dict[str, Any] = {"value": rng.randrange(-40, 400) / 8}
        if rng.random() < 0.9:
            properties["product"] = rng.choice(PRODUCTS if rng.random() < 0.95 else (TOO_LONG,))
        if rng.random() < 0.8:
            properties["kind"] = rng.choice(("drink", "food"))
        made: Event = {
            "event_id": f"e{i}",
            "event_timestamp": START + round((minute - rng.choice((0, 0, 2, 30))) * MINUTE),
            "customer_id": f"kunde {rng.randrange(customers)}",
            "type": rng.choice(KINDS),
            "properties": properties,
        }
        channel = rng.choice((None, "", "web", "app"))
        log.append(made if channel is None else {**made, "channel": channel})
    return log


def key_of(entity: Entity, row: Event) -> str | None:
    """The text that an event's row is found by; None if the event has no row of that entity."""
    values = {"channel": row.get("channel") or None, "type": row["type"], **row["properties"]}
    values["customer_id"] = row["customer_id"]
    columns = [pa.array([values.get(name)], pa.string()) for name in entity.join_keys]
    text: str | None = key_column(entity, columns)[0].as_py()
    return None if text is None or len(text.encode()) > MAX_ID_BYTES else text


def accepted(given: Catalog, log: Sequence[Event]) -> list[Event]:
    """The events that their customers' rows did not take for duplicates, by the naive twin."""
    twin = NaiveFeatures(Plans.compile(given).customer.catalog)
    return [row for row in log if twin.apply({"channel": None, **row}) != DUPLICATE]


def twin_of(given: Catalog, entity: Entity, log: Sequence[Event]) -> NaiveFeatures:
    """The naive twin of an entity's rows, fed with what was accepted."""
    twin = NaiveFeatures(given.of(entity.name))
    for number, row in enumerate(accepted(given, log)):
        key = key_of(entity, row)
        if key is not None:
            twin.apply({"channel": None, **row, "customer_id": key, "event_id": str(number)})
    return twin


def assert_store_is_right(url: str, given: Catalog, log: Sequence[Event]) -> None:
    """Assert that every entity has the rows that it should have, and no others."""
    with redis.Redis.from_url(url) as client:
        for entity in given.entities:
            twin = twin_of(given, entity, log)
            own = given.of(entity.name)
            prefix = f"nextbest:{given.name}:{entity.name}:"
            names = row_names(client, prefix)
            keys = [name.decode().removeprefix(prefix) for name in names]
            assert set(keys) == set(twin.customers), entity.name
            stored: Any = client.mget(names)
            for at in (START + 60 * MINUTE, LATER):
                rows = RowDecoder(Plan.compile(own)).decode(stored, at)
                for i, key in enumerate(keys):
                    assert int(rows.age_ms[i]) == twin.age_ms(key, at)
                    assert_equal_cells(own, rows.values[i], rows.state[i], twin, key, at)


def ndjson(log: Sequence[Event]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in log)


def write(folder: Path, log: Sequence[Event], partitions: int) -> Path:
    """Write a log as its producers should: a customer's shard says the partition."""
    names = [row["customer_id"] for row in log]
    where = partitions_of(names, partitions, SHARDS)
    for number in range(partitions):
        part = folder / f"partition={number}"
        part.mkdir(parents=True, exist_ok=True)
        mine = [row for row, its in zip(log, where, strict=True) if its == number]
        (part / "log.ndjson").write_bytes(ndjson(mine))
    return folder
