"""The kernels of replay against plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from nextbest.features.kernels.layout import POSITION, TIMESTAMP
from nextbest.features.kernels.replay import SLOT, SOURCE, group, put_keys, sort_groups

EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-3, 3), st.integers(0, 2), st.integers(0, 50)),
    max_size=60,
)


def records_of(events: list[tuple[int, int, int, int]], buckets: int) -> np.ndarray:
    """(group, time, partition, position) as records of the bucket 1 of so many."""
    records = np.zeros((len(events), 6), np.uint64)
    signed = records.view(np.int64)
    for i, (own, time, partition, position) in enumerate(events):
        signed[i, SLOT] = own * buckets + 1
        signed[i, TIMESTAMP] = time
        signed[i, SOURCE] = partition << 1 | (i & 1)
        signed[i, POSITION] = position
    return records


def grouped(records: np.ndarray, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    bounds, order = np.zeros(5, np.int64), np.empty(len(records), np.int64)
    group(records, buckets, 0, bounds, order)
    return bounds, order


@given(EVENTS, st.sampled_from((2, 64)))
def test_grouping_keeps_the_order_inside(
    events: list[tuple[int, int, int, int]], buckets: int
) -> None:
    bounds, order = grouped(records_of(events, buckets), buckets)
    expected = sorted(range(len(events)), key=lambda i: events[i][0])
    assert order.tolist() == expected
    sizes = [sum(event[0] == own for event in events) for own in range(4)]
    assert np.diff(bounds).tolist() == sizes


@pytest.mark.parametrize("word", [TIMESTAMP, POSITION], ids=["time", "position"])
@given(EVENTS)
def test_groups_are_sorted(word: int, events: list[tuple[int, int, int, int]]) -> None:
    records = records_of(events, 2)
    bounds, order = grouped(records, 2)
    sort_groups(records, word, bounds, order, np.empty_like(order))

    def rank(i: int) -> tuple[int, ...]:
        own, time, partition, position = events[i]
        return (own, time if word == TIMESTAMP else position, partition, position)

    assert order.tolist() == sorted(range(len(events)), key=rank)  # a stable sort


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), max_size=40))
def test_every_different_key_has_a_slot(pairs: list[tuple[int, int]]) -> None:
    keys = np.array(pairs, np.uint64).reshape(len(pairs), 2)
    slots = np.zeros(len(pairs), np.int64)
    used = put_keys(keys, np.zeros((128, 4), np.uint64), slots)
    expected = {pair: n for n, pair in enumerate(dict.fromkeys(pairs), 1)}
    assert slots.tolist() == [expected[pair] for pair in pairs]
    assert used == len(expected)


def test_kernels_can_be_called_from_compiled_code() -> None:
    records = records_of([(1, 2, 0, 0), (0, 1, 0, 1), (0, 0, 0, 2)], 2)

    @njit
    def ordered(records: np.ndarray) -> np.ndarray:
        bounds, order = np.zeros(3, np.int64), np.empty(len(records), np.int64)
        group(records, 2, 0, bounds, order)
        sort_groups(records, TIMESTAMP, bounds, order, np.empty_like(order))
        return order

    assert ordered(records).tolist() == [2, 1, 0]
