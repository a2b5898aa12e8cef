"""Looking features up over HTTP: what is answered, and in what form."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from nextbest.features.receipts import Receipt
from tests.flows.service.world import NOW, SECOND

ANN = {
    "visits:events": 3,
    "visits:spend": 2.5,
    "visits:category": "tea",
    "visits:views": 2,
    "visits:by_category": {"tea": 1, "coffee": 1, 'the "best"': 0},
    "visits:last_values": [2.5, None, None],
}
MISSING = {
    "visits:events": None,
    "visits:spend": None,
    "visits:category": None,
    "visits:views": None,
    "visits:by_category": {"tea": None, "coffee": None, 'the "best"': None},
    "visits:last_values": [None, None, None],
}


def ask(client: httpx.Client, **request: Any) -> dict[str, Any]:
    found = client.post("/v1/features", json={"features": ["visits"], "at": NOW, **request})
    assert found.status_code == 200, found.text
    return found.json()  # type: ignore[no-any-return]


def test_a_row_holds_numbers_words_keys_and_lists(client: httpx.Client) -> None:
    found = ask(client, ids=["ann", "nobody"])
    assert (found["at"], found["stale"]) == (NOW, False)
    ann, nobody = found["rows"]
    assert ann == {
        "id": "ann", "known": True, "age_ms": 58_000, "values": ANN,
        "states": {"visits:last_values": "missing"},
    }  # fmt: skip
    assert nobody["known"] is False
    assert nobody["age_ms"] is None
    assert nobody["values"] == MISSING
    assert nobody["states"] == dict.fromkeys(MISSING, "missing")


def test_integers_come_as_integers_and_sums_as_floats(client: httpx.Client) -> None:
    text = client.get(f"/v1/features/ann?features=visits&at={NOW}").text
    assert '"visits:events":3,"visits:spend":2.5' in text


def test_a_session_that_is_over_reads_as_expired(client: httpx.Client) -> None:
    found = ask(client, ids=["ann"], at=NOW + 3600 * SECOND)["rows"][0]
    assert found["values"]["visits:views"] is None
    assert found["states"]["visits:views"] == "expired"


def test_a_service_chooses_and_orders(client: httpx.Client) -> None:
    found = client.post("/v1/features", json={"ids": ["ann"], "service": "ranking", "at": NOW})
    assert list(found.json()["rows"][0]["values"]) == ["visits:spend", "visits:by_category"]


def test_get_answers_as_post_does(client: httpx.Client) -> None:
    posted = ask(client, ids=["köln/ü"])
    found = client.get(f"/v1/features/{quote('köln/ü', safe='')}", params={"at": NOW})
    assert found.json() == posted
    assert posted["rows"][0]["known"]


@pytest.mark.parametrize(
    "at",
    [NOW, str(NOW), "2026-01-01T00:01:00Z", "2026-01-01T01:01:00+01:00", "2026-01-01T00:01:00"],
    ids=["int", "text", "utc", "zone", "none"],
)
def test_times_may_be_numbers_or_iso_8601(client: httpx.Client, at: int | str) -> None:
    assert ask(client, ids=["ann"], at=at)["at"] == NOW
    assert client.get(f"/v1/features/ann?at={at}").json()["at"] == NOW  # + is not escaped


def test_without_a_time_it_is_now(client: httpx.Client) -> None:
    before = time.time_ns() // 1000
    found = client.get("/v1/features/ann").json()
    assert before <= found["at"] <= time.time_ns() // 1000


def test_a_composite_entity_is_found_by_all_its_keys(client: httpx.Client) -> None:
    ids = {"category": ["tea", "tea"], "customer_id": ["ann", "ben"]}
    found = ask(client, ids=ids, features=["pairs"])
    assert [row["id"] for row in found["rows"]] == [
        {"category": "tea", "customer_id": "ann"}, {"category": "tea", "customer_id": "ben"},
    ]  # fmt: skip
    assert found["rows"][0]["values"] == {"pairs:n": None, "pairs:s": None}


def test_one_join_key_names_its_ids_plainly(client: httpx.Client) -> None:
    found = ask(client, ids={"customer_id": ["ann"]})
    assert found["rows"][0]["id"] == "ann"
    assert found["rows"][0]["known"]


def test_no_ids_give_no_rows(client: httpx.Client) -> None:
    assert ask(client, ids=[])["rows"] == []


def test_what_was_published_is_waited_for_or_the_answer_says_stale(client: httpx.Client) -> None:
    seen, to_come = str(Receipt.of(0, 0, "ann")), str(Receipt.of(0, 1 << 60, "ann"))
    assert ask(client, ids=["ann"], after=seen)["stale"] is False
    assert ask(client, ids=["ann"], after=[seen, to_come], wait_seconds=0.05)["stale"] is True
    url = f"/v1/features/ann?after={seen}&after={to_come}&wait_seconds=0.05"
    assert client.get(url).json()["stale"] is True


def test_many_ids_come_in_their_order(client: httpx.Client) -> None:
    ids = [f"c-{i}" for i in range(9_999)] + ["ann"]
    rows = ask(client, ids=ids)["rows"]
    assert [row["id"] for row in rows] == ids
    assert rows[-1]["values"] == ANN
    assert not rows[0]["known"]


def test_concurrent_lookups_do_not_mix(service: Any) -> None:
    async def all_at_once() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
            asked = [
                client.get(f"/v1/features/{customer}?at={NOW}&service=ranking")
                for _ in range(100)
                for customer in ("ann", "ben", "nobody")
            ]
            return await asyncio.gather(*asked)

    for i, found in enumerate(asyncio.run(all_at_once())):
        row = found.json()["rows"][0]
        assert row["id"] == ("ann", "ben", "nobody")[i % 3]
        assert row["values"]["visits:spend"] == (2.5, 0.0, None)[i % 3]


def test_the_catalog_is_described(client: httpx.Client) -> None:
    found = client.get("/v1/catalog").json()
    assert found["name"] == "shop"
    assert found["services"][0]["features"] == ["visits:spend", "visits:by_category"]
    views = {view["name"]: view for view in found["views"]}
    assert views["pairs"]["join_keys"] == ["customer_id", "category"]
    features = {feature["name"]: feature for feature in views["visits"]["features"]}
    assert features["views"]["window"] == "session"
    assert features["by_category"]["keys"] == ["tea", "coffee", 'the "best"']
    assert (features["last_values"]["length"], features["category"]["type"]) == (3, "string")


def test_health_and_documentation_are_there(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "up"}
    assert client.get("/readyz").json() == {"status": "ready"}
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "POST /v1/features" in page.text
    assert "src=" not in page.text  # it needs nothing from anywhere else
    assert "default-src 'none'" in page.headers["content-security-policy"]
