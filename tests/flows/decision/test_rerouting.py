"""What could not be delivered goes out through another channel: once, and no channel twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

from nextbest.flows.decision.commit import Committer
from nextbest.flows.decision.contacts import BLOCKED, CapRules
from nextbest.flows.decision.record import Response, outcome_event
from tests.flows.decision.trigger_cases import KEYS, MINUTE, TEXT, World, now, said, visit


def failed(number: int | str, message: dict[str, Any], at: int | None = None) -> bytes:
    """An outcome that is put into the log by whoever delivers."""
    own = Response(decision_id=message["decision_id"], response="fail")
    return outcome_event(f"f-{number}", at or now(), message["customer"], message["channel"], own)


def posted(world: World, number: int, message: dict[str, Any]) -> None:
    """An outcome that is posted: the log and the contacts are changed at once."""
    own = Response(decision_id=message["decision_id"], response="fail")
    with Committer(world.url, KEYS, world.log) as committer:
        rules = CapRules.compile(world.loaded.strategy)
        committer.respond(f"p-{number}", now(), own, rules)


@pytest.mark.parametrize("way", ["posted", "in the log"])
def test_each_failure_is_answered_through_the_next_channel(
    tmp_path: Path, store_url: str, way: str
) -> None:
    world = World(tmp_path, store_url, 2)
    world.put(visit("ann", now() - MINUTE))
    world.run()
    chain = world.sent("push")
    for number, channel in enumerate(("sms", "mail")):
        if way == "posted":
            posted(world, number, chain[-1])
        else:
            world.put([failed(number, chain[-1]), failed(number, chain[-1])])
        # The row may not be in the store yet: then what the failed decision saw counts.
        with redis.Redis.from_url(store_url) as client:
            assert client.delete("nextbest:care:customer:ann") == 1
        # Another report of the same failure.
        world.put([failed(f"again-{number}", chain[-1])])
        world.run()
        chain += world.sent(channel)
        assert chain[-1]["cause"] == chain[-2]["decision_id"]
        assert chain[-1]["trigger"] == "abandoned"
    assert [[one["channel"], one["offers"][0]["action"]] for one in chain] == [
        ["push", "remind"], ["sms", "discount"], ["mail", "letter"],
    ]  # fmt: skip
    world.put([failed("last", chain[-1])])
    world.run()
    assert world.everything_sent() == {"push": ["ann"], "sms": ["ann"], "mail": ["ann"]}
    assert world.counts["rerouted"] == 2

    # All three are blocked now; of somebody else none is.
    rules = CapRules.compile(world.loaded.strategy)
    with redis.Redis.from_url(store_url) as client:
        contacts = client.get(KEYS.contacts("ann")) or b""
    for channel in ("push", "sms", "mail"):
        assert set(rules.check(contacts, channel, now()).reasons.values()) == {BLOCKED}
    world.put([said("more", "ann", "view", now()), *visit("ben", now() - MINUTE)])
    world.run()
    assert world.everything_sent() == {"push": ["ann", "ben"], "sms": ["ann"], "mail": ["ann"]}


def test_a_trigger_takes_another_channel_where_its_own_is_closed_or_blocked(
    tmp_path: Path, store_url: str
) -> None:
    text = TEXT.replace("push: {", 'push: {open: "visits.views < 6", ')
    world = World(tmp_path, store_url, text=text)
    began = now() - MINUTE
    views = [said(f"v{i}", "eve", "view", began + i) for i in range(5)]
    world.put([*views, *visit("eve", began + 5), *visit("ann", began)])
    world.run()
    # A cap is no reason: ann, who goes on browsing, gets no second message through sms.
    assert world.everything_sent() == {"push": ["ann"], "sms": ["eve", "eve"]}
    assert world.sent("sms")[0]["trigger"] == "abandoned"
    posted(world, 1, world.sent("push")[0])
    world.put([said("again", "ann", "view", now())])
    world.run()
    assert world.everything_sent() == {"push": ["ann"], "sms": ["eve", "eve", "ann", "ann"]}


def test_what_says_nothing_of_a_message_of_ours_is_passed_over(
    tmp_path: Path, store_url: str
) -> None:
    text = TEXT.replace("otherwise: [sms, mail]", "otherwise: []")
    world = World(tmp_path, store_url)
    world.put([*visit("ann", now() - MINUTE), *visit("ben", now() - MINUTE)])
    world.run()
    ann, ben = world.sent("push")
    world.put(
        [
            failed(1, {**ann, "decision_id": "d-7"}),
            failed(2, {**ann, "customer": "ben"}),
            failed(3, ann, now() - 11 * MINUTE),
        ]
    )
    world.run()
    none = World(tmp_path, store_url, text=text)
    none.put([failed(4, ben)])
    none.run()
    assert world.everything_sent() == {"push": ["ann", "ben"]}
    assert (world.counts["late"], none.counts) == (1, {"nothing": 1})
