"""Backfill: directed cases, choices of features, other entities, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nextbest.features import Catalog, DeclarationError, Entity, FeatureView, SettingsError, event
from nextbest.features import aggregations as agg
from nextbest.features.entity_keys import key_text
from nextbest.features.kernels.replay import walk
from nextbest.features.replay import backfill
from tests.features.archive_cases import archive_rows, event_table, write_file
from tests.laws import strategies as some
from tests.laws.cases import SCHEMA, START, catalog
from tests.naive.features import NaiveFeatures

NOTHING = float("nan")
COUNT = catalog(agg.count("events"), agg.count("now", window="session"))


def ask(
    given: Catalog, directory: Path, *pairs: tuple[str, int], **settings: Any
) -> list[list[float]]:
    ids = [customer for customer, _ in pairs]
    at = np.array([START + time for _, time in pairs], np.int64)
    return backfill(given, directory, ids, at, **settings).values.tolist()


def same(some_values: list[list[float]], others: list[list[float]]) -> bool:
    return np.array_equal(np.array(some_values), np.array(others), equal_nan=True)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Ada's events at 10, 20 and 20, the one at 10 in the second file; bob's at 15."""
    times = [START + time for time in (20, 15, 20)]
    first = {"event_timestamp": times, "customer_id": ["ada", "bob", "ada"], "value": [1.0, 2, 3]}
    write_file(tmp_path, 0, 0, event_table(first))
    write_file(tmp_path, 0, 1, event_table({
        "event_timestamp": [START + 10], "position": [3], "value": [4.0],
    }))  # fmt: skip
    return tmp_path


def test_a_pair_sees_events_up_to_its_time_and_no_further(archive: Path) -> None:
    pairs = [("ada", time) for time in (20, 9, 10, 19, 10**9)]
    got = ask(COUNT, archive, *pairs, features=["v:events"])
    assert same(got, [[3], [NOTHING], [1], [1], [3]])


def test_as_known_sees_positions_up_to_its_own(archive: Path) -> None:
    pairs = [("ada", 30)] * 4 + [("bob", 30)]
    known = np.array([3, 0, -1, 2, 0])
    got = ask(COUNT, archive, *pairs, known=known, features=["v:events"])
    assert same(got, [[3], [1], [NOTHING], [2], [NOTHING]])


def test_the_unknown_are_missing(archive: Path) -> None:
    at = np.full(2, START + 30)
    rows = backfill(COUNT, archive, ["eve", "bob"], at)
    assert rows.age_ms.tolist() == [-1, 0]
    assert rows.positions.tolist() == [-1, 1]
    assert rows.state.tolist() == [[1, 1], [0, 0]]


def test_no_queries_is_no_rows(archive: Path) -> None:
    rows = backfill(COUNT, archive, [], np.zeros(0, np.int64))
    assert rows.values.shape == (0, 2)


def test_events_with_equal_ids_all_count(tmp_path: Path) -> None:
    columns = {"event_timestamp": [START + 1, START + 2], "event_id": ["same", "same"]}
    write_file(tmp_path, 0, 0, event_table(columns))
    assert ask(COUNT, tmp_path, ("ada", 5)) == [[2, 2]]


def test_an_event_that_was_late_is_in_no_session(tmp_path: Path) -> None:
    columns = {"event_timestamp": [START + 1, START + 2], "late": [True, False]}
    write_file(tmp_path, 0, 0, event_table(columns))
    rows = backfill(COUNT, tmp_path, ["ada", "ada"], np.array([START + 1, START + 2]))
    assert rows.values[:, 0].tolist() == [1, 2]
    assert rows.state[:, 1].tolist() == [2, 0]
    assert rows.values[1, 1] == 1


def test_ids_may_be_any_arrow_text(archive: Path) -> None:
    at = np.full(3, START + 30)
    texts = pa.array(["bob", "ada", "bob"])
    for ids in (texts, texts.cast(pa.large_string()), texts.dictionary_encode(),
                pa.chunked_array([texts[:1], texts[1:]])):  # fmt: skip
        assert backfill(COUNT, archive, ids, at).values[:, 0].tolist() == [1, 3, 1]


def test_an_older_file_may_lack_a_property(tmp_path: Path) -> None:
    write_file(tmp_path, 0, 0, event_table({"event_timestamp": [START]}))
    newer = {"event_timestamp": [START + 1], "position": [1], "value": [7.5]}
    write_file(tmp_path, 0, 1, event_table(newer))
    given = catalog(agg.sum("total", of="value"), agg.last("word", of="word", vocabulary=["a"]))
    assert same(ask(given, tmp_path, ("ada", 5)), [[7.5, NOTHING]])


def test_any_choice_of_features_reads_as_in_the_whole(tmp_path: Path) -> None:
    full = some.full_catalog()
    rows = some.long_stream(full, 5, 300)
    twin = NaiveFeatures(full)
    flags = [twin.apply(row) for row in rows]
    archive_rows(tmp_path, full.source, rows, flags, cuts=[100])
    ids = [row["customer_id"] for row in rows]
    at = np.array([row["event_timestamp"] for row in rows])
    whole = backfill(full, tmp_path, ids, at)
    names = [f"{view.name}:{feature.name}" for view, feature in full.features()]
    rng = np.random.default_rng(3)
    ratios = [name for name in names if ":ratio_" in name]
    for _ in range(3):
        chosen = [*rng.permutation(names)[:7].tolist(), ratios[1]]
        chosen = list(dict.fromkeys(chosen))
        own = backfill(full, tmp_path, ids, at, features=chosen)
        places = [
            full.columns.index(f"{view.name}:{column}")
            for view, feature in full.select(chosen)
            for column in feature.columns
        ]
        expected = whole.values[:, places]
        assert np.array_equal(own.values.view(np.uint64), expected.view(np.uint64))
        assert np.array_equal(own.state, whole.state[:, places])


def many_entities() -> Catalog:
    pair = Entity("pair", ["customer_id", "word"])
    word = Entity("word", ["word"])
    return Catalog(
        name="many",
        views=[
            FeatureView(name="c", source=SCHEMA, features=[agg.count("n", window="session")]),
            FeatureView(name="w", source=SCHEMA, entity=word,
                        features=[agg.count("n"), agg.last("value", of="value")]),
            FeatureView(name="p", source=SCHEMA, entity=pair,
                        features=[agg.sum("total", of="value", where=event.value > 0)]),
        ],
    )  # fmt: skip


def test_other_entities_are_replayed_over_all_partitions(tmp_path: Path) -> None:
    words = pa.array(["tea", None, "tea"]).dictionary_encode()
    write_file(tmp_path, 0, 0, event_table({
        "event_timestamp": [START + 1, START + 2, START + 9], "word": words, "value": [1.0, 2, 4],
    }))  # fmt: skip
    write_file(tmp_path, 1, 0, event_table({
        "event_timestamp": [START + 9, START + 3], "customer_id": ["bob", "bob"],
        "word": pa.array(["tea", "büch"]).dictionary_encode(), "value": [8.0, 16],
    }))  # fmt: skip
    given = many_entities()
    pairs = [("tea", 1), ("tea", 9), ("büch", 9), ("milk", 9)]
    got = ask(given, tmp_path, *pairs, entity="word")
    assert same(got, [[1, 1], [3, 8], [1, 16], [NOTHING] * 2])
    entity = given.entities[2]
    keys = [key_text(entity, parts) for parts in (("ada", "tea"), ("bob", "tea"), ("ada", "büch"))]
    got = ask(given, tmp_path, *((key, 9) for key in keys), entity="pair")
    assert same(got, [[5], [8], [NOTHING]])
    assert ask(given, tmp_path, ("ada", 9)) == [[3]]


def test_only_customers_are_read_as_known(archive: Path) -> None:
    with pytest.raises(SettingsError, match="the events of a word are in many partitions"):
        backfill(many_entities(), archive, ["tea"], np.array([1]), known=np.array([1]),
                 entity="word")  # fmt: skip


@pytest.mark.parametrize(
    ("ids", "at", "settings", "message"),
    [
        ("ada", [1], {}, "ids are one text 'ada'"),
        ([1], [1], {}, "ids must be strings"),
        (pa.array([1]), [1], {}, "ids are int64, not strings"),
        (["a", None], [1, 1], {}, "1 ids are null"),
        (["a"], [1, 2], {}, "1 ids and 2 times"),
        (["a"], [1.5], {}, "at: expected int64"),
        (["a"], [[1]], {}, "at: expected int64"),
        (["a"], [2**62 + 1], {}, "at: a time is not microseconds"),
        (["a"], [1], {"known": np.array([1, 2])}, "2 known positions of 1 pairs"),
        (["a"], [1], {"known": np.array(["1"])}, "known: expected int64"),
        (["a"], [1], {"threads": 0}, "threads=0"),
        (["a"], [1], {"memory_bytes": 5}, "memory_bytes=5"),
        (["a"], [1], {"features": []}, "expected a list of"),
        (["a"], [1], {"features": "v"}, "expected a list of"),
    ],
    ids=[
        "text",
        "numbers",
        "integers",
        "nulls",
        "too-few",
        "floats",
        "two-dimensions",
        "too-far",
        "too-many-known",
        "known-text",
        "threads",
        "memory",
        "no-features",
        "one-text",
    ],
)
def test_what_cannot_be_used_is_named(
    archive: Path, ids: Any, at: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        backfill(COUNT, archive, ids, np.array(at), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": ["v:nothing"]}, "no feature 'v:nothing'"),
        ({"features": ["v", "v:events"]}, "'v:events' is chosen twice"),
        ({"entity": "shop"}, "no view is of the entity 'shop'"),
    ],
    ids=["feature", "twice", "entity"],
)
def test_what_is_not_declared_is_named(
    archive: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(DeclarationError, match=message):
        backfill(COUNT, archive, ["ada"], np.array([1]), **settings)


def test_progress_goes_from_nothing_to_all(archive: Path) -> None:
    seen: list[float] = []
    ids = [f"c{i}" for i in range(500)]
    backfill(COUNT, archive, ids, np.full(500, START), on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert 0 < seen[0] < 1


def test_arrays_that_are_read_only_compile_nothing_anew(archive: Path) -> None:
    at, known = np.full(1, START + 30), np.full(1, 3)
    backfill(COUNT, archive, ["ada"], at, known=known)
    before = len(walk.signatures)
    for array in (at, known):
        array.flags.writeable = False
    assert backfill(COUNT, archive, ["ada"], at, known=known).values[0, 0] == 3
    assert len(walk.signatures) == before
