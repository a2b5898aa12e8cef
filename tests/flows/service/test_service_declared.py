"""Without a module of its own the service serves what workers declare, also while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from nextbest.features import Catalog, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.declared import CATALOGS
from nextbest.flows.service.wire import declared
from tests.flows.service import shop
from tests.flows.service.world import NOW, Service, declare, put_rows, served

MORE = FeatureView(
    name="more", source=shop.shop, features=[agg.max("most", of="value", window="1d")]
)
LATER = Catalog(name="shop", views=[*shop.catalog.views, MORE], services=shop.catalog.services)


@pytest.fixture
def followed(store_url: str, tmp_path: Path) -> Iterator[tuple[Service, redis.Redis]]:
    put_rows(store_url)
    with redis.Redis.from_url(store_url) as store:
        declare(store, shop.catalog)
        with served(store_url, tmp_path / "home", catalog=None) as service:
            yield service, store


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)


def views(service: Service) -> list[str]:
    found = httpx.get(f"{service.url}/v1/catalog").json()
    return [view["name"] for view in found["views"]]


def test_the_length_of_a_list_is_declared() -> None:
    by: dict[str, Any] = {"by": "category", "vocabulary": ["tea", "milk", "salt"]}
    lists = FeatureView(
        name="lists",
        source=shop.shop,
        features=[
            agg.count("n", **by),
            agg.top_k("most", "n", k=2),
            agg.last_k("newest", of="value", k=3),
            agg.sum("total", of="value"),
        ],
    )
    (view,) = declared(Catalog(name="c", views=[lists])).views
    lengths = {feature.name: feature.length for feature in view.features}
    assert lengths == {"n": None, "most": 2, "newest": 3, "total": None}


def test_a_new_declaration_is_taken_up(followed: tuple[Service, redis.Redis]) -> None:
    service, store = followed
    with httpx.Client(base_url=service.url, timeout=30) as client:
        asked = f"/v1/features/ann?at={NOW}"
        assert views(service) == ["visits", "pairs"]
        before = client.get(asked).json()["rows"][0]
        assert before["values"]["visits:spend"] == 2.5
        assert client.get(f"{asked}&features=more").status_code == 404
        declare(store, LATER)
        until(lambda: "more" in views(service))
        after = client.get(f"{asked}&features=more,visits").json()["rows"][0]
        # The row is still of the earlier declaration: it has no such feature.
        assert after["values"] == {"more:most": None, **before["values"]}


def test_no_request_is_answered_by_half_of_each(followed: tuple[Service, redis.Redis]) -> None:
    service, store = followed
    widths = {len(catalog.of("customer").views): catalog for catalog in (shop.catalog, LATER)}
    seen: set[int] = set()
    with httpx.Client(base_url=service.url, timeout=30) as client:
        declare(store, LATER)

        def both() -> bool:
            found: Any = client.get(f"/v1/features/ann?at={NOW}")
            assert found.status_code == 200
            names = list(found.json()["rows"][0]["values"])
            width = len({name.partition(":")[0] for name in names})
            own = widths[width].of("customer")
            assert names == [f"{view.name}:{feature.name}" for view, feature in own.features()]
            seen.add(width)
            return seen == {1, 2}

        until(both)


def test_what_cannot_be_read_is_not_taken_up(followed: tuple[Service, redis.Redis]) -> None:
    service, store = followed
    store.hset(CATALOGS.decode(), "shop", b"nonsense")
    time.sleep(2.5)
    assert views(service) == ["visits", "pairs"]
    store.delete(CATALOGS)
    time.sleep(2.5)
    assert httpx.get(f"{service.url}/readyz").status_code == 200
    declare(store, LATER)
    until(lambda: "more" in views(service))


def test_one_of_several_is_named(store_url: str, tmp_path: Path) -> None:
    with redis.Redis.from_url(store_url) as store:
        declare(store, shop.catalog)
        declare(store, shop.customers)
    with served(store_url, tmp_path / "home", catalog="plain") as service:
        assert httpx.get(f"{service.url}/v1/catalog").json()["name"] == "plain"
