"""A simulated world against a real service, and a real run that learns from the log it leaves."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
import redis

from nextbest.features import SettingsError
from nextbest.features.errors import SourceError
from nextbest.flows.simulate.over_http import Service, live
from nextbest.flows.simulate.strategy import text_of
from nextbest.flows.simulate.world import Setting, World
from tests.flows.service.world import served

CATALOG = "nextbest.flows.simulate.catalog:catalog"


CAP, DAY = 2, 1_000_000


def short_world(start: float) -> World:
    setting = Setting(
        people=5, days=3, visits=6.0, new_actions=0, level=0.0, start=int(start * 1e6), day_us=DAY,
        cap=CAP, refusals=0.5, failing=0.15, corrected=0.3,
    )  # fmt: skip
    return World(setting, 6)


def test_every_decision_over_http_is_learned_once(store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "strategy.yaml"
    file.write_text(text_of(short_world(0.0)))
    with served(store_url, tmp_path / "served", "--strategy", str(file), catalog=CATALOG) as it:
        world = short_world(time.time() + 0.2)
        with contextlib.closing(Service(it.url)) as service:
            lived = live(world, service, wait_seconds=0.0)
    assert (lived.regret >= 0.0).all()
    assert lived.fallbacks == 0
    assert lived.stale == len(world)  # nothing runs that computes features
    assert (lived.earned > 0.0).any()
    with redis.Redis.from_url(store_url) as client:
        entries: Any = client.xrange("events")
    lines = b"".join(fields[b"events"] for _, fields in entries).splitlines()
    log = [json.loads(line) for line in lines]
    kinds = Counter(event["type"] for event in log)
    views = sum(map(len, world.views))
    assert kinds["decision"] == len(world)
    assert kinds["outcome"] == lived.outcomes > 0
    assert kinds["view"] == views
    assert min(lived.silent, lived.failed, lived.refused, lived.corrected) > 0
    own = [event for event in log if event["type"] in ("decision", "outcome")]
    check_rules(own)
    subprocess.run(
        [
            sys.executable, "-m", "nextbest.flows.cli", "run", "--catalog", CATALOG,
            "--strategy", str(file), "--stream", "events", "--drain",
            "--redis-url", store_url, "--data-dir", str(tmp_path / "run"),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    told: dict[str, float] = {}
    for row in ds.dataset(tmp_path / "run/archive/credits").to_table().to_pylist():
        told.pop(row["example"], None)
        if not row["withdrawn"]:
            told[row["example"]] = row["reward"]
    assert told == expected(own, world.setting.window_us)
    assert sum(told.values()) == int((lived.earned > 0.0).sum())
    assert not (tmp_path / "run/dead_letters/dead.ndjson").exists()


def expected(log: list[Any], window: int) -> dict[str, float]:
    """What is to be learned of each offer, by the log."""
    made = {
        e["event_id"]: e for e in log if e["type"] == "decision" and "action" in e["properties"]
    }
    said: dict[str, dict[str, tuple[str, int]]] = {}
    for event in log:
        if event["type"] == "outcome":
            reply = event["properties"]["nextbest"]
            root = reply.get("corrects", event["event_id"])
            at = event["event_timestamp"]
            words = said.setdefault(reply["decision_id"], {})
            words[root] = (reply["response"], words.get(root, ("", at))[1])
    found = {}
    for name, decision in made.items():
        words = said.get(name, {})
        until = decision["event_timestamp"] + window
        if all(word != "fail" for word, _ in words.values()):
            yes = any(word == "accept" and at <= until for word, at in words.values())
            found[f"{name}/0"] = float(yes)
    return found


def check_rules(log: list[Any]) -> None:
    """Check that no offer was made against a cap, a rest or a blocked channel, in log order."""
    failed = {
        e["properties"]["nextbest"]["decision_id"]
        for e in log
        if e["type"] == "outcome" and e["properties"]["response"] == "fail"
    }
    offers: dict[tuple[str, str], list[int]] = {}
    until: dict[tuple[str, str], int] = {}
    for event in log:
        who, at, own = event["customer_id"], event["event_timestamp"], event["properties"]
        action, channel = (who, str(own.get("action"))), (who, event["channel"])
        if event["type"] == "outcome":
            if own["response"] == "refuse":
                until[action] = max(until.get(action, 0), at + DAY // 2)
            if own["response"] == "fail":
                until[channel] = max(until.get(channel, 0), at + DAY // 2)
        elif "action" in own:
            assert at >= until.get(action, 0)
            assert at >= until.get(channel, 0)
            if event["event_id"] not in failed:
                before = offers.setdefault(action, [])
                before.append(at)
                assert sum(at - DAY < each <= at for each in before) <= CAP


def test_a_service_that_fails_is_named() -> None:
    with pytest.raises(SettingsError, match="'ftp://x' is no http:// or https:// URL"):
        Service("ftp://x")
    service = Service("http://127.0.0.1:1")
    with pytest.raises(SourceError, match=r"http://127.0.0.1:1/v1/events: .*refused"):
        live(short_world(time.time()), service)


class Odd(Service):
    """Answers what no world has."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")

    def post(self, path: str, body: Any) -> Any:
        if path == "/v1/events":
            return {"receipts": ["r"] * len(body)}
        return {"fallback": None, "stale": False, "offers": [{"action": "yacht"}]}


def test_an_offer_that_the_world_has_not_is_named() -> None:
    world = short_world(time.time())
    assert np.all(world.at > 0)
    with pytest.raises(SourceError, match="offers 'yacht', which the world has not"):
        live(world, Odd())
