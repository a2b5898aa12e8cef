"""A service that decides: its strategy, and what tests ask of it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import redis

from nextbest.flows.decision.keys import Keys
from tests.flows.service.world import Service, served

KEYS = Keys("shop", "spring")
DAY = 86_400_000_000
TEXT = """
name: spring
objectives:
  accept: {response: accept}
  spend: {response: buy, value: amount, range: [0, 50], weight: 0.1}
channels:
  web: {caps: [{most: 4, per: 1d}]}
  mail: {direction: outbound}
  shut: {open: now.hour > 99}
actions:
  tea: {channels: [web, mail], value: 2, tags: {kind: tea}, content: {title: Tea, stock: 3}}
  mug: {channels: [web], value: {accept: 3, spend: 1}, cost: 0.2, tags: {kind: mug}}
  cup: {channels: [web, mail, shut], tags: {kind: mug}, eligible: context.cups == true}
  gold: {channels: [web], eligible: visits.spend > 5}
cool_downs: [{after: refuse, pause: 7d}, {after: annoyed, pause: 1d, of: all}]
boosts: [{when: visits.spend > 1, times: 1.5, actions: [mug]}]
model:
  contexts: {page: context.page}
  numbers: {spend: log1p(visits.spend)}
  action_features: {mug: "action.kind == 'mug'"}
exploration: {method: greedy}
fallback: [gold, tea, mug]
"""


@contextlib.contextmanager
def deciding(
    store: str, home: Path, *more: str, text: str = TEXT, **started: Any
) -> Iterator[Service]:
    """A service that decides by a strategy, which is in the file ``strategy.yaml``.

    It waits long for its store, which a busy machine may hold up: no test is about that by chance.
    """
    started.setdefault("NEXTBEST_DECIDE_SECONDS", "60")
    home.mkdir(parents=True, exist_ok=True)
    file = home / "strategy.yaml"
    file.write_text(text)
    with served(store, home, "--strategy", str(file), *more, **started) as service:
        yield service


def decide(client: httpx.Client, customer: str, channel: str = "web", **more: Any) -> Any:
    """A decision that was answered."""
    found = client.post("/v1/decide", json={"customer": customer, "channel": channel, **more})
    assert found.status_code == 200, found.text
    return found.json()


def outcome(number: str, decision: Any, customer: str, response: str, **more: Any) -> Any:
    return {
        "outcome_id": number, "customer": customer, "decision_id": decision["decision_id"],
        "response": response, **more,
    }  # fmt: skip


def logged(url: str, stream: str = "events") -> list[dict[str, Any]]:
    """The events of a log of one stream."""
    with redis.Redis.from_url(url) as client:
        entries: Any = client.xrange(stream)
    lines = b"".join(fields[b"events"] for _, fields in entries).splitlines()
    return [json.loads(line) for line in lines]


def until(true: Any, seconds: float = 120.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def problem(found: httpx.Response, status: int, kind: str) -> Any:
    """The body of an answer that is this problem."""
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/problem+json"
    body = found.json()
    assert body["type"] == f"/docs#{kind}"
    return body
