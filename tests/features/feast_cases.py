"""A shop of several entities and services, for the tests of the Feast plugins."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from nextbest.features import Catalog, Entity, EventSchema, FeatureService, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.features.entity_keys import key_text
from nextbest.features.online import key_prefix
from nextbest.flows.pipeline import build_flow
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from nextbest.flows.sources import FileSource
from tests.laws.driver import Kernels
from tests.naive.features import NaiveFeatures

Row = dict[str, Any]
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 1440 * MINUTE
START = 1_767_225_600 * SECOND + 7
CATEGORIES = ("shoes", "hats", 'naïve, "odd"')

SHOP = EventSchema(
    "shop",
    types=("view", "cart"),
    properties={"category": str, "product_id": str, "value": float, "n": int},
)
CART = event.type == "cart"
PRODUCT = Entity("product", ["product_id"])
PAIR = Entity("pair", ["customer_id", "category"], "A customer and a category")
VISIT = FeatureView(
    name="visit",
    source=SHOP,
    features=[
        agg.count("events", window="session"),
        agg.mean("mean_value", of="value", where=CART, window="session"),
        agg.last("last_category", of="category", vocabulary=CATEGORIES, window="session"),
        agg.last_k("trail", of="category", k=3, vocabulary=CATEGORIES),
        agg.last_k("recent_values", of="value", k=4),
        agg.count("by_category", by="category", vocabulary=CATEGORIES, window="session"),
        agg.mean("mean_by_category", of="value", by="category", vocabulary=CATEGORIES),
    ],
)
HISTORY = FeatureView(
    name="history",
    source=SHOP,
    ttl="2d",
    features=[
        agg.count("all_events"),
        agg.sum("total", of="value", window="1d"),
        agg.time_since("since_cart", where=CART),
    ],
)
POPULARITY = FeatureView(
    name="popularity",
    source=SHOP,
    entity=PRODUCT,
    features=[
        agg.count("views_7d", window="7d"),
        agg.decayed("heat", half_life="1d"),
        agg.last("bought_as", of="category", vocabulary=CATEGORIES),
    ],
)
TASTE = FeatureView(
    name="taste",
    source=SHOP,
    entity=PAIR,
    ttl="3d",
    features=[agg.count("seen"), agg.max("dearest", of="value")],
)
CATALOG = Catalog(
    name="feast_cases",
    views=[VISIT, POPULARITY, HISTORY, TASTE],
    services=[
        FeatureService(
            name="ranking",
            features=["history:total", "visit:trail", "history:all_events", "visit:events"],
            description="What the ranker reads",
            owner="r@shop",
            tags={"team": "ranking"},
        ),
        FeatureService(name="shelf", features=["popularity"]),
    ],
)
CUSTOMER_REFS = [
    f"{view.name}:{feature.name}" for view in (VISIT, HISTORY) for feature in view.features
]
STATUS = {
    "present": FieldStatus.PRESENT,
    "missing": FieldStatus.NULL_VALUE,
    "expired": FieldStatus.OUTSIDE_MAX_AGE,
}


def _row(customer: str, at: int, **properties: Any) -> Row:
    return {
        "event_id": f"{customer} {at}",
        "event_timestamp": at,
        "customer_id": customer,
        "type": "cart" if "value" in properties else "view",
        "channel": None,
        "properties": properties,
    }


EVENTS = [
    _row("ada", START, category="shoes", product_id="p1", n=2**40),
    _row("bob", START + MINUTE, n=1),
    _row("ada", START + 2 * MINUTE, category=CATEGORIES[2], product_id="p2", value=-0.5),
    _row("é, ß", START + 3 * MINUTE, category="hats", value=1e300),
    _row("ada", START + 4 * MINUTE, category="hats", product_id="p1", value=2.5),
    _row("bob", START + DAY, category="shoes", product_id="p1", value=7.0),
    _row("cy", START + 2 * DAY - 5 * MINUTE),
    _row("ada", START + 2 * DAY, category="shoes", product_id="p2", value=30.0),
]
"""In the order of time, so that none is late."""
END = START + 2 * DAY
IDS = {
    "customer": ["bob", "nobody", "ada", "é, ß", "cy", "ada"],
    "product": ["p2", "p1", "p?"],
    "pair": [("ada", "shoes"), ("bob", "hats"), ("ada", CATEGORIES[2]), ("é, ß", "hats")],
}


def seen_by(entity: str, until: int = END) -> list[Row]:
    """Return the events that count for an entity, each as of the "customer" of its key."""
    keys = next(e for e in CATALOG.entities if e.name == entity)
    found = []
    for row in EVENTS:
        columns = {"customer_id": row["customer_id"], **row["properties"]}
        parts = [columns.get(key) for key in keys.join_keys]
        if row["event_timestamp"] <= until and None not in parts:
            found.append({**row, "customer_id": key_text(keys, parts)})
    return found


def expected(entity: str, key: str | Sequence[str], at: int) -> dict[str, tuple[Any, Any]]:
    """Return value and status by ``view:feature``, recomputed from the raw events."""
    catalog = CATALOG.of(entity)
    text = key_text(catalog.entity, key)
    twin = NaiveFeatures(catalog)
    for row in seen_by(entity, at):
        twin.apply(row)
    cells = twin.read(text, at)
    found: dict[str, tuple[Any, Any]] = {}
    column = 0
    for view, feature in catalog.features():
        part = cells[column : column + len(feature.columns)]
        column += len(part)
        states = [state for _, state in part]
        made: list[Any] = [float("nan") if number is None else number for number, _ in part]
        if feature.aggregation == "last_k":
            made = made[: states.index("missing") if "missing" in states else None]
        status = next((s for s in ("present", "expired") if s in states), "missing")
        if status == "present" and feature.dtype == "int64":
            made = [int(number) for number in made]
        if status == "present" and feature.is_categorical:
            made = [feature.vocabulary[int(number)] for number in made]
        value = None if status != "present" else made if feature.is_vector else made[0]
        known = text in twin.customers
        found[f"{view.name}:{feature.name}"] = (
            value,
            STATUS[status] if known else FieldStatus.NOT_FOUND,
        )
    return found


def is_same(ours: Any, theirs: Any) -> bool:
    """Are two values equal, of one type, floats to 1e-9?"""
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(is_same, ours, theirs))
    if type(ours) is not type(theirs) or not isinstance(theirs, float):
        return type(ours) is type(theirs) and bool(ours == theirs)
    return (math.isnan(ours) and math.isnan(theirs)) or math.isclose(ours, theirs, rel_tol=1e-9)


def publish(store: redis.Redis) -> None:
    """Write the rows of every entity as workers do."""
    connection: Any = store.connection_pool.get_connection()
    for entity in CATALOG.entities:
        kernels = Kernels(CATALOG.of(entity.name))
        kernels.apply(seen_by(entity.name))
        commands = kernels.state.encode_changes(key_prefix(CATALOG.of(entity.name)))
        connection.send_packed_command([bytes(commands.payload)])
        assert [connection.read_response() for _ in range(commands.replies)] == [b"OK"]
    store.connection_pool.release(connection)


def make_archive(directory: Path, url: str) -> Path:
    """Run the dataflow over the events; return where it archived them."""
    log = directory / "log.ndjson"
    rows = [{k: v for k, v in row.items() if k != "channel"} for row in EVENTS]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = Settings(data_dir=directory / "data", shards=2, epoch_seconds=0.01)
    flow = build_flow(FileSource(log), CATALOG, settings, url)
    run_flow(flow, settings)
    return settings.archive_dir / "events"
