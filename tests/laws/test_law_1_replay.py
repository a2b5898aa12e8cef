"""One definition, equal answers: history from the archive is what the stream said, or would have.

As of a time, the replay equals the plain-Python recomputation from the accepted events up to it;
as known at a log position, it equals what was served then, bit by bit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbest.features import Catalog
from nextbest.features.batch import ACCEPTED, DUPLICATE
from nextbest.features.replay import backfill
from nextbest.features.state import FeatureRows
from tests.features.archive_cases import archive_rows
from tests.laws import strategies as some
from tests.laws.driver import (
    Kernels,
    assert_equal_cells,
    batches,
    both,
    law,
    patience,
    reading_times,
)
from tests.laws.strategies import CUSTOMERS, Row
from tests.naive.features import NaiveFeatures

pytestmark = patience
FULL = some.full_catalog()
IDS = (*CUSTOMERS, "never seen")
CUTS = st.lists(st.integers(0, 200), max_size=3)
SIZES = st.lists(st.sampled_from((1, 2, 3, 7, 20)), min_size=1, max_size=4)


def asked_times(catalog: Catalog, rows: Sequence[Row]) -> list[int]:
    """Times of events, the microsecond before and after some, and times of change."""
    own = sorted({row["event_timestamp"] for row in rows})
    chosen = own[:: 1 + len(own) // 8]
    changes = reading_times(catalog, own[-1:])
    beside = [time + offset for time in chosen[::3] for offset in (-1, 1)]
    return sorted({*chosen, *beside, *changes[:: 1 + len(changes) // 6]})


def replay(
    catalog: Catalog, directory: str, queries: list[tuple[str, int]], known: list[int] | None = None
) -> FeatureRows:
    return backfill(
        catalog,
        directory,
        [customer for customer, _ in queries],
        np.array([at for _, at in queries], np.int64),
        known=None if known is None else np.array(known, np.int64),
        threads=2,
    )


def assert_equals_twin(
    catalog: Catalog, rows: FeatureRows, twin: NaiveFeatures, queries: list[tuple[str, int]]
) -> None:
    twins = {at: twin.as_of(at) for _, at in queries}
    for i, (customer, at) in enumerate(queries):
        then = twins[at]
        assert int(rows.age_ms[i]) == then.age_ms(customer, at), (customer, at)
        assert_equal_cells(catalog, rows.values[i], rows.state[i], then, customer, at)


def check_as_of(
    catalog: Catalog, rows: Sequence[Row], cuts: list[int], partitions: int, order: int
) -> None:
    twin = NaiveFeatures(catalog)
    flags = [twin.apply(row) for row in rows]
    queries = [(customer, at) for at in asked_times(catalog, rows) for customer in IDS]
    shuffled = np.random.default_rng(order).permutation(len(queries))
    queries = [queries[i] for i in shuffled]
    with tempfile.TemporaryDirectory() as name:
        archive_rows(Path(name), catalog.source, rows, flags, cuts=cuts, partitions=partitions)
        assert_equals_twin(catalog, replay(catalog, name, queries), twin, queries)


@law(60)
@given(st.data(), CUTS, st.sampled_from((1, 2, 3)), st.integers(0, 9))
def test_as_of_any_time(data: st.DataObject, cuts: list[int], partitions: int, order: int) -> None:
    catalog = data.draw(st.one_of(st.just(FULL), some.catalogs()))
    rows = some.arrivals(catalog, data.draw(some.moves(catalog)), data.draw(some.starts))
    check_as_of(catalog, rows, cuts, partitions, order)


@pytest.mark.parametrize("seed", range(2))
def test_as_of_in_long_streams(seed: int) -> None:
    rows = some.long_stream(FULL, seed, 1200)
    check_as_of(FULL, rows, [300, 700, 701], 2, seed)


@law(30)
@given(st.data(), CUTS)
def test_within_lateness_as_of_equals_the_stream(data: st.DataObject, cuts: list[int]) -> None:
    catalog = data.draw(st.one_of(st.just(FULL), some.catalogs()))
    stream = data.draw(some.moves(catalog, late=False, again=False))
    delays = some.delays(catalog, late=False)
    waits = data.draw(st.lists(delays, min_size=len(stream), max_size=len(stream)))
    rows = some.arrivals(catalog, stream, some.EPOCH, waits)
    kernels, twin = both(catalog)
    flags = kernels.apply(rows)
    assert set(flags) == {ACCEPTED}
    for row in rows:
        twin.apply(row)
    newest = max(row["event_timestamp"] for row in rows)
    queries = [(c, at) for at in (newest, newest + 1_800_000_001) for c in IDS]
    with tempfile.TemporaryDirectory() as name:
        archive_rows(Path(name), catalog.source, rows, flags, cuts=cuts)
        got = replay(catalog, name, queries)
    for i, (customer, at) in enumerate(queries):
        served = kernels.state.read([customer], at)
        assert got.state[i].tolist() == served.state[0].tolist()
        assert got.age_ms[i] == served.age_ms[0]
        assert_equal_cells(catalog, got.values[i], got.state[i], twin, customer, at)


def check_as_known(
    catalog: Catalog, rows: Sequence[Row], sizes: Sequence[int], cuts: list[int]
) -> None:
    kernels = Kernels(catalog)
    flags: list[int] = []
    queries: list[tuple[str, int]] = []
    known: list[int] = []
    served: list[FeatureRows] = []
    for batch in batches(rows, sizes):
        flags += kernels.apply(batch)
        now = batch[-1]["event_timestamp"]
        for at in (now, now + 1_800_000_001):
            served.append(kernels.state.read(IDS, at))
            queries += [(customer, at) for customer in IDS]
            known += [len(flags) - 1] * len(IDS)
    with tempfile.TemporaryDirectory() as name:
        archive_rows(Path(name), catalog.source, rows, flags, cuts=cuts)
        got = replay(catalog, name, queries, known)
    values = np.concatenate([part.values for part in served])
    differ = got.values.view(np.uint64) != values.view(np.uint64)
    differ |= got.state != np.concatenate([part.state for part in served])
    assert not differ.any(), [
        f"{catalog.columns[c]} of {queries[i]} known {known[i]}: {got.values[i, c]!r} "
        f"and {values[i, c]!r}"
        for i, c in np.argwhere(differ).tolist()
    ]
    assert np.array_equal(got.age_ms, np.concatenate([part.age_ms for part in served]))
    if DUPLICATE not in flags:  # one that is dropped is not archived, but its position was seen
        assert np.array_equal(got.positions, np.concatenate([part.positions for part in served]))


@law(60)
@given(st.data(), SIZES, CUTS)
def test_as_known_is_what_was_served(
    data: st.DataObject, sizes: list[int], cuts: list[int]
) -> None:
    catalog = data.draw(st.one_of(st.just(FULL), some.catalogs()))
    again = data.draw(st.booleans())
    rows = some.arrivals(catalog, data.draw(some.moves(catalog, again=again)), some.EPOCH)
    check_as_known(catalog, rows, sizes, cuts)


@pytest.mark.parametrize("seed", range(2))
def test_as_known_in_long_streams(seed: int) -> None:
    check_as_known(FULL, some.long_stream(FULL, 20 + seed, 1200), (1, 64, 5, 300), [100, 800])
