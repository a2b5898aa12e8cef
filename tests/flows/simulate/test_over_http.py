"""A simulated world against a real service, and a real run that learns from the log it leaves."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from nextbest.features import SettingsError
from nextbest.features.errors import SourceError
from nextbest.flows.simulate.over_http import Service, live
from nextbest.flows.simulate.strategy import text_of
from nextbest.flows.simulate.world import Setting, World
from tests.flows.service.world import served

CATALOG = "nextbest.flows.simulate.catalog:catalog"


def short_world(start: float) -> World:
    setting = Setting(
        people=5, days=3, new_actions=0, level=0.0, start=int(start * 1e6), day_us=1_000_000
    )
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
    kinds = Counter(json.loads(line)["type"] for line in lines)
    views = sum(map(len, world.views))
    assert kinds["decision"] == len(world)
    assert kinds["outcome"] == lived.outcomes > 0
    assert kinds["view"] == views
    done = subprocess.run(
        [
            sys.executable, "-m", "nextbest.flows.cli", "run", "--catalog", CATALOG,
            "--strategy", str(file), "--stream", "events", "--drain",
            "--redis-url", store_url, "--data-dir", str(tmp_path / "run"),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    said = {
        name: int(n)
        for n, name in re.findall(r"(\d+) (decisions|responses|silences|repaired)", done.stdout)
    }
    assert said["decisions"] == len(world)
    counted = int((lived.earned > 0.0).sum())
    assert said["responses"] + said["repaired"] == counted
    assert said["responses"] + said["silences"] == len(world)


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
