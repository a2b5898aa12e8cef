"""Never stale: time passes without events, and what is read shows it, without any write."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.laws import strategies as some
from tests.laws.driver import (
    assert_equal_answers,
    assert_same_answers,
    both,
    law,
    patience,
    reading_times,
)
from tests.laws.strategies import CUSTOMERS
from tests.laws.test_law_1_equal_answers import newest_times

pytestmark = patience
FULL = some.full_catalog()


@law(80)
@given(st.data())
def test_a_moving_clock(data: st.DataObject) -> None:
    """At every moment when something changes, and a microsecond beside it."""
    catalog = data.draw(some.catalogs())
    rows = some.arrivals(catalog, data.draw(some.moves(catalog, most=15)), data.draw(some.starts))
    kernels, naive = both(catalog)
    assert kernels.apply(rows) == [naive.apply(row) for row in rows]
    times = reading_times(catalog, newest_times(rows))
    assert_equal_answers(kernels, naive, CUSTOMERS, times)


@law(20)
@given(some.moves(FULL, most=25), some.starts)
def test_a_moving_clock_over_everything(stream: list[some.Move], start: int) -> None:
    rows = some.arrivals(FULL, stream, start)
    kernels, naive = both(FULL)
    assert kernels.apply(rows) == [naive.apply(row) for row in rows]
    assert_equal_answers(kernels, naive, CUSTOMERS, reading_times(FULL, newest_times(rows))[::6])


@law(30)
@given(some.moves(FULL, most=25), st.lists(st.integers(1, 4 * 10**15), min_size=1, max_size=9))
def test_reading_writes_nothing(stream: list[some.Move], times: list[int]) -> None:
    """Reads in between, at any times and in any order, leave no trace in later answers."""
    rows = some.arrivals(FULL, stream, some.EPOCH)
    disturbed, _ = both(FULL)
    alone, _ = both(FULL)
    for row in rows:
        for at in times:
            disturbed.state.read(CUSTOMERS, at)
        assert disturbed.apply([row]) == alone.apply([row])
    for at in (*times, *newest_times(rows)):
        assert_same_answers(disturbed.state, alone.state, FULL.columns, CUSTOMERS, at)


@law(30)
@given(some.moves(FULL, most=20), st.integers(1, 10**12))
def test_the_clock_never_runs_back_behind_the_newest_event(
    stream: list[some.Move], before: int
) -> None:
    """A read at a time before the customer's newest event is a read at that event."""
    rows = [row for row in some.arrivals(FULL, stream, some.EPOCH) if row["customer_id"] == "ada"]
    assume(rows)
    kernels, _ = both(FULL)
    kernels.apply(rows)
    (newest,) = newest_times(rows)
    behind, now = (kernels.state.read(["ada"], at) for at in (newest - before, newest))
    assert behind.values.tobytes() == now.values.tobytes()
    assert behind.state.tolist() == now.state.tolist()
    assert behind.age_ms.tolist() == now.age_ms.tolist()
