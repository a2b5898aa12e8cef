"""Lookups past Feast's messages say what Feast's own way says: values, statuses, times, order."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import feast
import numpy as np
import pandas as pd
import pytest
import redis
from feast import utils
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.Value_pb2 import RepeatedValue, Value

from nextbest.features.feast_plugin import serving
from nextbest.features.feast_plugin.direct import DirectResponse
from nextbest.features.feast_plugin.errors import RowError
from nextbest.features.feast_plugin.repo import apply
from tests.features.feast_cases import (
    CATALOG,
    CUSTOMER_REFS,
    DAY,
    END,
    IDS,
    MINUTE,
    PAIR,
    TASTE,
    expected,
    is_same,
    publish,
)


@pytest.fixture(scope="module")
def shop(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> feast.FeatureStore:
    return apply(CATALOG, tmp_path_factory.mktemp("feast"), embedded_store)


@pytest.fixture(autouse=True)
def rows(store: redis.Redis) -> None:
    publish(store)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the time that lookups are made at."""

    def at(now: int) -> None:
        monkeypatch.setattr(serving, "now_us", lambda: now)

    at(END)
    return at


def _online(shop: feast.FeatureStore) -> Any:
    return shop._get_provider().online_store


def _slowly(shop: feast.FeatureStore, *arguments: Any, **options: Any) -> OnlineResponse:
    """Feast's own way to the same rows."""
    online = _online(shop)
    direct, online._direct = online._direct, lambda *_: None
    try:
        answer = shop.get_online_features(*arguments, **options)
    finally:
        online._direct = direct
    assert not isinstance(answer, DirectResponse)
    return answer


def _quickly(shop: feast.FeatureStore, *arguments: Any, **options: Any) -> OnlineResponse:
    answer = shop.get_online_features(*arguments, **options)
    assert isinstance(answer, DirectResponse)
    return answer


def _plain(value: Any) -> Any:
    """A value by which NaN equals itself, and 1 differs from 1.0."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return [(name, _plain(each)) for name, each in value.items()]
    return type(value), "nan" if isinstance(value, float) and math.isnan(value) else value


def _assert_same(ours: OnlineResponse, theirs: OnlineResponse) -> None:
    assert _plain(ours.to_dict(True)) == _plain(theirs.to_dict(True))
    assert _plain(ours.to_dict()) == _plain(theirs.to_dict())
    assert str(ours.proto) == str(theirs.proto)  # as text, since NaN is not equal to itself
    assert str(ours.to_arrow()) == str(theirs.to_arrow())
    pd.testing.assert_frame_equal(ours.to_df(True), theirs.to_df(True))


def test_random_requests_are_answered_as_feast_answers_them(
    shop: feast.FeatureStore, clock: Callable[[int], None]
) -> None:
    random = np.random.default_rng(11)
    people = ["ada", "bob", "é, ß", "nobody", "", "a" * 300]
    for turn in range(60):
        clock(END + int(random.choice([0, 1, 20 * MINUTE, 31 * MINUTE, DAY, 3 * DAY])))
        count = int(random.integers(1, len(CUSTOMER_REFS) + 1))
        refs = [str(ref) for ref in random.permutation(CUSTOMER_REFS)[:count]]
        ids = [str(each) for each in random.choice(people, int(random.integers(1, 9)))]
        given: Any = [{"customer_id": i} for i in ids] if turn % 2 else {"customer_id": ids}
        options = {"full_feature_names": turn % 3 == 0}
        _assert_same(_quickly(shop, refs, given, **options), _slowly(shop, refs, given, **options))


@pytest.mark.parametrize("entity", ["customer", "product", "pair"])
@pytest.mark.parametrize("later", [0, 31 * MINUTE, 4 * DAY])
def test_every_value_and_status_is_that_of_the_raw_events(
    shop: feast.FeatureStore, clock: Callable[[int], None], entity: str, later: int
) -> None:
    clock(END + later)
    catalog = CATALOG.of(entity)
    refs = [f"{view.name}:{feature.name}" for view, feature in catalog.features()]
    given = []
    for each in IDS[entity]:
        parts = [each] if isinstance(each, str) else each
        # The order in which Feast is given the keys says nothing.
        keys = zip(reversed(catalog.entity.join_keys), reversed(parts), strict=True)
        given.append(dict(keys))
    for answer in (_quickly(shop, refs, given), _slowly(shop, refs, given)):
        names = answer.proto.metadata.feature_names.val
        vectors = dict(zip(names, answer.proto.results, strict=True))
        found = answer.to_dict()
        assert list(found) == [*given[0], *(ref.split(":")[1] for ref in refs)]
        for i, each in enumerate(IDS[entity]):
            for ref, (value, status) in expected(entity, each, END + later).items():
                name = ref.split(":")[1]
                assert vectors[name].statuses[i] == status, (ref, each)
                assert is_same(found[name][i], value), (ref, each, found[name][i], value)


def test_all_statuses_are_seen(shop: feast.FeatureStore, clock: Callable[[int], None]) -> None:
    clock(END + 31 * MINUTE)
    answer = _quickly(shop, CUSTOMER_REFS, [{"customer_id": i} for i in IDS["customer"]])
    assert {s for vector in answer.proto.results for s in vector.statuses} == {
        FieldStatus.PRESENT,
        FieldStatus.NULL_VALUE,
        FieldStatus.NOT_FOUND,
        FieldStatus.OUTSIDE_MAX_AGE,
    }


def test_a_service_is_answered_in_its_own_order(
    shop: feast.FeatureStore, clock: Callable[[int], None]
) -> None:
    service = shop.get_feature_service("ranking")
    rows = [{"customer_id": i} for i in IDS["customer"]]
    names = ["customer_id", "total", "trail", "all_events", "events"]
    assert list(_quickly(shop, service, rows).to_dict()) == names
    _assert_same(_quickly(shop, service, rows), _slowly(shop, service, rows))
    again = shop.get_feature_service("ranking")
    _assert_same(_quickly(shop, again, rows), _slowly(shop, service, rows))
    shelf = _quickly(shop, shop.get_feature_service("shelf"), {"product_id": ["p1"]})
    assert shelf.to_dict()["views_7d"] == [3]


@pytest.mark.parametrize(
    "rows",
    [
        {"customer_id": [Value(string_val="ada"), Value(string_val="bob")]},
        {"customer_id": RepeatedValue(val=[Value(string_val="ada"), Value(string_val="bob")])},
        [{"customer_id": "ada", "note": 1}, {"customer_id": "bob", "note": 2}],
        [{"customer_id": np.str_("ada")}, {"customer_id": "bob"}],
    ],
    ids=["values", "repeated", "more columns", "other strings"],
)
def test_ids_of_other_forms_go_feasts_way(
    shop: feast.FeatureStore, clock: Callable[[int], None], rows: Any
) -> None:
    answer = shop.get_online_features(["history:all_events"], rows)
    assert not isinstance(answer, DirectResponse)
    assert answer.to_dict()["all_events"] == [4, 2]


def test_what_one_round_trip_cannot_answer_goes_feasts_way(
    shop: feast.FeatureStore, clock: Callable[[int], None]
) -> None:
    both = ["history:all_events", "popularity:views_7d", "taste:seen"]
    rows = [{"customer_id": "ada", "product_id": "p1", "category": "shoes"}]
    answer = shop.get_online_features(both, rows)
    assert not isinstance(answer, DirectResponse)
    found = answer.to_dict()
    assert (found["all_events"], found["views_7d"], found["seen"]) == ([4], [3], [2])
    versions = shop.get_online_features(
        ["history:all_events"], rows, include_feature_view_version_metadata=True
    )
    assert [v.name for v in versions.proto.metadata.feature_view_metadata] == ["history"]


def test_wrong_requests_are_refused_as_by_feast(
    shop: feast.FeatureStore, clock: Callable[[int], None]
) -> None:
    cases: list[tuple[Any, Any]] = [
        (["history:all_events"], {"customer_id": [Value(int64_val=7)]}),
        (["history:all_events"], {"customer_id": np.array(["ada"])}),
        (["history:all_events"], [{"customer_id": None}]),
        (["history:all_events"], [{"customer_id": "ada"}, {"product_id": "p"}]),
        (["history:all_events"], []),
        (["history:all_events"], {"product_id": ["p"]}),
        (["history:nothing"], [{"customer_id": "ada"}]),
        (["history:all_events", "history:all_events"], [{"customer_id": "ada"}]),
        (["taste:seen"], [{"customer_id": "ada"}]),
        (["taste:seen"], {"customer_id": ["ada", "bob"], "category": ["shoes"]}),
    ]
    for refs, rows in cases:
        with pytest.raises(Exception) as slow:  # noqa: PT011  # whatever Feast raises
            _slowly(shop, refs, rows)
        with pytest.raises(type(slow.value)) as quick:
            shop.get_online_features(refs, rows)
        assert str(quick.value) == str(slow.value)


def test_what_the_registry_learns_is_known_at_once(
    embedded_store: str, tmp_path: Any, clock: Callable[[int], None], store: redis.Redis
) -> None:
    shop = apply(CATALOG, tmp_path, embedded_store)
    rows = [{"customer_id": "ada", "category": "shoes"}]
    assert _quickly(shop, ["taste:seen"], rows).to_dict()["seen"] == [2]
    view = shop.get_feature_view("taste")
    view.tags = {**view.tags, "nextbest.schema": "00000000"}
    shop.registry.apply_feature_view(view, shop.project)
    # Feast remembers a registry's answers by the id of its message, which may be given anew.
    before = shop.registry.cached_registry_proto
    shop.refresh_registry()
    assert shop.registry.cached_registry_proto is not before
    shop = feast.FeatureStore(config=shop.config)
    with pytest.raises(feast.errors.FeastError, match="apply the catalog again"):
        shop.get_online_features(["taste:seen"], rows)


def test_a_damaged_row_is_named(shop: feast.FeatureStore, store: redis.Redis) -> None:
    store.set("nextbest:feast_cases:pair:3:ada5:shoes", b"\0" * 64)
    with pytest.raises(RowError, match=r"row of pair '3:ada5:shoes' is not a row of ours"):
        shop.get_online_features(["taste:seen"], [{"category": "shoes", "customer_id": "ada"}])


def test_awaited_lookups_too(shop: feast.FeatureStore, clock: Callable[[int], None]) -> None:
    rows = [{"customer_id": i} for i in IDS["customer"]]

    async def ask() -> OnlineResponse:
        try:
            return await shop.get_online_features_async(CUSTOMER_REFS, rows)
        finally:
            await shop.close()

    answer = asyncio.run(ask())
    assert isinstance(answer, DirectResponse)
    _assert_same(answer, _slowly(shop, CUSTOMER_REFS, rows))


def test_stock_feast_is_asked_what_a_request_means_only_once(
    shop: feast.FeatureStore, clock: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    refs, rows = ["history:total", "visit:events"], [{"customer_id": "ada"}]
    first = _quickly(shop, refs, rows)

    def refuse(*_: Any) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(utils, "_get_cached_request_context", refuse)
    monkeypatch.setattr(utils, "_get_online_request_context", refuse)
    monkeypatch.setattr(RedisOnlineStore, "get_online_features", refuse)
    _assert_same(_quickly(shop, list(refs), rows), first)


def test_a_composite_entity_has_rows_of_its_own(store: redis.Redis) -> None:
    assert store.exists("nextbest:feast_cases:pair:3:ada5:shoes")
    assert TASTE.entity is PAIR
