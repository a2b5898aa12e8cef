"""The table of names: bounded, its handles go stale with what they meant, the oldest go first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import LearnerError
from nextbest.learners.interning import LONGEST_NAME, NEVER, SLOT_BITS, USED, Interning


def use(table, key, now):
    slot = table.intern(*key)  # first: it may replace the state
    table.state[slot, USED] = now


def test_state_grows_with_the_names_and_keeps_what_it_holds():
    table = Interning(100_000, (NEVER, 0.0))
    for i in range(5000):
        slot = table.intern("k", str(i))
        table.state[slot, 1] = i
    assert len(table) == 5000
    assert len(table.state) < 10_000
    assert all(table.state[table.find("k", str(i)), 1] == i for i in range(5000))


def test_a_name_is_known_from_its_category():
    table = Interning(10, (NEVER,))
    slots = [table.intern("a"), table.intern("a", "a"), table.intern("a", "b"), table.intern("b")]
    assert slots == [0, 1, 2, 3]
    assert [table.intern("a"), table.intern("a", "b")] == [0, 2]
    assert list(table) == [("a", None, 0), ("a", "a", 1), ("a", "b", 2), ("b", None, 3)]


def test_a_full_table_takes_nothing():
    table = Interning(1, (NEVER,))
    table.intern("a")
    with pytest.raises(LearnerError, match="full"):
        table.intern("b")
    assert table.find("b") == -1


def test_a_sweep_frees_the_oldest_sixteenth():
    table = Interning(64, (NEVER, 0.0))
    for i in range(64):
        use(table, ("k", str(i)), (i * 37) % 64)
    table.evict(1, now=64.0)
    assert table.free == table.evicted == 4
    gone = {i for i in range(64) if table.find("k", str(i)) < 0}
    assert gone == {i for i in range(64) if (i * 37) % 64 < 4}


def test_what_is_in_use_now_stays():
    table = Interning(4, (NEVER,))
    for i in range(4):
        use(table, (i,), 5.0 if i else 4.0)
    with pytest.raises(LearnerError, match="no room for 2 names"):
        table.evict(2, now=5.0)
    assert len(table) == 4
    table.evict(1, now=5.0)
    assert [table.find(i) for i in range(4)] == [-1, 1, 2, 3]


def test_an_evicted_name_starts_anew_under_another_handle():
    table = Interning(1, (NEVER, 0.5))
    table.intern("a")
    table.state[0] = 3.0
    before = table.handles[0]
    table.evict(1, now=9.0)
    assert table.intern("a") == 0
    assert table.state[0].tolist() == [NEVER, 0.5]
    assert table.handles[0] != before
    assert table.handles[0] & ((1 << SLOT_BITS) - 1) == 0


@given(
    uses=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 12)), max_size=120),
    capacity=st.integers(1, 8),
)
@settings(max_examples=80, deadline=None)
def test_equals_a_plain_list_in_order_of_use(uses, capacity):
    """With fewer than 32 slots a sweep frees as many as are needed: exactly the oldest."""
    table = Interning(capacity, (NEVER,))
    order: list[tuple[str, str]] = []
    for now, (name, number) in enumerate(uses):
        key = (name, str(number))
        if table.find(*key) < 0 and not table.free:
            table.evict(1, now)
        use(table, key, now)
        order = [other for other in order if other != key][-capacity:]
        order = [*order[-capacity + 1 :], key] if capacity > 1 else [key]
        assert {(n, c) for n, c, _ in table} == set(order)
        live = [slot for _, _, slot in table]
        assert len(table) == len(live) == len(np.unique(table.handles[live]))


def test_a_million_categories_fit_in_their_bound():
    table = Interning(1000, (NEVER,))
    for i in range(100_000):
        if not table.free:
            table.evict(1, i)
        use(table, ("customer", str(i)), i)
    assert len(table.state) == 1000
    assert table.evicted >= 99_000
    assert len(table.categorical["customer"]) <= 1000


@pytest.mark.parametrize("capacity", [0, -1, (1 << SLOT_BITS) + 1])
def test_a_bound_out_of_range_is_refused(capacity):
    with pytest.raises(LearnerError, match="slots"):
        Interning(capacity, (NEVER,))


@pytest.mark.parametrize("name", [("k" * 2000,), ("k", "c" * 2000)])
def test_a_text_that_is_too_long_is_refused(name):
    table = Interning(10, (NEVER,))
    with pytest.raises(LearnerError, match=f"2000 characters, the most are {LONGEST_NAME}"):
        table.intern(*name)
    assert len(table) == 0
