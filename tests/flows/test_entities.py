"""Rows of products, channels and pairs: real files, the real engine, a real store."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from nextbest.features import Catalog, DeclarationError
from nextbest.features.catalog_codec import decode_catalog
from nextbest.features.declared import CATALOGS
from nextbest.features.plan import Plan
from nextbest.flows.entities import EntityCounted
from nextbest.flows.featurize import Counted
from nextbest.flows.pipeline import Observers, build_flow
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from nextbest.flows.sources import FileSource
from tests.flows import entity_cases as cases
from tests.flows.entity_cases import assert_store_is_right, catalog, make_log, without_customers
from tests.flows.test_decode import decision_point


class Worker:
    """A data directory, and what a run told of itself."""

    def __init__(self, data_dir: Path, url: str, given: Catalog = catalog, **options: Any) -> None:
        self.settings = Settings(
            data_dir=data_dir, **{"shards": cases.SHARDS, "epoch_seconds": 0.01, **options}
        )
        self.url = url
        self.given = given
        self.counted: list[Counted] = []
        self.keyed: list[EntityCounted] = []
        self.break_at: int | None = None

    def run(self, source: FileSource) -> None:
        watch = Observers(counted=self.counted.append, keyed=self._key)
        flow = build_flow(source, self.given, self.settings, self.url, observers=watch)
        run_flow(flow, self.settings)

    def _key(self, counted: EntityCounted) -> None:
        self.keyed.append(counted)
        if self.break_at is not None and len(self.keyed) >= self.break_at:
            raise ZeroDivisionError

    def total(self, entity: str) -> dict[str, int]:
        """The durable counts of an entity's shards; of customers: ``""``."""
        found: dict[str, int] = {}
        with redis.Redis.from_url(self.url) as client:
            for shard in range(cases.SHARDS):
                name = f"{entity}-{shard}" if entity else str(shard)
                text: Any = client.get(f"nextbest:mart:shard:{name}:counts")
                for what, number in json.loads(text or b"{}").items():
                    found[what] = found.get(what, 0) + number
        return found


def source(path: Path, partitions: int, **options: Any) -> FileSource:
    return FileSource(path, partitions=partitions, **{"batch_rows": 37, **options})


@pytest.mark.parametrize("partitions", [1, 2, 4])
@pytest.mark.parametrize("archive", [True, False], ids=["archive", "no-archive"])
def test_every_entity_has_the_rows_of_its_accepted_events(
    tmp_path: Path, store_url: str, partitions: int, archive: bool
) -> None:
    log = make_log(3, 600)
    path = cases.write(tmp_path / "log", log, partitions)
    worker = Worker(tmp_path / "data", store_url, archive=archive)
    worker.run(source(path, partitions))
    assert_store_is_right(store_url, catalog, log)
    kept = cases.accepted(catalog, log)
    assert len(log) - len(kept) > 20
    assert worker.settings.archive_dir.exists() == archive
    assert worker.total("")["accepted"] + worker.total("")["late"] == len(kept)
    for entity in catalog.entities[1:]:
        keyed = [row for row in kept if cases.key_of(entity, row) is not None]
        assert 0 < len(keyed) < len(kept)
        assert worker.total(entity.name)["accepted"] == len(keyed)
        assert sum(c.applied for c in worker.keyed if c.entity == entity.name) == len(keyed)


def test_keys_that_are_too_long_do_not_count_and_are_counted(
    tmp_path: Path, store_url: str
) -> None:
    log = make_log(4, 400)
    for row in log[200:]:
        row["properties"]["product"] = cases.TOO_LONG
    path = cases.write(tmp_path / "log", log, 1)
    worker = Worker(tmp_path / "data", store_url)
    worker.run(source(path, 1))
    assert_store_is_right(store_url, catalog, log)
    long = [
        row
        for row in cases.accepted(catalog, log)
        if row["properties"].get("product") == cases.TOO_LONG
    ]
    assert len(long) > 150
    assert worker.total("product")["too_long"] == len(long)
    assert sum(counted.too_long for counted in worker.keyed) == len(long)
    assert worker.total("channel")["too_long"] == 0


@pytest.mark.parametrize("partitions", [1, 2])
def test_interrupted_runs_leave_what_an_undisturbed_one_does(
    tmp_path: Path, store_url: str, store: redis.Redis, partitions: int
) -> None:
    log = make_log(5, 500)
    path = cases.write(tmp_path / "log", log, partitions)
    whole = Worker(tmp_path / "whole", store_url)
    whole.run(source(path, partitions, batch_rows=11))
    assert_store_is_right(store_url, catalog, log)
    expected = [whole.total(entity) for entity in ("", "product", "channel", "pair")]
    store.flushall()
    interrupted = 0
    for break_at in (1, 40, 90, 200):
        worker = Worker(tmp_path / "data", store_url)
        worker.break_at = break_at
        try:
            worker.run(source(path, partitions, batch_rows=11))
        except ZeroDivisionError:
            interrupted += 1
    assert interrupted >= 3
    worker = Worker(tmp_path / "data", store_url)
    worker.run(source(path, partitions, batch_rows=11))
    assert_store_is_right(store_url, catalog, log)
    assert [worker.total(entity) for entity in ("", "product", "channel", "pair")] == expected
    store.flushall()
    worker.run(source(path, partitions))  # nothing is new; all is published again
    assert_store_is_right(store_url, catalog, log)


def test_without_customer_views_duplicates_are_decided_all_the_same(
    tmp_path: Path, store_url: str, store: redis.Redis
) -> None:
    log = make_log(6, 500)
    path = cases.write(tmp_path / "log", log, 2)
    worker = Worker(tmp_path / "data", store_url, without_customers, archive=False)
    worker.run(source(path, 2))
    assert_store_is_right(store_url, without_customers, log)
    kept = cases.accepted(without_customers, log)
    assert len(kept) < len(log)
    total = worker.total("")
    assert total["accepted"] + total["late"] == len(kept)
    assert total["duplicate"] == len(log) - len(kept)
    assert not store.keys("nextbest:mart:customer:*")
    store.flushall()
    worker.run(source(path, 2))
    assert_store_is_right(store_url, without_customers, log)
    assert worker.total("") == total
    assert not store.keys("nextbest:mart:customer:*")


def test_decisions_need_customers(tmp_path: Path) -> None:
    path = cases.write(tmp_path / "log", make_log(8, 3), 1)
    point = decision_point()
    with pytest.raises(DeclarationError, match="mart:next: decisions need a view of customers"):
        build_flow(
            source(path, 1), without_customers, Settings(), "redis://nowhere", decisions=point
        )


def declared(store: redis.Redis) -> bool:
    """Whether the store knows the catalog and each entity's views."""
    found: Any = store.hget(CATALOGS.decode(), "mart")
    known = found is not None and decode_catalog(found) == catalog
    for entity in catalog.entities:
        own = catalog.of(entity.name)
        key = f"nextbest:mart:{entity.name}/schema:{Plan.compile(own).schema_id:08x}"
        text: Any = store.get(key)
        known = known and text is not None and decode_catalog(text) == own
    return known


def test_a_log_without_events_is_declared(
    tmp_path: Path, store_url: str, store: redis.Redis
) -> None:
    path = cases.write(tmp_path / "log", [], 2)
    worker = Worker(tmp_path / "data", store_url)
    worker.run(source(path, 2))
    assert declared(store)
    store.flushall()
    worker.run(source(path, 2))
    assert declared(store)


def test_a_store_that_was_emptied_gets_rows_and_declaration_back(
    tmp_path: Path, store_url: str, store: redis.Redis
) -> None:
    log = make_log(9, 300)
    path = cases.write(tmp_path / "log", log, 2)
    stop, errors = threading.Event(), []
    worker = Worker(tmp_path / "data", store_url)

    def work() -> None:
        try:
            worker.run(source(path, 2, follow=True, stop=stop))
        except BaseException as error:
            errors.append(error)

    def is_right() -> bool:
        try:
            assert_store_is_right(store_url, catalog, log)
        except AssertionError:
            return False
        return declared(store)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_for(is_right, thread)
        time.sleep(0.2)  # nothing comes any more
        store.flushall()
        wait_for(is_right, thread)
    finally:
        stop.set()
        thread.join(60)
    assert not errors
    assert not thread.is_alive()


def wait_for(what: Callable[[], bool], thread: threading.Thread) -> None:
    end = time.monotonic() + 200
    while not what():
        assert thread.is_alive()
        assert time.monotonic() < end
        time.sleep(0.05)
