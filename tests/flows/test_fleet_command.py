"""`nextbest fleet` tells who decides and why, and puts orders into the log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from nextbest.features import EventSchema
from nextbest.features.errors import EventError
from nextbest.flows.commands.place import Remembered, remember
from nextbest.flows.decision.keys import Keys
from nextbest.flows.decision.loop_events import LoopReader
from nextbest.flows.decision.record import Order
from nextbest.flows.decision.roster import roster_of
from nextbest.flows.decision.shadows import Standing
from nextbest.learners import Fleet
from nextbest.learners.forecasts import ForecastTrial
from tests.flows.test_cli import Nextbest, home, nextbest, one_line
from tests.flows.test_evaluate_command import CATALOG

__all__ = ["home", "nextbest"]

KEYS = Keys("shop", "spring")


@pytest.fixture
def asked(home: Path, store: redis.Redis, store_url: str) -> tuple[str, ...]:
    """A store with a fleet whose challenger was promoted, and what every command is given."""
    (home / "shop.py").write_text(CATALOG)
    fleet = Fleet("base", {"nimble": {"forgetting": [0.01]}, "still": {}})
    for k in range(300):
        at = 1_767_225_600_000_000 + 1_000_000 * k
        fleet.outcome(("base", "nimble", "still")[k % 3], float(k % 3 == 1), at)
    store.sadd(KEYS.all_strategies(), KEYS.strategy)
    standing = Standing(300, ForecastTrial().evidence(), "cannot tell")
    shadows = {"forest": (0, {"river": "river.forest.ARFClassifier"}, {"sale": standing})}
    store.set(KEYS.fleet(), roster_of(fleet, 2, shadows))
    return "--catalog", "shop.py:catalog", "--redis-url", store_url


def test_members_their_trials_and_what_changed_are_listed(
    asked: tuple[str, ...], nextbest: Nextbest
) -> None:
    found = nextbest("fleet", "list", *asked)
    assert found.code == 0, found.err
    for said in (
        "fleet of spring",
        "nimble",
        "reserve",
        "2 decisions came too late to count",
        "the beginning  base is the champion: declared",
        "nimble becomes the champion: evidence, proven better; against base:",
        "shadows, against nimble",
        "cannot tell",
    ):
        assert said in found.out, found.out
    told = json.loads(nextbest("fleet", "list", "--json", *asked).out)
    assert (told["strategy"], told["members"][0]["name"]) == ("spring", "nimble")
    promoted = next(change for change in told["changes"] if change["what"] == "promote")
    assert promoted["evidence"]["low"] >= 0.0


def test_an_order_is_an_event_of_the_log_that_a_run_can_read(
    asked: tuple[str, ...], store: redis.Redis, nextbest: Nextbest
) -> None:
    for what, more in (("promote", ("--stream", "log")), ("retire", ("--partitions", "2"))):
        found = nextbest("fleet", what, "base", "--note", "as before", "--by", "ann", *more, *asked)
        assert found.code == 0, found.err
        assert f"{what} base of spring: in the log as order-" in found.out
    streams = [store.xrange(key) for key in ("log", "events:0", "events:1")]
    lines = [value for entries in streams for _, fields in entries for value in fields.values()]
    reader = LoopReader(
        EventSchema("shop", types=("view",)), future_skew_us=10**7, max_event_bytes=9999,
        now=lambda: 2 * 10**15,
    )  # fmt: skip
    events = [reader.read(line.strip()) for line in lines]
    assert [event.own for event in events if event is not None] == [
        Order(fleet="spring", what=what, member="base", by="ann", note="as before")  # type: ignore[arg-type]  # one of the two
        for what in ("promote", "retire")
    ]
    with pytest.raises(EventError, match="1 to 1000 characters"):
        reader.read(lines[0].strip().replace(b'"ann"', b'""'))


def test_what_cannot_be_done_is_told_in_a_line(
    asked: tuple[str, ...], home: Path, store: redis.Redis, store_url: str, nextbest: Nextbest
) -> None:
    assert "no challenger 'nobody'; there are: base" in one_line(
        nextbest("fleet", "retire", "nobody", *asked)
    )
    refused = one_line(nextbest("fleet", "promote", "forest", *asked))
    assert "'forest' is a shadow: a model of River learns and forecasts, and cannot" in refused
    assert "declare a challenger" in refused
    (home / ".nextbest").mkdir()
    run = Remembered(
        catalog="shop.py:catalog", decisions=None, schema=1, source="files", store=store_url
    )
    remember(home / ".nextbest", run)
    assert "the log is files" in one_line(nextbest("fleet", "promote", "base", *asked))
    store.flushall()
    assert "no fleet of any strategy in the store" in one_line(nextbest("fleet", "list", *asked))
