"""What the tests of lookups share: a catalog of three entities, and rows of theirs in the store."""

from __future__ import annotations

from typing import Any

import redis

from nextbest.features import Catalog, Entity, EventSchema, FeatureService, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.features.declared import declare_commands
from nextbest.features.entity_keys import key_text
from nextbest.features.online import key_prefix
from tests.laws.driver import Kernels

START = 1_767_225_600_000_000
MINUTE = 60_000_000
HOUR = 60 * MINUTE
NOW = START + 10 * HOUR
WORDS = ("tea", "coffee", "milk")

shop = EventSchema(
    "shop", types=("view", "buy"), properties={"product": str, "word": str, "value": float}
)
product = Entity("product", ["product"])
pair = Entity("pair", ["customer_id", "product"])
catalog = Catalog(
    name="shop",
    views=[
        FeatureView(
            name="visits",
            source=shop,
            features=[
                agg.count("n"),
                agg.sum("spend", of="value", window="1d"),
                agg.last("word", of="word", vocabulary=WORDS),
                agg.count("bought", where=event.type == "buy"),
                agg.ratio("share", "bought", "n"),
            ],
        ),
        FeatureView(
            name="items",
            source=shop,
            entity=product,
            features=[agg.count("seen"), agg.count("words", by="word", vocabulary=WORDS)],
        ),
        FeatureView(
            name="pairs", source=shop, entity=pair, features=[agg.count("times")], ttl="1h"
        ),
    ],
    services=[
        FeatureService(name="ranking", features=["items:seen", "visits:spend", "pairs"]),
        FeatureService(name="person", features=["visits:share", "visits:word"]),
    ],
)

Event = dict[str, Any]


def happened(customer: str, product_: str, at: int, **more: Any) -> Event:
    """An event of the wire."""
    kind = more.pop("type", "view")
    return {
        "event_id": f"{customer}-{product_}-{at}",
        "event_timestamp": at,
        "customer_id": customer,
        "type": kind,
        "properties": {"product": product_, "word": "tea", "value": 2.5} | more,
    }


EVENTS = [
    happened("ann", "hat", START, type="buy"),
    happened("ann", "hat", START + HOUR, word="milk"),
    happened("ann", "Schüh", NOW - 2 * MINUTE, word="coffee"),
    happened("ben", "hat", NOW - 30 * MINUTE, type="buy", value=7.0),
]


def send(store: redis.Redis, kernels: Kernels) -> None:
    """Send the rows that changed as the worker does: the bytes, to the server, over a socket."""
    commands = kernels.state.encode_changes(key_prefix(kernels.catalog))
    connection: Any = store.connection_pool.get_connection()
    connection.send_packed_command([commands.payload.tobytes()])
    for _ in range(commands.replies):
        assert connection.read_response() == b"OK"
    store.connection_pool.release(connection)


def keyed(events: list[Event], entity: Entity) -> list[Event]:
    """The events as an entity's shards are given them: by the text of its key."""
    named = []
    for one in events:
        columns = one["properties"] | {"customer_id": one["customer_id"]}
        key = key_text(entity, [columns[key] for key in entity.join_keys])
        named.append(one | {"customer_id": key})
    return named


def write_rows(
    store: redis.Redis, declared: Catalog, events: list[Event], *, declare: bool = True
) -> dict[str, Kernels]:
    """Compute and send the rows of every entity, and the declaration; return the states."""
    states = {}
    for entity in declared.entities:
        kernels = states[entity.name] = Kernels(declared.of(entity.name))
        kernels.apply(keyed(events, entity))
        send(store, kernels)
    for command in declare_commands(declared) if declare else ():
        store.execute_command(*command)
    return states
