"""``decide-inprocess``: from a stored row to the encoded record; 30 actions, 50 features."""

from __future__ import annotations

import base64
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextbest.features.online.answer import Layout
from nextbest.flows.decision.expressions import Scope, evaluate, holds, parse, typed
from nextbest.flows.decision.expressions.nodes import Node
from nextbest.flows.decision.expressions.programs import moment
from nextbest.flows.decision.ids import draw_of, id_of_cause, seed_of
from nextbest.flows.decision.reading import action_values, reader
from nextbest.flows.decision.record import event_of
from nextbest.flows.decision.request import Request, Row

from .decide_world import AT, World
from .harness import Result
from .lookup_catalog import catalog
from .workload import DAY

Floats = NDArray[np.float64]
CONTEXT = {"page": "p1", "region": "r2"}


def run(*, quick: bool) -> Result:
    """Measure; see the module's text.

    One customer at a time: the features as of now, eligibility and caps, two objectives of nine
    experts each, with segments and a person's own weights in every second decision, exploration,
    the record as the log's JSON. Time is the thread's processor time. The reference makes the
    same decisions (without caps and segments) with plain Python and NumPy: conditions by the
    naive interpreter, a row of beliefs at a time, `json`; features are read by the same decoder.
    """
    runs, n, plain_n = (3, 2000, 40) if quick else (7, 10_000, 100)
    world = World()
    ours, plain = Ours(world), _Plain(world)
    ours.one(0), ours.one(1), plain.one(0)
    assert plain.agrees_with(ours)
    rates: list[float] = []
    reference: list[float] = []
    for _ in range(runs):  # interleaved, so that both see the same machine
        rates.append(n / _seconds(ours.one, n))
        reference.append(plain_n / _seconds(plain.one, plain_n))
    per_s = statistics.median(rates)
    return Result(
        "decide-inprocess",
        figures={"per_s": per_s, "ratio_plain": per_s / statistics.median(reference)},
        detail={
            "best_per_s": max(rates),
            "plain_per_s": statistics.median(reference),
            "record_bytes": len(ours.one(1)),
            "actions": len(world.engine.actions),
            "features": len(world.engine.columns),
            "objectives": len(world.engine.objectives),
            "runs": runs,
            "time": "processor time of one thread",
        },
    )


def _seconds(step: Callable[[int], object], n: int) -> float:
    began = time.thread_time()
    for i in range(n):
        step(i)
    return time.thread_time() - began


class Ours:
    def __init__(self, world: World) -> None:
        self.world, self.engine = world, world.engine
        self.contacts = self.engine.caps.offered(b"", ["a1", "a2"], "web", AT - DAY).contacts
        self.asked = [
            Request(customer=name, channel="web", context=dict(CONTEXT)) for name in world.customers
        ]
        self.ids = [id_of_cause(AT, name, "bench") for name in world.customers]

    def record(self, i: int, persons: bytes, contacts: bytes) -> Any:
        """Return the record of a decision."""
        i %= len(self.asked)
        stored = self.world.rows[self.asked[i].customer]
        served = Row(*self.world.decoder.decode_one(stored, AT))
        return self.engine.decide(self.asked[i], served, contacts, persons, AT, self.ids[i])

    def one(self, i: int) -> bytes:
        """Return the event of a decision."""
        return event_of(self.record(i, self.world.persons if i % 2 else b"", self.contacts))


class _Plain:
    """The same decision, as one would write it without kernels."""

    def __init__(self, world: World) -> None:
        self.world, self.strategy = world, world.loaded.strategy
        self.read = reader(self.strategy, catalog)
        self.layout = Layout(tuple(catalog.features()), ["customer"], 0)
        self.models = world.engine.models.arranged
        self.seed = seed_of(self.strategy.name)

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Every expression, by its text."""
        model, wanted = self.strategy.model, {}
        for action in self.strategy.actions.values():
            wanted[action.eligible or ""] = "bool"
        for rule in (*self.strategy.suppress, *self.strategy.boosts):
            wanted[rule.when] = "bool"
        for text in (*model.contexts.values(), *model.segments.values()):
            wanted[text] = "any"
        for text in model.numbers.values():
            wanted[text] = "number"
        for text in model.action_features.values():
            wanted[text] = "bool"
        return {
            text: typed(parse(text), kind, self.read.names)  # type: ignore[arg-type]
            for text, kind in wanted.items()
        }

    def scores(self, i: int) -> tuple[list[str], Floats, dict[str, Any]]:
        """Return the eligible actions, their scores, and what is logged."""
        name = self.world.customers[i % len(self.world.customers)]
        rows = self.world.decoder.decode([self.world.rows[name]], AT)
        features = self.layout.typed(rows.values[0].tolist())
        known = {column: value for column, value in features.items() if value is not None}
        now = moment(AT, self.read.zone)
        eligible, factors, own = [], [], []
        for action_name, action in self.strategy.actions.items():
            values = action_values(action_name, action)
            scope = Scope(known, CONTEXT, values, now, {}, "web")
            if not holds(self.nodes[action.eligible or ""], scope):
                continue
            if any(
                action.tags.items() >= rule.tags.items() and holds(self.nodes[rule.when], scope)
                for rule in self.strategy.suppress
            ):
                continue
            factor = action.lever
            for boost in self.strategy.boosts:
                if holds(self.nodes[boost.when], scope):
                    factor *= boost.times
            eligible.append(action_name)
            factors.append(factor)
            texts = self.strategy.model.action_features.values()
            own.append([float(evaluate(self.nodes[text], scope) or 0.0) for text in texts])
        scope = Scope(known, CONTEXT, {}, now, {}, "web")
        inputs = {
            n: evaluate(self.nodes[text], scope)
            for part in (self.strategy.model.contexts, self.strategy.model.numbers)
            for n, text in part.items()
        }
        inputs["hour"] = str(now["hour"])
        total = np.zeros(len(eligible))
        chances = {}
        places = [self.world.engine.actions.index(n) for n in eligible]
        for objective_name, objective in self.strategy.objectives.items():
            chance = _believe(self.models[objective_name], inputs, places, np.array(own))
            low, high = objective.range
            worth = np.array(
                [self.strategy.actions[n].value[objective_name] for n in eligible]  # type: ignore[index]
            )
            total += objective.weight * worth * (low + chance * (high - low))
            chances[objective_name] = chance
        costs = np.array([self.strategy.actions[n].cost for n in eligible])
        logged = {"inputs": inputs, "chances": chances, "values": rows.values[0]}
        return eligible, np.array(factors) * total - costs, logged

    def one(self, i: int) -> bytes:
        """Return a decision as JSON."""
        eligible, scores, logged = self.scores(i)
        wanted = self.strategy.exploration
        relative = np.maximum(0.0, 1.0 - (scores.max() - scores) / abs(scores.max()))
        best = int(relative.argmax())
        clock = max(self.world.engine.models.clock, 1)
        chances = 1.0 / (len(scores) + wanted.gamma * math.sqrt(clock) * (1.0 - relative))
        chances[best] = 0.0
        chances[best] = 1.0 - chances.sum()
        spare = np.maximum(chances - wanted.floor, 0.0)
        chances = wanted.floor + spare * (1.0 - len(scores) * wanted.floor) / spare.sum()
        decision_id = id_of_cause(AT, self.world.customers[i % len(self.world.customers)], "bench")
        draw = draw_of(self.seed, decision_id, 0)
        place = int(np.searchsorted(np.cumsum(chances), draw, side="right"))
        return json.dumps(
            {
                "id": decision_id,
                "eligible": eligible,
                "action": eligible[place],
                "propensity": float(chances[place]),
                "scores": _text(scores),
                "chances": {name: _text(c) for name, c in logged["chances"].items()},
                "inputs": logged["inputs"],
                "values": _text(logged["values"]),
            }
        ).encode()

    def agrees_with(self, ours: Ours) -> bool:
        """Whether both find the same actions eligible and rank them nearly alike."""
        for i in range(5):
            eligible, scores, _ = self.scores(i)
            record = ours.record(i, b"", b"")
            theirs = np.frombuffer(record.scores)
            if eligible != record.eligible or np.corrcoef(scores, theirs)[0, 1] < 0.99:
                return False
        return True


def _believe(model: Any, inputs: Mapping[str, Any], places: list[int], features: Floats) -> Floats:
    """Return the probability of the shared model, every expert after the other."""
    table, dense, action, weights = model.arrays
    k = len(model.arms)
    encoded, x = model._encoder.rows_and_numbers(inputs, model._unseen)
    found = np.zeros(len(places))
    pairs = [x[a] * x[b] for a in range(len(x)) for b in range(a + 1)]
    for e, weight in enumerate(weights):
        sums = dense[e, 0] + table[e, encoded].sum(0)
        mean, variance = sums[:k].astype(np.float64), sums[k:].astype(np.float64)
        for at, pair in enumerate(pairs[1:], start=1):
            variance += dense[e, at, k:] * pair
        for at in range(1, len(x)):
            mean += dense[e, at * (at + 1) // 2, :k] * x[at]
        own_mean = mean[places] + features @ action[e, 0]
        own_variance = variance[places] + features**2 @ action[e, 1]
        z = own_mean / np.sqrt(1.0 + math.pi / 8.0 * np.maximum(own_variance, 0.0))
        found += weight / (1.0 + np.exp(-z))
    return found


def _text(numbers: Floats) -> str:
    return base64.b64encode(numbers.tobytes()).decode()
