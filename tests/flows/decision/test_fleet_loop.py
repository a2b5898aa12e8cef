"""The whole loop with a fleet: members decide, all learn, and who is proven worse leaves."""

from __future__ import annotations

import random
from collections import Counter

from nextbest.flows.decision.attribution import Attribution
from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.fleet_learning import FleetLearning
from nextbest.flows.decision.goals import goals_of
from nextbest.flows.decision.ids import id_of_cause
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.loop_events import LoopEvent
from nextbest.flows.decision.models import models_with
from nextbest.flows.decision.record import Response
from nextbest.flows.decision.roster import read_roster
from nextbest.learners import PublishedArms
from tests.flows.decision.engine_cases import AT, CATALOG, request, row

LOADED = load(
    """
name: moods
objectives: {sale: {response: buy, window: 10s}}
channels: {web: {}}
actions: {tea: {channels: [web]}, mug: {channels: [web]}, ice: {channels: [web]}}
model: {contexts: {mood: context.mood}, personal: false}
exploration: {method: epsilon, epsilon: 0.1}
control: {share: 0.05}
fleet:
  challengers: {poor: {variances: [0.3], forgetting: [0]}}
  share: 0.4
  stay: 1s
""",
    CATALOG,
)
SECOND = 1_000_000
LIKED = {"up": "ice", "down": "tea", "calm": "mug"}
WORSE = 0.7
"""What is left of the responses where the challenger decides: the world is against it."""


def test_a_challenger_whose_decisions_earn_less_is_found_out_and_leaves() -> None:
    strategy = LOADED.strategy
    engine = Engine(LOADED, CATALOG)
    attribution = Attribution(goals_of(strategy), grace=0)
    learning = FleetLearning(strategy, {"sale": 60 * SECOND}, wait=10 * SECOND)
    published: dict[str, PublishedArms] = {}
    rng, earned, decided = random.Random(2), Counter[str](), Counter[str]()
    events: list[LoopEvent] = []
    for n in range(6000):
        at, name = AT + n * SECOND // 5, f"c{rng.randrange(5000)}"
        mood = rng.choice(list(LIKED))
        record = engine.decide(
            request(name, mood=mood), row(), b"", b"", at, id_of_cause(at, name, str(n))
        )
        events.append(LoopEvent(record.id, at, name, "web", record, "", position=2 * n))
        part = WORSE if record.member == "poor" else 1.0
        bought = rng.random() < part * (0.5 if record.offers[0].action == LIKED[mood] else 0.1)
        decided[record.member] += 1
        earned[record.member] += bought
        if bought:
            said = Response(decision_id=record.id, response="buy")
            events.append(LoopEvent(f"o{n}", at + 1, name, "web", said, "", position=2 * n + 1))
        if n % 100 == 99:
            learning.learn(attribution.take(events).credits)
            events.clear()
            published.update(learning.changed_models())
            data = learning.roster()
            roster = None if data is None else read_roster(data)
            engine.models = models_with(strategy, published, roster)
            if roster is not None and not roster.challengers:
                break
    assert engine.models.split is not None
    assert {engine.models.of(f"c{i}", AT).member for i in range(50)} == {"base"}
    change = learning.changed_fleet()[-1]
    assert (change.what, change.member, change.note) == ("retire", "poor", "proven worse")
    assert change.evidence is not None
    assert change.evidence.high <= 0.0
    # Those in the control group, and the first before there was a fleet, are nobody's.
    assert set(decided) == {"", "base", "poor"}
    assert earned["poor"] / decided["poor"] < earned["base"] / decided["base"]
    assert change.evidence.pairs < decided["poor"]
