"""Decisions that have seen the very last event, and what was learned, with a real worker between.

``NEXTBEST_LAWS=long`` makes a thousand visits.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench import loop_shop
from tests.bench.loop_processes import Service, loop
from tests.bench.same_visit import visits
from tests.flows.service.loop_cases import until
from tests.laws.driver import LONG, patience

pytestmark = patience
VISITS = 1000 if LONG else 50


def test_the_next_decision_has_seen_the_whole_visit_and_what_was_learned(
    store_url: str, tmp_path: Path
) -> None:
    catalog = f"{loop_shop.__file__}:catalog"
    with loop(tmp_path, store_url, catalog, loop_shop.TEXT, services=2 if LONG else 1) as ports:
        found = visits("ann", ports, VISITS, threads=2)
        assert found.missed == []
        assert len(found.took) == VISITS
        service = Service(ports[-1])

        def score(customer: str) -> float:
            return float(service.decide(customer, "watch")["offers"][0]["score"])

        made = service.decide("ben", "watch")
        untaught = [score(customer) for customer in ("ben", "cy")]
        outcome = {
            "outcome_id": "o1", "customer": "ben", "decision_id": made["decision_id"],
            "response": "like", "value": 1.0,
        }  # fmt: skip
        service.post("/v1/outcomes", outcome)
        until(lambda: score("cy") > untaught[1])
        assert score("ben") > score("cy")  # who has weights of their own too
        # What is served of models is what the worker says it has learned.
        seen = service.ask("GET", "/v1/customers/cy?channel=watch")["models"]
        assert seen == {"like": 1, "buy": 0}
        service.close()
