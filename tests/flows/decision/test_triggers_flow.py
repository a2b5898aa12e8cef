"""Decisions that the stream makes by itself: at the right events, once, and as apps would get."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import redis

from nextbest.flows.decision.commit import Committed, Committer
from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.ids import id_of_cause, new_id
from nextbest.flows.decision.request import Request, row_of
from tests.flows.decision.trigger_cases import (
    KEYS,
    MINUTE,
    SECOND,
    World,
    catalog,
    now,
    said,
    visit,
)
from tests.laws.driver import Kernels


@pytest.mark.parametrize("partitions", [None, 2], ids=["one stream", "two partitions"])
def test_an_abandoned_cart_is_written_to_once(
    tmp_path: Path, store_url: str, partitions: int | None
) -> None:
    world = World(tmp_path, store_url, partitions)
    began = now() - 2 * MINUTE
    names = [f"c{i}" for i in range(9)]
    events = [one for pair in zip(*(visit(n, began) for n in names), strict=True) for one in pair]
    events += events[-9:]  # sent again
    events += visit("yesterday", began - 24 * 60 * MINUTE)
    events += [said("b-0", "buyer", "buy", began, value=9.0), *visit("buyer", began + SECOND)]
    world.put(events)
    world.run()

    assert sorted(one["customer"] for one in world.sent("push")) == names
    # Of the two views after the cart the second finds the cap of the action reached.
    assert world.counts == {"triggered": 20, "sent": 9, "late": 2, "nothing": 9}
    engine, records = Engine(world.loaded, catalog), {r.customer: r for r in world.decided()}
    assert sorted(records) == names
    for name in names:
        view = visit(name, began)[2]
        kernels = Kernels(catalog)
        kernels.apply(visit(name, began)[:3])
        row = row_of(kernels.state.read([name], view["event_timestamp"]))
        record = records[name]
        assert record.served is not None
        row = row._replace(position=record.served.position)
        decision = id_of_cause(view["event_timestamp"], name, view["event_id"], "abandoned")
        assert record == engine.decide(
            Request(customer=name, channel="push"), row, b"", b"", view["event_timestamp"],
            decision, cause=view["event_id"], trigger="abandoned",
        )  # fmt: skip
    message = world.sent("push")[0]
    assert [o["action"] for o in message["offers"]] == ["remind"]
    assert message["offers"][0]["content"] == {"title": "Your cart"}
    assert (message["trigger"], message["cause"]) == ("abandoned", f"{message['customer']}-2")
    world.run()  # and what the log has of decisions asks for none
    world.put(visit("later", began))
    world.run(acting=False)
    world.put([said("after", "buyer", "view", now())])
    world.run()  # it goes on, acting or not
    assert world.counts["sent"] == len(world.sent("push")) == 9


def test_a_run_that_breaks_loses_nothing_and_sends_nothing_twice(
    tmp_path: Path, store_url: str
) -> None:
    world = World(tmp_path, store_url, 2)
    began, names = now() - MINUTE, [f"c{i:02}" for i in range(40)]
    world.put([one for name in names for one in visit(name, began)])
    for at in (5, 25):
        world.breaks_at = at
        with pytest.raises(ZeroDivisionError):
            world.run()
    world.run()
    assert world.counts["repeated"] > 0
    assert sorted(one["customer"] for one in world.sent("push")) == names
    ids = [record.id for record in world.decided()]
    assert len(ids) == len(set(ids)) == len(names)


def test_caps_hold_between_what_apps_ask_for_and_what_the_stream_decides(
    tmp_path: Path, store_url: str
) -> None:
    world = World(tmp_path, store_url)
    began = now() - MINUTE
    engine = Engine(world.loaded, catalog)
    kernels = Kernels(catalog)
    kernels.apply(visit("ann", began)[:2])
    row = row_of(kernels.state.read(["ann"], began + SECOND))
    asked = Request(customer="ann", channel="web")
    at = began + SECOND + 7
    record = engine.decide(asked, row, b"", b"", at, new_id(at, "ann"))
    assert [offer.action for offer in record.offers] == ["remind"]
    with Committer(store_url, KEYS, world.log) as committer:
        update = engine.caps.offered(b"", ["remind"], "web", at)
        assert isinstance(committer.commit(record, update), Committed)
    world.put([*visit("ann", began), *visit("ben", began)])
    world.run()
    assert world.everything_sent() == {"push": ["ben"]}


def test_what_cannot_be_used_is_answered_by_the_fallback_or_not_at_all(
    tmp_path: Path, store_url: str
) -> None:
    world = World(tmp_path, store_url)
    with redis.Redis.from_url(store_url) as client:
        client.set(KEYS.model("answer"), b"no model at all")
        client.set(KEYS.contacts("dan"), b"no contacts")
    world.put([*visit("dan", now()), *visit("eve", now())])
    world.run()
    (record,) = world.decided()
    assert record.customer == "eve"
    assert record.fallback.startswith("models: objective 'answer'")
    assert [offer.action for offer in record.offers] == ["remind"]
    assert world.counts == {"triggered": 4, "sent": 1, "nothing": 1, "fallback": 1, "refused": 2}
    with redis.Redis.from_url(store_url) as client:  # and why can be told
        kept = msgspec.json.decode(client.get(KEYS.version(record.strategy)) or b"")
    assert kept == {"version": world.loaded.version, "text": world.text}
