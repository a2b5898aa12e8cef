"""Decisions are explained after their records have left the store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import redis

from nextbest.flows.decision.ids import new_id
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.record import Record, Response, record_of
from nextbest.flows.strategy_versions import StrategyVersions
from tests.flows.kept_cases import whole
from tests.flows.loop_archive_cases import decided, event_of, put_credits, put_decisions, told
from tests.flows.service.loop_cases import DAY, KEYS, TEXT, decide, deciding, problem
from tests.flows.service.world import Service, put_rows

HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("why")


@pytest.fixture(scope="module")
def service(embedded_store: str, home: Path) -> Iterator[Service]:
    put_rows(embedded_store)
    with deciding(embedded_store, home) as service:
        yield service


def gone(url: str, decision: str) -> Record:
    """Take a record out of the store, as its time to live does."""
    with redis.Redis.from_url(url) as store:
        kept: Any = whole(store, KEYS.decision(decision))
        store.delete(KEYS.decision(decision))
    return record_of(kept.partition(b" ")[2])


def test_a_decision_is_explained_from_the_archive_with_what_came_of_it(
    client: httpx.Client, embedded_store: str, home: Path
) -> None:
    made = decide(client, "ann", n=2)
    path = f"/v1/decisions/{made['decision_id']}/why"
    here = client.get(path).json()
    assert (here["source"], here["came"]) == ("store", None)
    record = gone(embedded_store, made["decision_id"])
    lost = problem(client.get(path), 404, "unknown-decision")["detail"]
    assert "there is no archive in the service's --data-dir" in lost

    refuse = Response(decision_id=record.id, response="refuse", action="mug")
    others = Response(decision_id="another", response="refuse")
    put_decisions(home / "archive", 0, [
        decided(record), event_of(refuse, record.at + 9, "ann", "o-1", 1),
        event_of(others, record.at + 10, "ann", "o-2", 2),
    ])  # fmt: skip
    put_credits(home / "archive", 0, [
        told(record, 0.0, after=DAY, silence=True),
        told(record, 0.0, after=DAY, silence=True, objective="spend"),
        told(record, 1.0, after=HOUR, revision=1),
        told(record, 0.0, after=HOUR, rank=1, withdrawn=True),
    ])  # fmt: skip
    found = client.get(path).json()
    assert (found["source"], found["reproduced"]) == ("archive", True)
    assert {**found, "source": "store", "came": None} == here
    came = found["came"]
    assert came["complete"] is True
    assert came["outcomes"] == [{
        "outcome_id": "o-1", "at": record.at + 9, "response": "refuse", "action": "mug",
        "value": None, "corrects": None,
    }]  # fmt: skip
    first, second = (offer["action"] for offer in made["offers"])
    assert [(c["rank"], c["action"], c["objective"], c["reward"]) for c in came["credits"]] == [
        (0, first, "accept", 1.0), (0, first, "spend", 0.0), (1, second, "accept", None),
    ]  # fmt: skip
    unknown = new_id(time.time_ns() // 1000 - 2 * DAY, "ann")
    reason = problem(client.get(f"/v1/decisions/{unknown}/why"), 404, "unknown-decision")["detail"]
    assert "neither the store nor the archive has" in reason


def test_a_version_that_only_the_archive_has_is_read_there(
    client: httpx.Client, embedded_store: str, home: Path
) -> None:
    made = decide(client, "bo")
    record = gone(embedded_store, made["decision_id"])
    old = load(TEXT.replace("range: [0, 50]", "range: [0, 60]"))
    forged = msgspec.structs.replace(record, strategy=old.version)
    put_decisions(home / "archive", 1, [decided(forged)])
    path = f"/v1/decisions/{made['decision_id']}/why"
    lost = problem(client.get(path), 410, "no-longer-kept")["detail"]
    assert "which the store does not have, nor the archive" in lost
    StrategyVersions(home / "archive" / "strategies").keep("spring", old.version, old.text)
    found = client.get(path).json()
    assert found["strategy"] == old.version
    assert [one["part"] for one in found["differences"]] != []  # it was another that decided


def test_a_damaged_archive_is_told(client: httpx.Client, embedded_store: str, home: Path) -> None:
    made = decide(client, "cy")
    gone(embedded_store, made["decision_id"])
    put_decisions(home / "archive", 2, []).write_bytes(b"PAR1 no")
    found = client.get(f"/v1/decisions/{made['decision_id']}/why")
    assert (
        "epoch-00000002.parquet: cannot be read" in problem(found, 500, "unreadable-row")["detail"]
    )
