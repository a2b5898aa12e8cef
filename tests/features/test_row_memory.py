"""Reserved row memory: where it begins, and what giving it back leaves."""

from __future__ import annotations

import numpy as np
import pytest

from nextbest.features.errors import StateError
from nextbest.features.memory import release_rows, reserve_rows

HUGE_PAGE = 1 << 21


def test_rows_begin_with_a_huge_page_whoever_reserved_before() -> None:
    held = [reserve_rows(7, 1000 + 37 * n) for n in range(5)]
    assert {rows.u64.ctypes.data % HUGE_PAGE for rows in held} == {0}
    assert [len(rows.u64) for rows in held] == [7 * (1000 + 37 * n) for n in range(5)]
    assert not any(rows.u64.any() for rows in held)


@pytest.mark.parametrize("start", [0, 5, HUGE_PAGE // 8, HUGE_PAGE // 8 + 5])
def test_what_is_given_back_is_zero_and_nothing_else(start: int) -> None:
    words = 3 * HUGE_PAGE // 8 + 11
    rows, beside = reserve_rows(1, words), reserve_rows(1, words)
    rows.u64[:], beside.u64[:] = 7, 7
    release_rows(rows, start, words)
    assert np.array_equal(np.flatnonzero(rows.u64), np.arange(start))
    assert beside.u64.all()
    rows.u64[:] = 9  # it can be used again
    assert rows.u64.all()


def test_more_than_there_is_cannot_be_reserved() -> None:
    with pytest.raises(StateError, match=r"cannot reserve \d+ bytes for \d+ rows"):
        reserve_rows(1 << 10, 1 << 40)
