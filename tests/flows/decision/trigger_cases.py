"""A shop that writes to its customers by itself: its log, runs over it, and what was sent."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from nextbest.features import Catalog, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.flows.decision.committing import Log
from nextbest.flows.decision.keys import Keys
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.record import Record, record_of
from nextbest.flows.loop_flow import Loop
from nextbest.flows.pipeline import Observers, build_flow
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from nextbest.flows.sources.valkey_stream import ValkeyStreamSource, publish_events
from nextbest.flows.trigger_flow import Acting

SECOND, MINUTE = 1_000_000, 60_000_000
SHARDS = 4
shop = EventSchema("shop", types=("view", "cart", "buy"), properties={"value": float})
catalog = Catalog(
    name="care",
    views=[
        FeatureView(
            name="visits",
            source=shop,
            features=[
                agg.count("views", where=event.type == "view", window="session"),
                agg.count("carts", where=event.type == "cart", window="session"),
                agg.sum("spend", of="value", where=event.type == "buy", window="30d"),
            ],
        )
    ],
)
TEXT = """
name: letters
objectives: {answer: {response: accept, window: 1h}}
channels:
  web: {}
  push: {direction: outbound, otherwise: [sms, mail]}
  sms: {direction: outbound}
  mail: {direction: outbound}
actions:
  remind:
    channels: [web, push]
    value: 5
    eligible: visits.carts >= 1
    caps: [{most: 1, per: 1d}]
    content: {title: Your cart}
  discount: {channels: [sms], value: 3, cost: 1}
  hello: {channels: [sms], value: 1}
  letter: {channels: [mail], eligible: visits.views >= 1}
model:
  numbers: {spend: log1p(visits.spend)}
exploration: {method: greedy}
triggers:
  abandoned: {event: view, channel: push, when: visits.carts >= 1 and visits.spend == 0}
fallback: [remind, letter]
"""
KEYS = Keys("care", "letters")


def now() -> int:
    return time.time_ns() // 1000


def said(name: str, customer: str, kind: str, at: int, **properties: float) -> dict[str, Any]:
    """An event."""
    return {
        "event_id": name, "event_timestamp": at, "customer_id": customer, "type": kind,
        "properties": properties,
    }  # fmt: skip


def visit(customer: str, at: int) -> list[dict[str, Any]]:
    """Somebody who puts something into the cart and goes on browsing."""
    kinds = ("view", "cart", "view", "view")
    return [
        said(f"{customer}-{i}", customer, kind, at + i * SECOND) for i, kind in enumerate(kinds)
    ]


@dataclass
class World:
    """A log in streams of a store, and a data directory.

    Attributes
    ----------
    home, url
        Where they are.
    partitions
        Of the log; None: one stream.
    text
        The strategy.
    counts
        What runs told.
    breaks_at
        After so many messages a run breaks, once.
    """

    home: Path
    url: str
    partitions: int | None = None
    text: str = TEXT
    counts: Counter[str] = field(default_factory=Counter)
    breaks_at: int = 0

    def __post_init__(self) -> None:
        self.loaded = load(self.text, catalog)
        self.log = Log("log", self.partitions, SHARDS)

    def put(self, events: Sequence[Mapping[str, Any] | bytes]) -> None:
        """Append to the log, an entry each."""
        with redis.Redis.from_url(self.url) as client:
            for one in events:
                line = one if isinstance(one, bytes) else json.dumps(one).encode()
                publish_events(client, "log", [line], self.partitions, SHARDS)

    def run(self, *, acting: bool = True) -> None:
        """Read what there is, and act or only learn; breaks once if it is to."""
        settings = Settings(data_dir=self.home, shards=SHARDS, epoch_seconds=0.05)
        source = ValkeyStreamSource(self.url, "log", partitions=self.partitions, drain=True)
        flow = build_flow(
            source, catalog, settings, self.url,
            loop=Loop.compile(self.loaded, catalog),
            acting=Acting.of(self.loaded, catalog, (lambda: self.log) if acting else None),
            observers=Observers(acted=self._acted),
        )  # fmt: skip
        run_flow(flow, settings)

    def _acted(self, counts: Mapping[str, int]) -> None:
        self.counts.update(counts)
        if self.breaks_at and self.counts["sent"] >= self.breaks_at:
            self.breaks_at = 0
            raise ZeroDivisionError

    def sent(self, channel: str) -> list[dict[str, Any]]:
        """What went out through a channel."""
        with redis.Redis.from_url(self.url) as client:
            entries: Any = client.xrange(KEYS.outbound(channel))
        return [json.loads(fields[b"decision"]) for _, fields in entries]

    def everything_sent(self) -> dict[str, list[str]]:
        """The customers of what went out, by channel."""
        found = {name: self.sent(name) for name in ("push", "sms", "mail")}
        return {name: [one["customer"] for one in sent] for name, sent in found.items() if sent}

    def decided(self) -> list[Record]:
        """The decisions in the log."""
        with redis.Redis.from_url(self.url) as client:
            keys = ["log"] if self.partitions is None else [
                f"log:{number}" for number in range(self.partitions)
            ]  # fmt: skip
            entries: list[Any] = [entry for key in keys for entry in client.xrange(key)]  # type: ignore[union-attr]  # lists
        lines = b"".join(fields[b"events"] for _, fields in entries).splitlines()
        return [record_of(line) for line in lines if json.loads(line)["type"] == "decision"]
