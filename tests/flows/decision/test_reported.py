"""Outcomes that a producer puts into the log change what may be offered, as posted ones do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from nextbest.flows.decision.contacts import CapRules
from nextbest.flows.decision.record import Response, outcome_event
from tests.flows.decision.trigger_cases import KEYS, MINUTE, TEXT, World, now, visit

RESTS = "cool_downs: [{after: refuse, pause: 7d}]\n"


def answered(name: str, message: dict[str, Any], response: str, **more: Any) -> bytes:
    own = Response(decision_id=message["decision_id"], response=response, **more)
    return outcome_event(name, now(), message["customer"], message["channel"], own)


def held_back(world: World, customer: str) -> dict[str, str]:
    with redis.Redis.from_url(world.url) as client:
        contacts: Any = client.get(KEYS.contacts(customer)) or b""
    rules = CapRules.compile(world.loaded.strategy)
    return dict(rules.check(contacts, "push", now()).reasons)


def test_a_refusal_in_the_log_begins_a_cool_down_and_its_correction_ends_it(
    tmp_path: Path, store_url: str
) -> None:
    text = TEXT.replace("    caps: [{most: 1, per: 1d}]\n", "") + RESTS
    world = World(tmp_path, store_url, text=text)
    world.put([*visit("ann", now() - MINUTE), *visit("ben", now() - MINUTE)])
    world.run()
    sent = {message["customer"]: message for message in world.sent("push")}
    world.put(
        [
            answered("r", sent["ann"], "refuse"),
            answered("r", sent["ann"], "refuse"),
            # What tells nothing of an offer of theirs changes nothing.
            answered("other", {**sent["ann"], "customer": "ben"}, "refuse"),
            answered("none", {**sent["ben"], "decision_id": "d-7"}, "refuse"),
        ]
    )
    world.run()
    (reason,) = held_back(world, "ann").values()
    assert reason.startswith("cool-down after refuse until ")
    assert held_back(world, "ben") == {}
    world.put([answered("a", sent["ann"], "accept", corrects="r")])
    world.run()
    assert held_back(world, "ann") == {}
