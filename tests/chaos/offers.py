"""Decisions of a strategy and what came of them, as lines of a log; some mean nothing."""

from __future__ import annotations

import json
import random
from typing import Any

from nextbest.flows.decision.record import Offer, Record, Response, event_of, outcome_event

from .declared import ARMS

SECOND = 1_000_000
STRATEGY = """
name: offers
credit: last
objectives:
  accept: {response: accept, window: 10m}
  spend: {response: accept, value: value, range: [0, 100], window: 1h}
  bought: {event: buy, where: event.category == action.id and event.value > 20, window: 20m}
channels: {web: {blocked_for: 5m}}
caps: [{most: 6, per: 1h}]
cool_downs: [{after: refuse, pause: 30m}]
actions:
  tea: {channels: [web]}
  milk: {channels: [web]}
  bread: {channels: [web]}
  salt: {channels: [web]}
model:
  contexts: {channel: channel}
  numbers: {stock: context.stock}
  action_features: {cost: action.cost}
  segments: {mood: context.mood}
"""
_BAD = (
    b'{"event_id":"x","event_timestamp":7,"customer_id":"c","type":"decision"}',
    b'{"event_id":"x","event_timestamp":7,"customer_id":"c","type":"outcome",'
    b'"properties":{"nextbest":{"decision_id":7,"response":"accept"}}}',
    b'{"event_id":"x","event_timestamp":7,"customer_id":"c","type":"outcome",'
    b'"properties":{"nextbest":{"decision_id":"none","response":"accept"}}}',
)


class Offers:
    """Makes decisions at some events, and outcomes of those that were made."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._made: list[Record] = []
        self._known: list[tuple[str, Record]] = []

    def after(self, number: int, event: dict[str, Any], now: int) -> list[bytes]:
        """Return the lines that follow an event."""
        rng, lines = self._rng, []
        if rng.random() < 0.3:
            record = self._decide(number, event["customer_id"], now)
            self._made.append(record)
            lines.append(event_of(record))
            if rng.random() < 0.1:
                lines.append(lines[-1])
            bought = {**event, "event_id": f"b{number}", "type": "buy"}
            bought["event_timestamp"] = now + rng.randrange(1500) * SECOND
            bought["properties"] = {"category": rng.choice(ARMS), "value": rng.randrange(90) / 1}
            if rng.random() < 0.5:
                lines.append(_line(bought))
        if self._made and rng.random() < 0.3:
            lines.append(self._respond(f"o{number}", rng.choice(self._made[-60:]), now))
            if rng.random() < 0.1:
                lines.append(lines[-1])
        if rng.random() < 0.005:
            lines.append(rng.choice(_BAD))
        return lines

    def _decide(self, number: int, customer: str, now: int) -> Record:
        rng = self._rng
        arms = rng.sample(ARMS, rng.choice((1, 1, 2)))
        offers = [
            Offer(action=a, score=0.5, propensity=0.5, draw=0.5, features=[rng.random()])
            for a in arms
        ]
        inputs = {"channel": "web", "stock": rng.random(), "mood": rng.choice(("up", "down"))}
        return Record(
            id=f"d{number}", customer=customer, at=now, channel="web", strategy="5e",
            offers=offers, inputs=inputs, fallback="no store" if rng.random() < 0.02 else "",
        )  # fmt: skip

    def _respond(self, name: str, record: Record, now: int) -> bytes:
        rng = self._rng
        at = max(record.at, now) if rng.random() < 0.7 else record.at + rng.randrange(600) * SECOND
        customer = record.customer if rng.random() < 0.97 else "somebody-else"
        own = Response(
            decision_id=record.id,
            response=rng.choice(("accept", "accept", "refuse", "fail", "deliver")),
            action=rng.choice((None, record.offers[-1].action)),
            value=rng.randrange(120) / 1,
        )
        if self._known and rng.random() < 0.2:
            earlier, record = rng.choice(self._known[-20:])
            own = Response(
                decision_id=record.id, response="accept", value=rng.randrange(120) / 1,
                corrects=earlier,
            )  # fmt: skip
            customer, at = record.customer, max(record.at, now)
        elif own.action is None:
            self._known.append((name, record))
        return outcome_event(name, at, customer, "web", own)


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()
