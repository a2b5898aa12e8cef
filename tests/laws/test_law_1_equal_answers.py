"""One definition, equal answers: for any events, arrival order, batches and shards.

The kernels' answers equal the plain-Python recomputation from the raw events, integers exactly
and floats to 1e-9 of the magnitude that was summed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbest.features import Catalog
from nextbest.features.batch import ACCEPTED, KEY_1, shard_of
from tests.laws import strategies as some
from tests.laws.driver import (
    Kernels,
    assert_equal_answers,
    assert_equal_cells,
    assert_same_answers,
    batches,
    both,
    id_texts,
    law,
    new_state,
    patience,
    reading_times,
)
from tests.laws.strategies import CUSTOMERS, Row

pytestmark = patience
FULL = some.full_catalog()
SIZES = st.lists(st.sampled_from((1, 1, 2, 3, 7, 20, 60)), min_size=1, max_size=4)
IDS = (*CUSTOMERS, "never seen")


def newest_times(rows: Sequence[Row]) -> list[int]:
    """Time of every customer's newest event."""
    newest: dict[str, int] = {}
    for row in rows:
        known = newest.get(row["customer_id"], 0)
        newest[row["customer_id"]] = max(known, row["event_timestamp"])
    return list(newest.values())


def run_both(catalog: Catalog, rows: Sequence[Row], sizes: Sequence[int]) -> None:
    """Apply batch by batch, comparing flags and values after each, and at many times at last."""
    kernels, naive = both(catalog)
    for number, batch in enumerate(batches(rows, sizes)):
        assert kernels.apply(batch) == [naive.apply(row) for row in batch]
        if number % 4 == 0:
            now = batch[-1]["event_timestamp"]
            assert_equal_answers(kernels, naive, IDS, (now, now + 1_800_000_001))
    times = reading_times(catalog, newest_times(rows))
    chosen = times if len(times) < 12 else times[:: len(times) // 12]
    assert_equal_answers(kernels, naive, IDS, chosen)


@law(200)
@given(st.data())
def test_any_declaration(data: st.DataObject) -> None:
    catalog = data.draw(some.catalogs())
    stream = data.draw(some.moves(catalog))
    rows = some.arrivals(catalog, stream, data.draw(some.starts))
    run_both(catalog, rows, data.draw(SIZES))


@law(70)
@given(some.moves(FULL), some.starts, SIZES)
def test_every_aggregation(stream: list[some.Move], start: int, sizes: list[int]) -> None:
    run_both(FULL, some.arrivals(FULL, stream, start), sizes)


@pytest.mark.parametrize("seed", range(4))
def test_long_streams(seed: int) -> None:
    """Longer than the kernels' chunks, with hundreds of events of one customer in a batch."""
    rows = some.long_stream(FULL, seed, 1500)
    kernels, naive = both(FULL)
    whole = Kernels(FULL)
    flags: list[int] = []
    for batch in batches(rows, (1, 64, 5, 900, 200)):
        expected = [naive.apply(row) for row in batch]
        assert kernels.apply(batch) == expected
        flags += expected
        now = max(customer.newest for customer in naive.customers.values())
        assert_equal_answers(kernels, naive, IDS, (now, now + 1_700_000_000))
    assert whole.apply(rows) == flags
    for at in reading_times(FULL, newest_times(rows))[::9]:
        assert_same_answers(kernels.state, whole.state, FULL.columns, IDS, at)


@law(70)
@given(st.data(), st.sampled_from((FULL, None)))
def test_any_split_into_batches(data: st.DataObject, given_catalog: Catalog | None) -> None:
    catalog = given_catalog or data.draw(some.catalogs())
    rows = some.arrivals(catalog, data.draw(some.moves(catalog)), some.EPOCH)
    times = reading_times(catalog, newest_times(rows))[::5]
    whole = Kernels(catalog)
    flags = whole.apply(rows)
    for sizes in ((1,), data.draw(SIZES)):
        other = Kernels(catalog)
        assert [flag for part in batches(rows, sizes) for flag in other.apply(part)] == flags
        for at in times:
            assert_same_answers(other.state, whole.state, catalog.columns, IDS, at)


@law(80)
@given(st.data())
def test_any_order_within_lateness(data: st.DataObject) -> None:
    catalog = data.draw(st.one_of(st.just(FULL), some.catalogs()))
    stream = data.draw(some.moves(catalog, late=False, again=False))
    waits = data.draw(
        st.lists(some.delays(catalog, late=False), min_size=len(stream), max_size=len(stream))
    )
    in_order, naive = both(catalog)
    shuffled = Kernels(catalog)
    rows = some.arrivals(catalog, stream, some.EPOCH, [0] * len(stream))
    late_rows = some.arrivals(catalog, stream, some.EPOCH, waits)
    assert set(in_order.apply(rows)) == {ACCEPTED}
    assert set(shuffled.apply(late_rows)) == {ACCEPTED}
    for row in rows:
        naive.apply(row)
    times = reading_times(catalog, newest_times(rows))[::9]
    assert_equal_answers(in_order, naive, IDS, times)
    assert_equal_answers(shuffled, naive, IDS, times)


@law(15)
@given(st.data(), st.sampled_from((2, 3, 16)))
def test_any_number_of_shards(data: st.DataObject, shards: int) -> None:
    catalog = data.draw(st.one_of(st.just(FULL), some.catalogs()))
    rows = some.arrivals(catalog, data.draw(some.moves(catalog)), some.EPOCH)
    whole = Kernels(catalog)
    batch = whole.encode(rows)
    flags = whole.state.apply(batch)
    texts = id_texts(batch)
    assert texts == [row["customer_id"] for row in rows]
    home = {
        text: shard_of(int(key), shards)
        for text, key in zip(texts, batch.records[:, KEY_1], strict=True)
    }
    states = {shard: new_state(whole.plan) for shard in home.values()}
    seen = np.full(len(rows), 255, dtype=np.uint8)
    for shard, part, ordinals in batch.split(shards):
        assert set(id_texts(part)) == {text for text, its in home.items() if its == shard}
        seen[ordinals] = states[shard].apply(part)
    assert np.array_equal(seen, flags)
    for at in reading_times(catalog, newest_times(rows))[::9]:
        for text, shard in home.items():
            assert_same_answers(states[shard], whole.state, catalog.columns, [text], at)


@law(50)
@given(st.data())
def test_reads_between_the_events_of_a_batch(data: st.DataObject) -> None:
    """What a replay serves: a customer as of right after an event, in the middle of a batch."""
    catalog = data.draw(st.one_of(st.just(FULL), some.catalogs()))
    rows = some.arrivals(catalog, data.draw(some.moves(catalog)), some.EPOCH)
    marks = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    kernels, naive = both(catalog)
    alone = Kernels(catalog)
    flags, got = kernels.state.apply_and_read(kernels.encode(rows), np.array(marks))
    assert len(got.values) == sum(marks)
    place = 0
    for row, mark, flag in zip(rows, marks, flags.tolist(), strict=True):
        assert naive.apply(row) == flag
        if mark:
            customer, at = row["customer_id"], row["event_timestamp"]
            values, states = got.values[place], got.state[place]
            assert int(got.age_ms[place]) == naive.age_ms(customer, at)
            assert_equal_cells(catalog, values, states, naive, customer, at)
            place += 1
    assert alone.apply(rows) == flags.tolist()
    for at in reading_times(catalog, newest_times(rows))[::9]:
        assert_same_answers(kernels.state, alone.state, catalog.columns, IDS, at)
