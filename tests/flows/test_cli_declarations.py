"""Declarations that cannot mean anything are one clear line on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.test_cli import START, Nextbest, event, home, ndjson, nextbest, one_line
from tests.flows.test_cli_features import SHELF

__all__ = ["home", "nextbest"]

SHOP = """
from nextbest.features import Catalog, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg

shop = EventSchema("shop", types=("view", "cart"), properties={"flag": bool, "value": float})
view = FeatureView(name="v", source=shop, features=[agg.count("n", FEATURE)])
catalog = Catalog(name="shop", views=[view])
"""
PARTED = """
parted = made("30d", agg.ratio("r", "carts", "carts"))
"""


def message(home: Path, nextbest: Nextbest, arguments: str) -> str:
    (home / "wrong.py").write_text(SHOP.replace("FEATURE", arguments))
    return one_line(nextbest("features", "validate", "wrong.py:catalog"))


@pytest.mark.parametrize("joined", ["& event.flag", "| event.flag", "& ~event.flag"])
def test_a_column_that_is_not_compared(home: Path, nextbest: Nextbest, joined: str) -> None:
    said = message(home, nextbest, f"where=(event.type == 'cart') {joined}")
    assert "event.flag is no filter, compare it: (event.flag == True)" in said


@pytest.mark.parametrize("name", ["position", "late"])
def test_a_property_that_the_archive_adds_is_refused_at_once(
    home: Path, nextbest: Nextbest, name: str
) -> None:
    (home / "wrong.py").write_text(SHOP.replace("flag", name).replace(", FEATURE", ""))
    said = one_line(nextbest("features", "validate", "wrong.py:catalog"))
    assert f"shop: property '{name}': the archive has a column of that name" in said


def test_a_ratio_is_added_at_any_time(home: Path, nextbest: Nextbest) -> None:
    (home / "events.ndjson").write_text(ndjson(event(1), event(2)))
    (home / "shelf.py").write_text(SHELF + PARTED)
    for catalog in ("catalog", "parted"):
        run = nextbest("run", "events.ndjson", "--catalog", f"shelf.py:{catalog}")
        assert run.code == 0, run.err
    found = nextbest("features", "get", "ada", "--at", str(START + 5_000_000))
    assert "visits:r 1.00 present" in found.words
