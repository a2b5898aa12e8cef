"""Law 3 for what the stream sends by itself: kill anything; each message goes out exactly once.

The short form runs with the other tests; ``NEXTBEST_CHAOS=long`` kills more often.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis

from nextbest.flows.decision.keys import Keys
from nextbest.flows.decision.record import Response, outcome_event

from .test_chaos import LONG, SEED
from .world import STREAM, World

pytestmark = pytest.mark.timeout(1200 if LONG else 300)
STRATEGY = """
name: letters
objectives: {answer: {response: accept, window: 1h}}
channels:
  push: {direction: outbound}
  sms: {direction: outbound}
actions:
  call: {channels: [push, sms]}
  write: {channels: [push, sms]}
triggers:
  left: {event: leave, channel: push, when: v.n >= 2}
"""
_SHORT: list[tuple[int, Sequence[str]]] = [(2, ("server", "worker"))]
_LONG = [(1, ("worker", "run")), (2, ("worker", "both")), (1, ("server", "early"))]
_KEYS = Keys("chaos", "letters")
_MOST = 6_000
"""Messages; of more than 10,000 in an outbound stream the oldest go."""


class Letters:
    """Feeds customers who leave, and delivers what is sent to them, badly."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._rng = world, random.Random(seed)
        self.left: list[str] = []
        self.failed: list[str] = []
        self._seen = "0-0"
        self._others = count()

    def blobs(self) -> Iterator[list[bytes]]:
        """Yield lines without end; some are sent again."""
        while True:
            lines = [_event(f"d{next(self._others)}", "view")]
            for _ in range(5 if len(self.left) < _MOST else 0):
                name = f"c{len(self.left)}"
                self.left.append(f"{name}-leave")
                lines += [_event(name, kind) for kind in ("view", "leave")]
            lines += self._rng.sample(lines, 1)
            for one in self._delivered():
                if self._rng.random() < 0.5:
                    self.failed.append(one["decision_id"])
                    lines += [_failure(one)] * self._rng.choice((1, 2))
            yield lines

    def _delivered(self) -> list[Any]:
        """What went out by push since the last look; nothing if the server is away."""
        try:
            with redis.Redis.from_url(self._world.url) as client:
                entries: Any = client.xrange(_KEYS.outbound("push"), min=f"({self._seen}")
        except redis.RedisError:
            return []
        self._seen = entries[-1][0].decode() if entries else self._seen
        return [json.loads(fields[b"decision"]) for _, fields in entries]


def _event(name: str, kind: str) -> bytes:
    return json.dumps(
        {"event_id": f"{name}-{kind}", "event_timestamp": time.time_ns() // 1000,
         "customer_id": name, "type": kind}
    ).encode()  # fmt: skip


def _failure(message: Any) -> bytes:
    own = Response(decision_id=message["decision_id"], response="fail")
    name = f"{message['decision_id']}-failed"
    return outcome_event(name, time.time_ns() // 1000, message["customer"], "push", own)


def test_each_message_goes_out_exactly_once(tmp_path: Path) -> None:
    world = World(
        tmp_path / "world", partitions=2, offers=True, strategy=STRATEGY, seed=SEED,
    )  # fmt: skip
    letters = Letters(world, SEED)
    try:
        world.feed(letters.blobs(), pause=0.1)
        for processes, victims in _LONG * 3 if LONG else _SHORT:
            run = world.start(processes)
            for victim in victims:
                world.kill(run, victim)
            if victims[-1] != "run":
                world.wait_for_work(run)
                run.stop()
        world.end_feed()
        for run in world.runs:
            run.check_said()
        world.finish(world.home)
        sent, decided = _sent(world), _decided(world)
    finally:
        world.end()
    print(f"{len(letters.left)} left, {len(letters.failed)} failed, {dict(world.killed)}")
    assert len(letters.failed) > 10
    assert Counter(one["cause"] for one in sent) == Counter([*letters.left, *letters.failed])
    assert {one["channel"] for one in sent if one["cause"] in letters.failed} == {"sms"}
    assert Counter(one["decision_id"] for one in sent) == Counter(decided)


def _sent(world: World) -> list[Any]:
    with redis.Redis.from_url(world.url) as client:
        entries: list[Any] = [
            entry
            for name in ("push", "sms")
            for entry in client.xrange(_KEYS.outbound(name))  # type: ignore[union-attr]  # lists
        ]
    return [json.loads(fields[b"decision"]) for _, fields in entries]


def _decided(world: World) -> list[str]:
    """The ids of the decisions in the log."""
    with redis.Redis.from_url(world.url) as client:
        entries: list[Any] = [
            entry
            for number in (0, 1)
            for entry in client.xrange(f"{STREAM}:{number}")  # type: ignore[union-attr]  # lists
        ]
    lines = [json.loads(x) for _, fields in entries for x in fields[b"events"].splitlines()]
    return [line["event_id"] for line in lines if line["type"] == "decision"]
