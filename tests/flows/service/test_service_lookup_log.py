"""The sample of lookups that an audit compares with a recomputation."""

from __future__ import annotations

from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest

from nextbest.features.catalog_codec import meaning_id
from nextbest.features.online import FeatureClient
from nextbest.features.served_lookups import ServedLookup
from nextbest.flows.service.lookup_log import Asked, LookupLog
from tests.flows.service import shop
from tests.flows.service.world import NOW, put_rows, served

ASKED = Asked("shop", "00c0ffee", "customer", None)
VALUES, STATE = np.array([0.1 + 0.2, np.nan]), np.array([0, 2], np.uint8)


def lines(directory: Path) -> list[ServedLookup]:
    found = []
    for file in sorted(directory.iterdir()):
        text = file.read_bytes()
        assert text.endswith(b"\n")
        found += [msgspec.json.decode(line, type=ServedLookup) for line in text.splitlines()]
    return found


def test_answers_are_kept_as_they_were(store_url: str, tmp_path: Path) -> None:
    put_rows(store_url)
    home = tmp_path / "home"
    with served(store_url, home, NEXTBEST_LOOKUP_LOG_SHARE="1") as service:
        request = {"ids": ["ann", "nobody"], "features": ["visits"], "at": NOW}
        assert httpx.post(f"{service.url}/v1/features", json=request).status_code == 200
        assert httpx.get(f"{service.url}/v1/features/ben?service=ranking").status_code == 200
        assert service.stop() == 0
    warm, ann, nobody, ben = lines(home / "lookups")
    assert warm.id == "nextbest"
    client = FeatureClient(store_url, shop.catalog.of("customer"))
    truth = client.get(["ann"], at=NOW).rows
    assert (ann.at, ann.id, ann.entity, ann.catalog) == (NOW, "ann", "customer", "shop")
    assert ann.declaration == meaning_id(shop.catalog.of("customer"))
    assert ann.position == 2
    assert [np.nan if v is None else v for v in ann.values] == pytest.approx(
        truth.values[0].tolist(), abs=0, rel=0, nan_ok=True
    )
    assert ann.states == truth.state[0].tolist()
    assert ann.features == ["visits"]
    assert (nobody.position, set(nobody.states)) == (-1, {1})
    assert ben.features == ["visits:spend", "visits:by_category"]
    assert len(ben.values) == 4
    client.close()


def test_nothing_is_kept_by_default(store_url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with served(store_url, home) as service:
        assert httpx.get(f"{service.url}/v1/features/ben").status_code == 200
        assert service.stop() == 0
    assert not (home / "lookups").exists()


def test_a_share_is_about_that(tmp_path: Path) -> None:
    log = LookupLog(tmp_path / "lookups", 0.25)
    wanted = sum(log.wants() for _ in range(10_000))
    log.close()
    assert 2_200 < wanted < 2_800
    assert not (tmp_path / "lookups").exists()


def test_files_are_rotated_and_the_oldest_go(tmp_path: Path) -> None:
    log = LookupLog(tmp_path, 1.0, file_bytes=200_000, kept_files=3)
    for i in range(9_000):
        log.put(ASKED, f"c{i}", NOW, i, VALUES, STATE)
    log.close()
    assert (log.written, log.dropped) == (9_000, 0)
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == 3
    assert max(sizes) <= 200_000
    found = lines(tmp_path)
    assert [line.position for line in found] == list(range(found[0].position, 9_000))
    assert found[0].values == [0.1 + 0.2, None]
    assert oct(next(tmp_path.iterdir()).stat().st_mode)[-3:] == "600"


def test_what_the_writer_cannot_take_is_counted_not_waited_for(tmp_path: Path) -> None:
    log = LookupLog(tmp_path, 1.0)
    for i in range(60_000):
        log.put(ASKED, "c", NOW, i, VALUES, STATE)
    log.close()
    assert log.dropped > 0
    assert log.written + log.dropped == 60_000


def test_a_disk_that_refuses_costs_only_the_log(tmp_path: Path) -> None:
    (tmp_path / "lookups").write_text("in the way")
    log = LookupLog(tmp_path / "lookups", 1.0)
    log.put(ASKED, "c", NOW, 0, VALUES, STATE)
    log.close()
    assert (log.written, log.dropped) == (0, 1)
