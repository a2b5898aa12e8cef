"""Each kernel called from another compiled function, beside its plain-Python twin."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nextbest.features.events import MAX_TIMESTAMP
from nextbest.features.kernels import encode, keys, operations, pack, prepare, records, waves
from nextbest.features.kernels.intrinsics import float_from_bits, prefetch

# The first call of a kernel compiles it.
settings = hypothesis_settings(deadline=None, max_examples=60)
words64 = st.integers(0, 2**64 - 1)
CANARY = 0xC0FFEE0DDBA11C0D
DAY = 86_400_000_000


# Wrappers: a compiled caller, as the kernels are called from one another.


@numba.njit
def call_floor_divide(numerators, divisor, out):  # type: ignore[no-untyped-def]
    prepare.floor_divide(numerators, divisor, len(numerators), out)


@numba.njit
def call_decay_weights(time, span, periods, weights):  # type: ignore[no-untyped-def]
    prepare.decay_weights(time, span, len(time), periods, weights)


@numba.njit
def call_split(recs, shards):  # type: ignore[no-untyped-def]
    return records.split_by_shard(recs, shards)


@numba.njit
def call_waves(slots, marked, seen):  # type: ignore[no-untyped-def]
    return waves.order_by_wave(slots, marked, seen)


@numba.njit
def call_find(table, key_1, key_2):  # type: ignore[no-untyped-def]
    return keys.find(table, key_1, key_2)


@numba.njit
def call_assign(table, recs, ids, slots, names, arena, sizes):  # type: ignore[no-untyped-def]
    keys.assign_slots(table, recs, ids, slots, names, arena, sizes)


@numba.njit
def call_order_bits(bits):  # type: ignore[no-untyped-def]
    return operations.order_bits(bits)


@numba.njit
def call_last_k(i64, f64, k, times, values):  # type: ignore[no-untyped-def]
    for i in range(len(times)):
        operations.keep_last_k(i64, f64, 1, k, times[i], values[i])
        operations.keep_last(i64, f64, 2 * k + 1, times[i], values[i])
        operations.keep_first(i64, f64, 2 * k + 3, times[i], values[i])


@numba.njit
def call_bits(bits, array, index):  # type: ignore[no-untyped-def]
    prefetch(array, index)
    return float_from_bits(bits)


@settings
@given(st.lists(st.integers(0, MAX_TIMESTAMP), min_size=1), st.integers(1, MAX_TIMESTAMP))
def test_floor_divide(numerators: list[int], divisor: int) -> None:
    edges = [q * divisor + d for q in (1, 2, 3, 1000) for d in (-1, 0, 1)]
    several = [n for n in [*numerators, *edges] if 0 <= n < 2**53]
    out = np.full(len(several) + 1, -7)
    call_floor_divide(np.array(several), divisor, out)
    assert out.tolist() == [*(n // divisor for n in several), -7]


@settings
@given(
    st.lists(st.integers(1, MAX_TIMESTAMP), min_size=1, max_size=20),
    st.integers(1, 400 * DAY),
)
def test_decay_weights(times: list[int], half_life: int) -> None:
    span = 64 * half_life
    times += [k * half_life + d for k in (1, 63, 64, 65) for d in (-1, 0, 1) if k * half_life + d]
    periods, weights = np.zeros(len(times), np.int64), np.zeros(len(times))
    call_decay_weights(np.array(times), span, periods, weights)
    for t, period, weight in zip(times, periods.tolist(), weights.tolist(), strict=True):
        assert period == t // span
        exponent = Fraction(t - period * span, half_life)
        whole = exponent.numerator // exponent.denominator
        exact = 2.0**whole * 2.0 ** float(exponent - whole)
        assert math.isclose(weight, exact, rel_tol=1e-14)


@settings
@given(st.lists(words64, max_size=60), st.integers(1, 17))
def test_split_by_shard(hashes: list[int], shards: int) -> None:
    given_records = np.zeros((len(hashes), 7), np.uint64)
    given_records[:, 2] = np.array(hashes, np.uint64)
    given_records[:, 4] = np.arange(len(hashes))
    grouped, order, bounds = call_split(given_records, shards)
    expected = [[i for i, h in enumerate(hashes) if h % shards == s] for s in range(shards)]
    assert order.tolist() == [i for group in expected for i in group]
    assert bounds.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    assert grouped.tobytes() == given_records[order].tobytes()


@settings
@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=60))
def test_order_by_wave(events: list[tuple[int, bool]]) -> None:
    slots = np.array([slot for slot, _ in events], np.int64)
    marked = np.array([mark for _, mark in events], np.bool_)
    seen = np.zeros(7, np.int32)
    order, bounds = call_waves(slots, marked, seen)
    assert not seen.any()
    wave_of, reads = [], dict.fromkeys(range(7), 0)
    for slot, mark in events:
        wave_of.append(reads[slot])
        reads[slot] += mark
    waves_ = range(max(wave_of, default=0) + 1)
    expected = [[i for i, w in enumerate(wave_of) if w == wave] for wave in waves_]
    assert order.tolist() == [i for group in expected for i in group]
    assert bounds.tolist() == np.cumsum([0, *map(len, expected)]).tolist()


@settings
@given(
    st.lists(
        # Few hashes: many share their place in the table, or half of themselves.
        st.tuples(st.integers(1, 3), st.sampled_from([0, 1, 2, 8, 16, 24, 2**63, 2**64 - 1])),
        max_size=40,
    ),
    st.integers(0, 40),
)
def test_colliding_hashes_keep_their_slots(hashes: list[tuple[int, int]], cut: int) -> None:
    given_records = np.zeros((len(hashes), 7), np.uint64)
    texts = [f"{a}/{b}".encode() for a, b in hashes]
    for i, (one, two) in enumerate(hashes):
        start = sum(map(len, texts[:i]))
        given_records[i, 2:6] = [one, two, 0, start << 16 | len(texts[i])]
    ids_ = np.frombuffer(b"".join(texts) + b"!", np.uint8)
    small: npt.NDArray[np.uint64] = np.zeros((64, 4), np.uint64)
    large: npt.NDArray[np.uint64] = np.zeros((128, 4), np.uint64)
    names, arena = np.zeros((42, 2), np.int64), np.zeros(900, np.uint8)
    sizes, slots = np.array([1, 0, 1 << 40]), np.zeros(len(hashes), np.int64)
    for table, part in ((small, slice(0, cut)), (large, slice(cut, None))):
        if table is large:
            keys.rehash(small, large)
        call_assign(table, given_records[part], ids_, slots[part], names, arena, sizes)
    order = list(dict.fromkeys(hashes))
    assert slots.tolist() == [order.index(h) + 1 for h in hashes]
    assert sizes[0] == len(order) + 1
    text = arena.tobytes()
    stored = [text[s : s + n] for s, n in names[1 : sizes[0]].tolist()]
    assert stored == [f"{a}/{b}".encode() for a, b in order]
    asked = [*order, (4, 0), (1, 2**62)]
    found = np.zeros(len(asked), np.int64)
    columns = np.array(asked, np.uint64).reshape(-1, 2)
    keys.find_slots(large, columns, found)
    assert found.tolist() == [*range(1, len(order) + 1), 0, 0]
    place = call_find(large, np.uint64(4), np.uint64(0))
    assert large[place, 2] == 0


def test_floats_keep_their_order_as_bits() -> None:
    floats = [-math.inf, -1e308, -2.0, -1.0, -5e-324, 0.0, 5e-324, 1.0, 1.5, 1e308, math.inf]
    bits = [int(call_order_bits(np.float64(v).view(np.uint64))) for v in floats]
    assert bits == sorted(bits)
    assert len(set(bits)) == len(bits)
    assert bits[0] > 0


@settings
@given(st.floats(allow_nan=False))
def test_bits_are_a_float_again(value: float) -> None:
    bits = np.float64(value).view(np.uint64)
    assert call_bits(bits, np.zeros(4), 2**40) == value  # a prefetch touches nothing


@settings
@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(1, 6), st.floats(-4, 4, width=16)), max_size=30),
)
def test_first_last_and_last_k(k: int, pairs: list[tuple[int, float]]) -> None:
    memory = np.zeros(2 * k + 6)
    memory[0] = memory[-1] = 77.0
    times = np.array([t for t, _ in pairs], np.int64)
    values = np.array([v + 0.0 for _, v in pairs])
    call_last_k(memory.view(np.int64), memory, k, times, values)
    ordered = sorted(((t, v + 0.0) for t, v in pairs), reverse=True)
    cells = list(zip(memory.view(np.int64)[1:-1:2].tolist(), memory[2:-1:2].tolist(), strict=True))
    assert cells[:k] == ordered[:k] + [(0, 0.0)] * (k - len(ordered[:k]))
    assert cells[k:] == ([ordered[0], ordered[-1]] if pairs else [(0, 0.0)] * 2)
    assert memory[0] == memory[-1] == 77.0


def test_put_codes_reads_no_index_of_a_null() -> None:
    out = np.zeros((4, 3), np.uint64)
    indices = np.array([1, 2**30, 0, -5], np.int32)
    valid = np.array([0b0101_0000], np.uint8)
    encode.put_codes(indices, np.array([10, -2]), valid, 4, out, 1)
    assert out[:, 1].astype(np.int64).tolist() == [-2, -1, 10, -1]
    assert not out[:, [0, 2]].any()
    numbers = np.array([1.5, np.nan, 2.5, 3.5]).view(np.uint64)
    encode.put_numbers(numbers, valid, 4, out, 2)
    found = out[:, 2].view(np.float64)
    assert found[[0, 2]].tolist() == [1.5, 2.5]
    assert np.isnan(found[[1, 3]]).all()


def test_kernels_run_without_the_interpreter_s_lock() -> None:
    """`nogil` is an option in one place; a kernel that lost it would stall every other thread."""
    kernels: list[Any] = [pack.encode_mset, keys.assign_slots, prepare.prepare]
    for kernel in (*kernels, records.split_by_shard):
        assert kernel.targetoptions["nogil"]
        assert kernel.targetoptions["error_model"] == "numpy"
