"""A changed declaration gets its whole history, and a run goes on with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import redis

from nextbest.features import StateError
from tests.flows.entity_cases import assert_store_is_right, make_log
from tests.flows.rebuild_cases import CATALOGS, LESS, NEW, OLD, ONE_MORE, SHORTER, Place, fresh_rows


@pytest.fixture
def place(tmp_path: Path, store_url: str) -> Place:
    return Place(tmp_path / "data", store_url, tmp_path / "log")


@pytest.mark.parametrize("reference", [NEW, ONE_MORE, LESS], ids=["new", "one-more", "less"])
@pytest.mark.parametrize("partitions", [1, 3])
def test_rows_are_those_of_a_run_that_never_knew_another(
    place: Place, store: redis.Redis, partitions: int, reference: str
) -> None:
    place.partitions = partitions
    log = make_log(31, 500)
    place.write(log[:300])
    place.run(OLD)
    with pytest.raises(StateError, match=r"another declaration .*nextbest rebuild --catalog"):
        place.run(reference)
    told = place.rebuild(reference)
    assert re.search(r"events [\d,]+ applied in", told)
    assert_store_is_right(place.url, CATALOGS[reference], log[:300])
    place.write(log)
    place.run(reference)
    assert_store_is_right(place.url, CATALOGS[reference], log)
    rows = place.rows(reference)
    assert rows == fresh_rows(place, reference, store)
    with pytest.raises(StateError, match="made by another declaration"):
        place.run(OLD)


def test_there_and_back_again_is_what_it_was(place: Place, store: redis.Redis) -> None:
    log = make_log(32, 400)
    place.write(log[:200])
    place.run(OLD)
    for reference in (NEW, OLD, LESS, ONE_MORE, OLD):
        place.rebuild(reference, publish=False)
    place.write(log)
    place.run(OLD)
    assert place.rows(OLD) == fresh_rows(place, OLD, store)
    state = place.settings.state_dir
    assert [path.name for path in state.iterdir()] == ["rebuilt-5"]
    assert json.loads((place.data_dir / "run.json").read_bytes())["catalog"] == OLD


def test_the_run_after_publishes_nothing_twice(place: Place, store: redis.Redis) -> None:
    place.write(make_log(33, 300))
    place.run(OLD)
    place.rebuild(NEW)
    assert "rows 0 written" in place.run(NEW)
    store.flushall()
    place.rebuild(NEW, publish=False)
    assert not store.keys("nextbest:mart:customer:*")
    place.run(NEW)
    assert place.rows(NEW) == fresh_rows(place, NEW, store)


def test_rows_of_an_entity_that_is_declared_no_more_stay_and_are_named(
    place: Place, store: redis.Redis
) -> None:
    place.write(make_log(36, 200))
    place.run(OLD)
    before = place.rows(OLD)
    gone = [entity.name for entity in CATALOGS[OLD].entities if not entity.is_customer]
    assert len(gone) == 3
    assert "stay in the store" not in place.rebuild(ONE_MORE)
    told = place.rebuild(LESS)
    for name in (*gone, "kind"):
        assert f"rows of {name} stay in the store" in told
        left = store.keys(f"nextbest:mart:{name}:*")  # as the message names them
        assert left
        if name in gone:
            assert sorted(left) == before[name][0]
    assert "rows of customer" not in told
    assert place.rows(OLD) == before
    assert "stay in the store" not in place.rebuild(LESS)
    assert "stay in the store" not in place.rebuild(OLD)
    assert_store_is_right(place.url, CATALOGS[OLD], make_log(36, 200))


def test_another_lateness_is_refused_where_it_decides_otherwise(place: Place) -> None:
    place.write(make_log(34, 300))
    place.run(OLD)
    before = place.rows(OLD)
    with pytest.raises(StateError, match=r"partition 0, position \d+: an event that was on time"):
        place.rebuild(SHORTER)
    assert not list(place.settings.state_dir.glob("rebuilt-*"))
    place.run(OLD)
    assert place.rows(OLD) == before


def test_what_cannot_be_rebuilt_is_said(place: Place) -> None:
    with pytest.raises(StateError, match="nothing ran here"):
        place.rebuild(NEW)
    place.write(make_log(35, 50))
    place.run(OLD)
    place.options["shards"] = 8
    with pytest.raises(StateError, match="its state is of 4 shards, not 8"):
        place.rebuild(NEW)
