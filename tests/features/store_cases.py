"""A small catalog, events for it, and a store driven beside a plain state that never ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nextbest.features import Catalog, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.features.batch import EventBatch
from nextbest.features.manifest import Manifest
from nextbest.features.row_commands import RowCommands
from nextbest.features.state import ShardState, hash_ids
from nextbest.features.store import ShardStore
from tests.laws.driver import Kernels

START = 1_767_225_600_000_000
HOUR = 3_600_000_000
LATER = START + 40 * HOUR

shop = EventSchema("shop", types=("view", "buy"), properties={"value": float})
catalog = Catalog(
    name="demo",
    views=[
        FeatureView(
            name="v",
            source=shop,
            features=[
                agg.count("n"),
                agg.sum("spend", of="value", window="session"),
                agg.max("most", of="value", window="1d"),
                agg.decayed("warm", half_life="1h"),
                agg.count("bought", where=event.type == "buy", window="last_session"),
            ],
        )
    ],
)
other_catalog = Catalog(name="demo", views=catalog.views, lateness="1m")


def customer(number: int) -> str:
    """An id; some are longer than others, and not ASCII."""
    return f"customer-{number}" + "é" * (number % 7)


def make_events(seed: int, customers: Sequence[int]) -> list[dict[str, object]]:
    """One event of each of the customers; a few are sent again."""
    rng = np.random.default_rng(seed)
    made = [
        {
            "event_id": f"{seed}-{i}",
            "event_timestamp": START + seed * 60_000_000 + int(rng.integers(0, HOUR)),
            "customer_id": customer(number),
            "type": "view" if rng.random() < 0.7 else "buy",
            "properties": {"value": float(rng.normal())},
        }
        for i, number in enumerate(customers)
    ]
    return made + made[: int(rng.integers(0, 3))]


def new_kernels() -> Kernels:
    """A plain state, to compare with, and the encoder of events."""
    return Kernels(catalog)


def bytes_for(kernels: Kernels, customers: int) -> int:
    """Memory for so many customers."""
    return customers * (kernels.state.customer_bytes + 64)


def publish(store: ShardStore, most: int = 65536) -> dict[bytes, bytes]:
    """Encode all that waits; return the rows by key. None may come twice."""
    rows: dict[bytes, bytes] = {}
    count = 0
    while store.unpublished:
        commands = store.encode_changes(b"p:", most)
        assert commands.rows <= most
        rows |= parse(commands)
        count += commands.rows
    assert count == len(rows)
    return rows


def parse(commands: RowCommands) -> dict[bytes, bytes]:
    """The keys and values of ``MSET`` commands."""
    data, at, words = commands.payload.tobytes(), 0, []
    while at < len(data):
        stop = data.index(b"\r\n", at)
        if data[at : at + 1] == b"*":
            at = stop + 2
            continue
        length = int(data[at + 1 : stop])
        words.append(data[stop + 2 : stop + 2 + length])
        at = stop + 4 + length
    words = [word for word in words if word != b"MSET"]
    return dict(zip(words[::2], words[1::2], strict=True))


def expected_rows(state: ShardState) -> dict[bytes, bytes]:
    """What a plain state publishes of all its customers."""
    state.publish_again(None)
    return parse(state.encode_changes(b"p:"))


def apply(store: ShardStore, batch: EventBatch) -> Any:
    """As the dataflow does it: publish and make room where that is needed."""
    if store.needs_room(len(batch)):
        publish(store)
        store.make_room(len(batch))
    return store.apply(batch)


def assert_same_reads(store: ShardStore, state: ShardState, ids: Sequence[str]) -> None:
    """Assert that both answer alike, bit by bit."""
    asked = [*ids, "nobody"]
    for at in (START, LATER):
        got: Any
        want: Any
        for got, want in zip(store.read(asked, at), state.read(asked, at), strict=True):
            assert got.tobytes() == want.tobytes()


def dense(store: ShardStore) -> dict[str, bytes]:
    """Every row's words, ids and previous sessions included, wherever it is."""
    words = store.plan.words
    found = {}
    for name in store.customers():
        keys = hash_ids([name])
        slot = int(store.state.find(keys)[0])
        memory = store.state.rows.u64
        if not slot:
            memory, slots = store._bring(keys)
            slot = int(slots[0])
        assert slot
        found[name] = memory[words * slot : words * (slot + 1)].tobytes()
    return found


def dense_state(state: ShardState) -> dict[str, bytes]:
    """As `dense`, of a plain state."""
    words = state.plan.words
    return {
        name: state.rows.u64[words * slot : words * (slot + 1)].tobytes()
        for slot, name in enumerate(state.customers(), 1)
    }


def reopen(store: ShardStore, directory: Path, manifest: Manifest, **options: Any) -> ShardStore:
    """End a store as a process ends, and begin from a manifest."""
    store.close()
    return ShardStore(store.plan, directory, 0, manifest, **options)
