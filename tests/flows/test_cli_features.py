"""What is declared, on the command line: listed, described, compared, checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.flows.test_cli import START, Nextbest, event, home, ndjson, nextbest, one_line

__all__ = ["home", "nextbest"]

SHELF = """
import msgspec

from nextbest.features import Catalog, Entity, EventSchema, FeatureService, FeatureView, event
from nextbest.features import aggregations as agg

shop = EventSchema(
    "shop", types=("view", "purchase"), properties={"value": float, "category": str}
)
def made(window, *more, words="spent of late"):
    spend = agg.sum(
        "spend", of="value", where=(event.type == "purchase") & ~(event.value < 1), window=window,
        description=words,
    )
    views = [
        FeatureView(name="visits", source=shop, features=[spend, agg.count("carts"), *more],
                    ttl="90d", owner="ann", tags={"team": "growth"}),
        FeatureView(name="shelf", source=shop, features=[agg.count("seen", window="1d")],
                    entity=Entity("category", ["category"])),
    ]
    services = [FeatureService(name="ranking", features=["visits:spend", "shelf"],
                               description="what the ranking reads")]
    return Catalog(name="shop", views=views, services=services)

prompt = msgspec.structs.replace(made("30d"), lateness="10m")
turned = msgspec.structs.replace(made("30d"), views=[
    msgspec.structs.replace(view, features=view.features[::-1]) for view in made("30d").views
])
catalog = made("30d")
longer = made("60d", agg.count("views"))
reworded = made("30d", words="spent in a month")
"""


@pytest.fixture
def shelf(home: Path) -> Path:
    (home / "shelf.py").write_text(SHELF)
    return home


def test_a_list_names_services_and_shows_one(shelf: Path, nextbest: Nextbest) -> None:
    listed = nextbest("features", "list", "--catalog", "shelf.py:catalog")
    assert "visits:spend float64 30d (hop 60h) spent of late" in listed.words
    assert "services: ranking" in listed.words
    service = nextbest("features", "list", "--catalog", "shelf.py:catalog", "--service", "ranking")
    assert "visits:spend" in service.words
    assert "visits:carts" not in service.words
    unknown = nextbest("features", "list", "--catalog", "shelf.py:catalog", "--service", "none")
    assert "shop: no feature service 'none'; there are: ranking" in one_line(unknown)


def test_a_feature_is_described(shelf: Path, nextbest: Nextbest) -> None:
    said = nextbest("features", "describe", "visits:spend", "--catalog", "shelf.py:catalog")
    for fact in (
        "visits:spend spent of late",
        "entity customer (customer_id)",
        "aggregation sum",
        "where event.type == 'purchase' & ~(event.value < 1)",
        "ttl 90d",
        "owner ann",
        "tags team=growth",
    ):
        assert fact in said.words
    service = nextbest("features", "describe", "ranking", "--catalog", "shelf.py:catalog")
    assert "service ranking what the ranking reads" in service.words
    assert "shelf:seen" in service.words
    view = nextbest("features", "describe", "visits", "--catalog", "shelf.py:catalog")
    assert "visits:carts" in view.words
    unknown = nextbest("features", "describe", "visits:none", "--catalog", "shelf.py:catalog")
    assert "shop: no feature 'visits:none' in 'shop'" in one_line(unknown)


def test_a_catalog_is_checked(shelf: Path, nextbest: Nextbest) -> None:
    said = nextbest("features", "validate", "shelf.py:catalog")
    assert "shop can be run: 2 views, 1 services, events of shop" in said.words
    assert "category category 1 1" in said.words
    (shelf / "bad.py").write_text(SHELF.replace('of="value"', 'of="price"'))
    message = one_line(nextbest("features", "validate", "bad.py:catalog"))
    assert "visits:spend: no property 'price' in schema 'shop'" in message


def test_two_catalogs_are_compared(shelf: Path, nextbest: Nextbest) -> None:
    said = nextbest("features", "diff", "shelf.py:catalog", "shelf.py:longer")
    assert "~ changed visits:spend window: 30d (hop 60h) → 60d (hop 5d)" in said.words
    assert "+ added visits:views" in said.words
    assert "shelf:seen" not in said.words
    assert "nextbest rebuild" in said.words
    assert "category" not in said.words
    back = nextbest("features", "diff", "shelf.py:longer", "shelf.py:catalog", "--exit-code")
    assert "- removed visits:views" in back.words
    assert back.code == 1
    said = nextbest("features", "diff", "shelf.py:catalog", "shelf.py:reworded", "--exit-code")
    assert "reworded visits:spend description: spent of late → spent in a month" in said.words
    assert "rebuild" not in said.words
    same = nextbest("features", "diff", "shelf.py:catalog", "shelf.py:catalog", "--exit-code")
    assert (same.words, same.code) == ("no feature differs", 0)


def test_what_no_feature_says_is_compared_too(shelf: Path, nextbest: Nextbest) -> None:
    said = nextbest("features", "diff", "shelf.py:catalog", "shelf.py:prompt", "--exit-code")
    assert "~ changed shop lateness: 30m → 10m" in said.words
    assert "nextbest rebuild" in said.words
    assert said.code == 1
    said = nextbest("features", "diff", "shelf.py:catalog", "shelf.py:turned", "--exit-code")
    assert (
        "order of customer: visits:spend, visits:carts → visits:carts, visits:spend" in said.words
    )
    assert said.code == 1
    (shelf / "typed.py").write_text(SHELF.replace('["category"]', '["type"]'))
    said = nextbest("features", "diff", "shelf.py:catalog", "typed.py:catalog", "--exit-code")
    assert "~ changed shelf:seen entity: category (category) → category (type)" in said.words
    assert "nextbest rebuild" in said.words
    assert said.code == 1


def test_a_catalog_is_compared_with_the_one_at_work(shelf: Path, nextbest: Nextbest) -> None:
    nobody = one_line(nextbest("features", "diff", "live", "shelf.py:catalog"))
    assert "no catalog" in nobody
    (shelf / "events.ndjson").write_text(ndjson(event(1)))
    assert nextbest("run", "events.ndjson", "--catalog", "shelf.py:catalog").code == 0
    said = nextbest("features", "diff", "live", "shelf.py:longer")
    assert "+ added visits:views" in said.words
    assert nextbest("features", "diff", "live", "shelf.py:catalog").words == "no feature differs"


def test_any_entity_is_looked_up(shelf: Path, nextbest: Nextbest) -> None:
    (shelf / "events.ndjson").write_text(ndjson(event(1), event(2)))
    assert nextbest("run", "events.ndjson", "--catalog", "shelf.py:catalog").code == 0
    said = nextbest(
        "features", "get", "tea", "--entity", "category", "--at", str(START + 5_000_000)
    )
    assert "category tea as of 2026-01-01 00:00:05 UTC, newest event 3.0 s before" in said.words
    assert "shelf:seen 2 present" in said.words
    later = nextbest("features", "get", "ada", "--at", str(START + 5_000_000))
    assert "visits:carts 2 present" in later.words
    found = json.loads(nextbest("features", "get", "tea", "--entity", "category", "--json").out)
    assert (found[0]["category"], found[0]["known"]) == ("tea", True)
    some = json.loads(nextbest("features", "get", "ada", "--features", "visits", "--json").out)
    assert {ref.split(":")[0] for ref in some[0]["features"]} == {"visits"}
    stranger = one_line(nextbest("features", "get", "ada", "--features", "shelf:seen"))
    assert "entity customer: no feature 'shelf:seen'" in stranger
    offered = nextbest("features", "get", "ada", "--service", "ranking", "--json").out
    assert list(json.loads(offered)[0]["features"]) == ["visits:spend"]
    unknown = one_line(nextbest("features", "get", "tea", "--entity", "brand"))
    assert "no view is of the entity 'brand'" in unknown
