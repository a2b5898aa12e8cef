"""What was served is what replay says was to be served: the log of lookups holds all it takes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import httpx

from nextbest.features.audit import audit
from nextbest.features.served_lookups import read_lookups
from tests.flows.service import shop
from tests.flows.service.test_service_receipts import LOG, NAMES, publish, working
from tests.flows.service.world import served

CUSTOMERS = f"{shop.__file__}:customers"


def everything(ids: Sequence[str], positions: Sequence[int]) -> Sequence[bool]:
    return [True] * len(ids)


def test_served_lookups_replay_bit_for_bit(store_url: str, tmp_path: Path) -> None:
    home, worker = tmp_path / "service", tmp_path / "worker"
    chosen = random.Random(7)
    asked = 0
    with (
        working(worker, store_url),
        served(store_url, home, *LOG, catalog=CUSTOMERS, NEXTBEST_LOOKUP_LOG_SHARE="1") as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        for turn in range(30):
            customers = chosen.choices(NAMES, k=5)
            receipts = publish(client, f"turn-{turn}", customers)
            # Half of them wait, the others are answered from wherever the worker is.
            body = {"ids": [*NAMES, "nobody"], "after": receipts, "wait_seconds": turn % 2 * 30}
            body |= [{}, {"service": "ranking"}, {"features": ["visits:views", "visits:category"]}][
                turn % 3
            ]
            found = client.post("/v1/features", json=body)
            assert found.status_code == 200, found.text
            asked += len(NAMES) + 1
        assert service.stop() == 0
    lookups = list(read_lookups(home / "lookups"))
    assert len([one for one in lookups if one.id != "nextbest"]) == asked
    assert len({one.position for one in lookups}) > 10
    report = audit(shop.customers, worker / "archive" / "events", lookups, is_archived=everything)
    assert (report.differences, report.others, report.waiting) == (0, {}, 0), report.skews[:3]
    assert report.lookups == len(lookups)
