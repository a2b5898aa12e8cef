"""One definition, equal answers, of entities other than the customer.

What customers' rows accepted goes to the rows of any other entity, through the parts of the
dataflow but the engine. The answers equal the plain recomputation, however the log was cut into
partitions, chunks and shards, and however the partitions' chunks were interleaved.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from nextbest.features import Catalog, Entity
from nextbest.features.batch import DUPLICATE
from nextbest.features.entity_keys import key_column
from nextbest.features.events import MAX_TIMESTAMP
from nextbest.features.plans import Plans
from nextbest.flows.assemble import Assembler, ChunkTable, Verdict
from nextbest.flows.decode import ChunkDecoder, ShardEvents
from nextbest.flows.entities import EntityEvents, EntityLogic, EntitySplitter
from nextbest.flows.featurize import ShardLogic
from nextbest.flows.settings import Settings
from nextbest.flows.sources.chunk import RawChunk
from tests.laws import declarations
from tests.laws import strategies as some
from tests.laws.driver import _wire, assert_equal_cells, batches, law, patience, reading_times
from tests.laws.strategies import Row
from tests.naive.features import NaiveFeatures

pytestmark = patience
ORDER_FREE = (("lifetime", None), *declarations.SLIDING)
KEYS = ("customer_id", "channel", "type", "category", "brand")
SIZES = st.lists(st.sampled_from((1, 3, 20, 60)), min_size=1, max_size=3)


@st.composite
def several_entities(draw: st.DrawFn) -> Catalog:
    """A catalog of an entity of one to three keys, and perhaps of customers too."""
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
    if keys == ["customer_id"]:
        keys = ["customer_id", "category"]
    gap = draw(st.sampled_from(declarations.GAPS))
    made = [draw(some.views("theirs", gap, (), Entity("thing", keys), ORDER_FREE))]
    if draw(st.booleans()):
        made.insert(draw(st.sampled_from((0, 1))), draw(some.views("own", gap)))
    lateness = draw(st.sampled_from((None, None, "5m", 0)))
    return Catalog(name="drawn", views=made, lateness=lateness)


def key_of(entity: Entity, row: Row) -> str | None:
    values = {**row["properties"], "type": row["type"], "channel": row["channel"] or None}
    values["customer_id"] = row["customer_id"]
    columns = [pa.array([values.get(key)], pa.string()) for key in entity.join_keys]
    text: str | None = key_column(entity, columns)[0].as_py()
    return text


class Flow:
    """Every step from chunks to rows, with shards for customers and for the other entity."""

    def __init__(self, catalog: Catalog, shards: int) -> None:
        self.plans = Plans.compile(catalog)
        settings = Settings(shards=shards, archive=False)
        self.decode = ChunkDecoder(
            self.plans.customer, settings, tables=True, now=lambda: MAX_TIMESTAMP
        )
        self.customers = [ShardLogic(self.plans.customer, shard) for shard in range(shards)]
        self.things = [EntityLogic(self.plans.others[0], shard) for shard in range(shards)]
        self.split = EntitySplitter(self.plans, shards)
        self.assemblers: dict[int, Assembler] = {}
        self.places: dict[int, tuple[int, int]] = {}

    def take(self, partition: int, rows: Sequence[Row]) -> None:
        seq, position = self.places.get(partition, (0, 0))
        self.places[partition] = seq + 1, position + len(rows)
        text = b"\n".join(json.dumps(_wire(row)).encode() for row in rows)
        chunk = RawChunk(partition, position, "ndjson", text, "log", 1, seq, len(rows))
        whole = self.assemblers.setdefault(partition, Assembler())
        items: list[Any] = []
        for part in self.decode(chunk):
            if isinstance(part, ShardEvents):
                items += self.customers[part.shard].on_events(part)
            else:
                items.append(part)
        kept = [item for item in items if isinstance(item, ChunkTable | Verdict)]
        for _, events in self.split([("", each) for each in whole.on_items(kept)]):
            assert isinstance(events, EntityEvents)
            list(self.things[events.shard].on_events(events))
        whole.check_empty()


@law(120)
@given(st.data(), st.sampled_from((1, 3)), st.sampled_from((1, 2, 3)))
def test_any_entity(data: st.DataObject, shards: int, partitions: int) -> None:
    catalog = data.draw(several_entities())
    rows = some.arrivals(catalog, data.draw(some.moves(catalog)), data.draw(some.starts))
    own = catalog.of("thing")
    twin = NaiveFeatures(own)
    decides = NaiveFeatures(Plans.compile(catalog).customer.catalog)
    for number, row in enumerate(rows):
        key = key_of(own.entity, row)
        if decides.apply(row) != DUPLICATE and key is not None:
            twin.apply({**row, "customer_id": key, "event_id": str(number)})

    flow = Flow(catalog, shards)
    waiting = []
    for partition in range(partitions):
        mine = [r for r in rows if some.CUSTOMERS.index(r["customer_id"]) % partitions == partition]
        waiting += [(partition, part) for part in batches(mine, data.draw(SIZES))]
    order = data.draw(st.permutations(range(len(waiting))))
    queues = {p: [part for q, part in waiting if q == p] for p in range(partitions)}
    for place in order:  # each partition's chunks in order, the partitions in any interleaving
        partition = waiting[place][0]
        flow.take(partition, queues[partition].pop(0))

    assert sum(len(shard.store.state) for shard in flow.things) == len(twin.customers)
    keys = list(twin.customers)
    times = reading_times(own, [c.newest for c in twin.customers.values()])
    for at in times[:: max(1, len(times) // 10)]:
        for key in keys:
            found = [shard.store.read([key], at) for shard in flow.things]
            (got,) = [row for row in found if row.age_ms[0] >= 0]
            assert int(got.age_ms[0]) == twin.age_ms(key, at)
            assert_equal_cells(own, got.values[0], got.state[0], twin, key, at)
