"""A log of decisions whose truth is known: what each action is worth, and by which chance."""

from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq

from nextbest.features import Catalog, EventSchema, FeatureView
from nextbest.features import aggregations as agg
from nextbest.flows.decision.chunk_events import credits_table, decisions_table
from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.ids import id_of_cause
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.loop_events import LoopReader
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.decision.record import event_of
from nextbest.flows.decision.request import Request, Row

MINUTE = 60_000_000
AT = 1_767_265_200_000_000
shop = EventSchema("shop", types=("view",))
CATALOG = Catalog(
    name="shop",
    views=[FeatureView(name="visits", source=shop, features=[agg.count("views")])],
)
TRUTH = {"tea": 0.1, "mug": 0.3, "pot": 0.6}
"""How likely each action is accepted."""
TEXT = """
name: spring
objectives: {accept: {response: accept, window: 1m}}
channels: {web: {}}
actions:
  tea: {channels: [web]}
  mug: {channels: [web]}
  pot: {channels: [web]}
exploration: {method: epsilon, epsilon: 0.9}
"""


def strategy(*changes):
    """The strategy with some of its text replaced."""
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load(text, CATALOG)


BETTER = strategy(("pot: {", "pot: {lever: 3, "), ("0.9", "0.2"))
WORSE = strategy(("tea: {", "tea: {lever: 3, "), ("0.9", "0.2"))
CERTAIN = strategy(("pot: {", "pot: {lever: 3, "), ("epsilon, epsilon: 0.9", "greedy"))


def logged(n=3000, by=None, seed=0, wanted=1):
    """Return n records and what came of each one's first offer."""
    engine = Engine(by or strategy(), CATALOG)
    rng = np.random.default_rng(seed)
    records, rewards = [], []
    for i in range(n):
        customer = f"c{i}"
        row = Row(np.array([float(i % 5)]), np.zeros(1, np.uint8), i, 10)
        request = Request(customer=customer, channel="web", n=wanted)
        name = id_of_cause(AT + i, customer, f"e{i}")
        record = engine.decide(request, row, b"", b"", AT + i, name)
        records.append(record)
        rewards.append(float(rng.random() < TRUTH[record.offers[0].action]))
    return records, rewards


def archived(directory: Path, records, rewards, *, more=()):
    """Write them to an archive as a run does; each first told as silence, then as it came."""
    reader = LoopReader(
        shop, future_skew_us=0, max_event_bytes=1 << 20, now=lambda: AT + 10_000_000
    )
    events = [reader.read(event_of(record)) for record in records]
    events = [msgspec.structs.replace(e, position=i) for i, e in enumerate(events)]
    rng = np.random.default_rng(1)
    told = [
        [
            credit(records[i], rewards[i] if revision else 0.0, revision)
            for i in rng.permutation(np.arange(part, len(records), 2))
            for revision in ([1, 0] if rewards[i] else [1])
        ]
        for part in (0, 1)
    ]
    for what, tables in (
        ("decisions", [decisions_table(events[::2]), decisions_table([*events[1::2], *more])]),
        ("credits", list(map(credits_table, told))),
    ):
        for i, table in enumerate(tables):
            path = directory / what / f"partition={i}"
            path.mkdir(parents=True)
            pq.write_table(table, path / "epoch-00000000.parquet")


def credit(record, reward, revision=0, rank=0, *, withdrawn=False):
    """What the objective is told of an offer."""
    action = record.offers[rank].action
    at = record.at + (1 if reward else MINUTE)
    return Credit(
        "accept", f"{record.id}/{rank}", at, 5, record.customer, action, reward,
        reward == 0.0, withdrawn, revision, {}, [],
    )  # fmt: skip
