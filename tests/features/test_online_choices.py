"""Which features a lookup answers, of which entities, and what it says of a wrong question."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import redis

from nextbest.features import DeclarationError, SettingsError
from nextbest.features.kernels.read import EXPIRED, MISSING, PRESENT
from nextbest.features.online import MAX_IDS, FeatureClient
from tests.features.online_cases import EVENTS, MINUTE, NOW, START, catalog, write_rows
from tests.laws.driver import Kernels

PRODUCTS = ["hat", "Schüh", "hat", "nothing"]
CUSTOMERS = ["ann", "ann", "ben", "ann"]


@pytest.fixture
def states(store: redis.Redis) -> dict[str, Kernels]:
    return write_rows(store, catalog, EVENTS)


@pytest.fixture
def client(states: dict[str, Kernels], store_url: str) -> Iterator[FeatureClient]:
    with FeatureClient(store_url, catalog, clock=lambda: NOW) as client:
        yield client


def test_features_are_answered_in_the_order_asked_for(
    client: FeatureClient, states: dict[str, Kernels]
) -> None:
    found = client.get(["ben", "ann"], features=["visits:word", "visits:n"])
    assert found.columns == ("visits:word", "visits:n")
    assert found.values.tolist() == [[0, 1], [1, 3]]
    assert found.to_dict("ann") == {"visits:word": "coffee", "visits:n": 3}
    assert isinstance(found.to_dict("ann")["visits:n"], int)
    whole = client.get(["ben", "ann"], features=["visits"])
    expected = states["customer"].state.read(["ben", "ann"], NOW)
    assert whole.values.tobytes() == expected.values.tobytes()
    assert whole.positions.tolist() == expected.positions.tolist() == [3, 2]


def test_a_ratio_needs_no_other_feature_to_be_asked_for(client: FeatureClient) -> None:
    found = client.get(["ann", "ben", "nobody"], service="person")
    assert found.columns == ("visits:share", "visits:word")
    assert found.values.shape == found.state.shape == found.age_ms.shape == (3, 2)
    assert found.to_dicts() == [
        {"visits:share": pytest.approx(1 / 3), "visits:word": "coffee"},
        {"visits:share": 1.0, "visits:word": "tea"},
        {"visits:share": None, "visits:word": None},
    ]


def test_features_of_three_entities_in_one_answer(
    client: FeatureClient, states: dict[str, Kernels], store: redis.Redis
) -> None:
    ids = {"customer_id": CUSTOMERS, "product": PRODUCTS}
    before = store.info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"]
    found = client.get(ids, service="ranking")
    assert store.info("commandstats")["cmdstat_mget"]["calls"] == before + 1
    assert found.columns == ("items:seen", "visits:spend", "pairs:times")
    assert found.ids == tuple(zip(CUSTOMERS, PRODUCTS, strict=True))
    nan = pytest.approx(np.nan, nan_ok=True)
    assert found.values.tolist() == [[3, 7.5, nan], [1, 7.5, 1], [3, 7, 1], [nan, 7.5, nan]]
    assert found.state.tolist() == [
        [PRESENT, PRESENT, EXPIRED],
        [PRESENT, PRESENT, PRESENT],
        [PRESENT, PRESENT, PRESENT],
        [MISSING, PRESENT, MISSING],
    ]
    assert (found.age_ms // 60_000).tolist() == [
        [30, 2, 540],
        [2, 2, 2],
        [30, 30, 30],
        [-1, 2, -1],
    ]
    assert found.positions.tolist() == [2, 2, 3, 2]
    assert found.to_dict(("ann", "Schüh"))["pairs:times"] == 1
    assert found.states(("ann", "hat"))["pairs:times"] == "expired"


def test_ids_of_one_entity(client: FeatureClient) -> None:
    by_name = client.get({"product": ["hat", "x"]}, features=["items:seen"])
    assert by_name.ids == ("hat", "x")
    assert by_name.to_dict("hat") == {"items:seen": 3}
    assert by_name.positions.tolist() == [-1, -1]
    pairs = client.get([("ben", "hat"), ("ben", "x")], features=["pairs"])
    assert pairs.state.tolist() == [[PRESENT], [MISSING]]
    assert pairs.to_dict(("ben", "hat")) == {"pairs:times": 1}
    # What is not needed is not looked at.
    more = {"customer_id": ["ann"], "product": ["hat", "x"]}
    assert client.get(more, features=["visits:n"]).ids == ("ann",)
    assert client.get({"customer_id": [], "product": []}, service="ranking").values.shape == (0, 3)


def test_time_to_live_and_time_to_come(client: FeatureClient) -> None:
    last = NOW - 30 * MINUTE

    def state(at: int) -> str:
        found = client.get([("ben", "hat")], features=["pairs:times"], at=at)
        return found.states(("ben", "hat"))["pairs:times"]

    assert [state(last + 60 * MINUTE + late) for late in (-1, 0, 1)] == [
        "present",
        "present",
        "expired",
    ]
    day = 24 * 60 * MINUTE
    found = client.get(["ann"], features=["visits:n"], at=NOW + day)
    assert found.to_dict("ann") == {"visits:n": 3}
    with pytest.raises(SettingsError, match="lies more than a day in the future"):
        client.get(["ann"], features=["visits:n"], at=NOW + day + 1)
    for at in (2**62 + 1, -(2**62) - 1):
        with pytest.raises(SettingsError, match="are not microseconds since 1970"):
            client.get(["ann"], features=["visits:n"], at=at)
    with pytest.raises(SettingsError, match="at='now' is no integer"):
        client.get(["ann"], features=["visits:n"], at="now")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"service": "other"}, DeclarationError, "no feature service 'other'; there are: ranking"),
        ({"features": ["visits:m"]}, DeclarationError, "no feature 'visits:m' in 'shop'"),
        ({"features": ["visits", "visits:n"]}, DeclarationError, "'visits:n' is chosen twice"),
        ({"features": []}, SettingsError, "features must be one or more strings"),
        ({"features": [1]}, SettingsError, "features must be one or more strings"),
        ({"features": [["visits"]]}, SettingsError, "features are named by strings"),
        ({"features": "visits"}, SettingsError, "features must be a sequence of"),
        ({"features": ["visits"], "service": "person"}, SettingsError, "not both"),
        (
            {"features": ["visits", "items"]},
            SettingsError,
            "customer and product are found by a mapping of customer_id, product to ids",
        ),
        ({"features": ["pairs"]}, SettingsError, r"tuples \(customer_id, product\); one is 'ann'"),
    ],
    ids=[
        "service",
        "feature",
        "twice",
        "none",
        "number",
        "list",
        "text",
        "both",
        "several",
        "composite",
    ],
)
def test_what_cannot_be_asked_for(
    client: FeatureClient, given: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        client.get(["ann"], **given)


def test_without_a_choice_ids_are_asked_for_all_that_they_find(client: FeatureClient) -> None:
    def views(ids: Any) -> set[str]:
        return {column.partition(":")[0] for column in client.get(ids).columns}

    assert views(["ann"]) == {"visits"}
    assert views({"customer_id": ["ann"]}) == {"visits"}
    assert views({"product": ["hat"]}) == {"items"}
    assert views({"customer_id": ["ann"], "product": ["hat"]}) == {"visits", "items", "pairs"}


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ({"customer_id": ["ann"]}, "the ids lack 'product'"),
        ({"customer_id": ["ann"], "product": ["a", "b"]}, "not equally many"),
        ({"customer_id": "ann", "product": ["a"]}, "customer_id must be a sequence of strings"),
        ({"customer_id": [1], "product": ["a"]}, "customer_id must be a sequence of strings; one"),
        ({"customer_id": ["a"], "product": None}, "product must be a sequence of strings"),
        ({"shop": ["a"]}, "no entity is found by 'shop'; join keys are: customer_id, product"),
        ({"customer_id": ["a"] * (MAX_IDS + 1), "product": ["a"]}, "10001 ids in one lookup"),
    ],
    ids=["lacks", "unequal", "text", "number", "none", "unknown", "many"],
)
def test_ids_that_find_nothing(client: FeatureClient, ids: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        client.get(ids, service="ranking")


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([("ann",)], "pair is found by the strings customer_id, product"),
        ([("ann", 3)], "pair is found by the strings customer_id, product"),
        ([["ann", "hat"]], "one is"),
        (None, "ids must be a sequence of tuples"),
        (iter(["ann"]), "ids must be a sequence of tuples"),
    ],
    ids=["short", "number", "list", "none", "iterator"],
)
def test_ids_of_a_composite_entity_that_are_none(
    client: FeatureClient, ids: Any, says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        client.get(ids, features=["pairs"])


def test_an_id_that_is_no_text_and_one_that_was_not_asked_for(client: FeatureClient) -> None:
    with pytest.raises(SettingsError, match="an id is no text"):
        client.get(["\ud800"], features=["visits:n"])
    found = client.get(["ann"], features=["visits:n"])
    for ask in (found.to_dict, found.states):
        with pytest.raises(SettingsError, match="'ben' was not asked for"):
            ask("ben")


def test_a_damaged_row_names_its_id(client: FeatureClient, store: redis.Redis) -> None:
    ids = {"customer_id": CUSTOMERS, "product": PRODUCTS}
    key = "nextbest:shop:pair:3:ann6:Schüh"
    row = store.get(key)
    assert isinstance(row, bytes)
    store.set(key, row[:-8])
    with pytest.raises(Exception, match="the row of pair '3:ann6:Schüh' is cut off or too long"):
        client.get(ids, service="ranking")
    assert client.get(["ann"], features=["visits:n"], at=START).values.tolist() == [[3.0]]
