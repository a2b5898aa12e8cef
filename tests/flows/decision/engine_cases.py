"""A strategy with a bit of everything, and customers and models to decide with."""

import numpy as np

from nextbest.features import Catalog, EventSchema, FeatureView
from nextbest.features import aggregations as agg
from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.ids import id_of_cause
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.models import Models, new_learner, publish
from nextbest.flows.decision.persons import pack_persons
from nextbest.flows.decision.request import Request, Row

AT = 1_767_265_200_000_000  # 2026-01-01 11:00 UTC
DAY = 86_400_000_000
shop = EventSchema(
    "shop",
    types=("view", "buy"),
    properties={"kind": str, "price": float},
)
CATALOG = Catalog(
    name="shop",
    views=[
        FeatureView(
            name="visits",
            source=shop,
            features=[
                agg.count("views"),
                agg.sum("spend", of="price"),
                agg.last("kind", of="kind", vocabulary=("tea", "mug")),
            ],
        )
    ],
)
TEXT = """
name: spring
zone: UTC
objectives:
  accept: {response: accept, weight: 1.0}
  spend:
    {event: buy, value: price, range: [0, 50], weight: 0.1, where: event.kind != action.sort}
channels:
  web: {caps: [{most: 4, per: 1d}]}
  mail: {direction: outbound, open: "now.hour >= 8 and now.hour < 20"}
actions:
  tea: {channels: [web, mail], value: 2, tags: {kind: tea}, eligible: visits.views >= 1}
  mug: {channels: [web], value: {accept: 3, spend: 1}, cost: 0.2, tags: {kind: mug}}
  kettle: {channels: [web], lever: 1.5, tags: {kind: mug}, valid_until: "2026-06-01"}
  old: {channels: [web], valid_until: "2025-06-01"}
  letter: {channels: [mail]}
  sample: {channels: [web, mail], caps: [{most: 1, per: 7d}], tags: {sort: 5% off}}
suppress:
  - {when: visits.spend > 1000, actions: [sample], reason: has enough}
boosts:
  - {when: "visits.kind == 'mug'", times: 2, tags: {kind: mug}}
  - {when: context.gift == true, times: 1.25}
model:
  contexts: {page: context.page, kind: visits.kind}
  numbers: {views: "log1p(visits.views)"}
  action_features: {same: "visits.kind == action.kind"}
  segments: {region: "context.region ?? 'none'"}
exploration: {method: squarecb, gamma: 2, exponent: 0.5, floor: 0.01}
control: {share: 0.1, salt: s}
fallback: [old, sample, tea]
"""
LOADED = load(TEXT, CATALOG)
ACTIONS = tuple(LOADED.strategy.actions)


def taught(seed=0, n=120, actions=("tea", "mug", "kettle", "sample")):
    """The models after some outcomes, and ann's own weights."""
    rng = np.random.default_rng(seed)
    models, blocks = {}, {}
    for objective in LOADED.strategy.objectives:
        learner = new_learner(LOADED.strategy.model)
        for name in actions:
            learner.model.add_arm(name)
        ann = b""
        for i in range(n):
            context = {"page": "ab"[i % 2], "views": float(rng.random()), "region": "nord"}
            arm = int(rng.integers(len(actions)))
            features = np.zeros((1,)) + (i % 3 == 0)
            reward = float(rng.random() < 0.1 + 0.1 * arm)
            ann = learner.learn(context, features, arm, reward, person=ann)
        models[objective] = publish(learner)
        blocks[objective] = ann
    return models, pack_persons(blocks)


PUBLISHED, ANN = taught()
ENGINE = Engine(LOADED, CATALOG, Models(LOADED.strategy, PUBLISHED))


def row(views=3.0, spend=20.0, kind=0.0):
    values = np.array([views, spend, kind])
    state = np.where(np.isnan(values), 1, 0).astype(np.uint8)
    return Row(values, state, 41, 1500)


def request(customer="ann", channel="web", n=1, **context):
    return Request(customer=customer, channel=channel, n=n, context=context)


def decide(engine=ENGINE, customer="ann", cause="e-1", served=None, contacts=b"", **asked):
    persons = asked.pop("persons", b"")
    at = asked.pop("at", AT)
    return engine.decide(
        request(customer, **asked),
        served,
        contacts,
        persons,
        at,
        id_of_cause(at, customer, cause),
    )
