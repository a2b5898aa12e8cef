"""A shop that decides: its strategy, its customers' stored rows, and models that have learned."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pyarrow as pa

from nextbest.features.codec import EventDecoder
from nextbest.features.encoder import RecordEncoder
from nextbest.features.online.decoding import RowDecoder
from nextbest.features.plan import Plan
from nextbest.features.state import ShardState
from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.loading import Loaded, load
from nextbest.flows.decision.models import Models, new_learner, publish
from nextbest.flows.decision.persons import pack_persons

from .lookup_catalog import catalog
from .workload import DAY, START, shop_events

ACTIONS = 30
AT = START + 30 * DAY
CUSTOMERS = 1000
_EVENTS = 100_000
_TAUGHT = 400


def strategy() -> Loaded:
    """Return a strategy of 30 actions with conditions, caps, boosts and two objectives."""
    actions = "\n".join(
        f"  a{i}: {{channels: [web], value: {{accept: {1 + i % 5}, spend: 1}}, cost: 0.0{i % 7}, "
        f"tags: {{kind: category-{i:02d}, line: l{i % 3}}}, "
        f"eligible: 'visitor.events_30d >= {i % 4} and visitor.last_category != action.kind'}}"
        for i in range(ACTIONS)
    )
    return load(
        f"""
name: bench
objectives:
  accept: {{response: accept}}
  spend: {{response: buy, value: amount, range: [0, 100], weight: 0.05}}
channels: {{web: {{caps: [{{most: 20, per: 1d}}]}}}}
caps: [{{most: 50, per: 7d}}]
actions:
{actions}
suppress: [{{when: visitor.spend_30d > 5000, tags: {{line: l1}}}}]
boosts: [{{when: "visitor.last_category == action.kind", times: 1.5}}]
model:
  contexts: {{page: context.page, last: visitor.last_category, hour: now.hour}}
  numbers: {{events: log1p(visitor.events_30d) / 5, spend: log1p(visitor.spend_30d) / 10}}
  action_features: {{same: visitor.bought_category == action.kind}}
  segments: {{region: context.region}}
exploration: {{gamma: 100, floor: 0.001}}
control: {{share: 0.02}}
""",
        catalog,
    )


class World:
    """Everything that decisions of the benchmark need.

    Attributes
    ----------
    rows
        By customer, as they are stored.
    """

    def __init__(self) -> None:
        self.loaded = strategy()
        plan = Plan.compile(catalog)
        self.decoder = RowDecoder(plan)
        state = ShardState(plan, max_slots=1 << 12)
        decoder = EventDecoder(catalog.source)
        encoder = RecordEncoder(plan.categorical, plan.numeric)
        events: pa.Table = shop_events(CUSTOMERS, _EVENTS, 30.0).combine_chunks()
        decoded = decoder.decode_arrow(events)
        state.apply(encoder.encode(decoded.table, decoded.index))
        self.rows = _rows(state.encode_changes(b"").payload.tobytes())
        self.customers = list(self.rows)

    @cached_property
    def engine(self) -> Engine:
        """With models that have learned from chance."""
        return Engine(self.loaded, catalog, Models(self.loaded.strategy, self._taught[0]))

    @property
    def persons(self) -> bytes:
        """The weights of a customer who answered often."""
        return self._taught[1]

    @cached_property
    def _taught(self) -> tuple[dict[str, object], bytes]:
        rng = np.random.default_rng(0)
        models, blocks = {}, {}
        for objective in self.loaded.strategy.objectives:
            learner = new_learner(self.loaded.strategy.model)
            for name in self.loaded.strategy.actions:
                learner.model.add_arm(name)
            person = b""
            for i in range(_TAUGHT):
                arm = int(rng.integers(ACTIONS))
                context = {
                    "page": f"p{rng.integers(5)}",
                    "last": f"category-{rng.integers(30):02d}",
                    "hour": str(rng.integers(24)),
                    "events": rng.random(),
                    "spend": rng.random(),
                    "region": f"r{rng.integers(4)}",
                }
                features = np.array([float(rng.random() < 0.1)])
                own = person if i % 50 == 0 else b""
                reward = float(rng.random() < 0.05 + 0.005 * arm)
                new = learner.learn(context, features, arm, reward, person=own)
                person = new if i % 50 == 0 else person
            models[objective] = publish(learner)
            blocks[objective] = person
        return models, pack_persons(blocks)


def _rows(payload: bytes) -> dict[str, bytes]:
    """Return the rows of the commands that publish them."""
    words, at = [], 0
    while at < len(payload):
        stop = payload.index(b"\r\n", at)
        kind, length = payload[at : at + 1], int(payload[at + 1 : stop])
        at = stop + 2
        if kind == b"$":
            words.append(payload[at : at + length])
            at += length + 2
    words = [word for word in words if word != b"MSET"]
    return {name.decode(): row for name, row in zip(words[::2], words[1::2], strict=True)}
