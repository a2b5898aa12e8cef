"""The service decides by the members of a fleet as the store has them, and says who it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import redis

from nextbest.flows.decision.roster import roster_of
from nextbest.learners import Fleet
from tests.flows.service.loop_cases import KEYS, TEXT, decide, deciding, until
from tests.flows.service.test_service_strategy import taught
from tests.flows.service.world import put_rows

CREW = TEXT + "fleet: {challengers: {a: {}}, share: 0.5, stay: 3600d}\n"


def test_members_decide_for_their_customers_alone_and_together(
    store_url: str, tmp_path: Path
) -> None:
    put_rows(store_url)
    fleet = Fleet("base", {"a": {}})
    with (
        deciding(store_url, tmp_path / "home", text=CREW) as service,
        httpx.Client(base_url=service.url) as client,
        redis.Redis.from_url(store_url) as store,
    ):

        def publish() -> None:
            store.set(KEYS.fleet(), roster_of(fleet))

        def why(identifier: str) -> dict[str, Any]:
            found: dict[str, Any] = client.get(f"/v1/decisions/{identifier}/why").json()
            assert found["reproduced"] is True
            return found

        def members() -> set[tuple[str, int]]:
            made = [decide(client, f"c{i}", context={"page": "home"}) for i in range(8)]
            body = {"channel": "web", "customers": [f"c{i}" for i in range(8)]}
            many = client.post("/v1/decide/batch", json=body).json()["decisions"]
            alone = [why(one["decision_id"]) for one in made]
            together = [why(one["decision_id"]) for one in many]
            if [one["member"] for one in alone] != [one["member"] for one in together]:
                return set()  # a new roster was taken up in between
            return {(one["member"], one["models"]["accept"]) for one in alone}

        assert members() == {("", 0)}
        for member, n in (("base", 40), ("a", 60)):
            for objective in ("accept", "spend"):
                store.set(KEYS.model(f"{objective}:{member}"), taught(n))
        publish()
        until(lambda: members() == {("base", 40), ("a", 60)})
        # What is there still can be asked again, of the member who decided and no other.
        fresh = [why(decide(client, f"d{i}")["decision_id"]) for i in range(8)]
        assert {(one["member"], one["foretold"]) for one in fresh} == {
            ("base", "reproduced"), ("a", "reproduced"),
        }  # fmt: skip
        fleet.promote("a", at=1)
        fleet.retire("base", at=2)
        publish()
        until(lambda: members() == {("a", 60)})
