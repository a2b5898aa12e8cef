"""A shard's state in the cases that are easy to get wrong, with answers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nextbest.features import StateError, event
from nextbest.features import aggregations as agg
from nextbest.features.batch import ACCEPTED, DUPLICATE, LATE
from nextbest.features.kernels.prepare import floor_divide
from nextbest.features.state import ShardState
from tests.laws.cases import (
    GAP,
    MISSING,
    START,
    answer,
    catalog,
    row,
)
from tests.laws.driver import Kernels, assert_equal_answers, assert_same_answers, both
from tests.laws.strategies import DAY, HOUR, MINUTE, SECOND

WORDS = tuple(f"word-{i}" for i in range(200))
COUNT_NOW = agg.count("now", window="session")
COUNT_LAST = agg.count("before", window="last_session")
SUM_NOW = agg.sum("sum_now", of="value", window="session")
SUM_LAST = agg.sum("sum_before", of="value", window="last_session")


def test_a_late_event_bridges_two_sessions() -> None:
    kernels = Kernels(catalog(COUNT_NOW, SUM_NOW))
    times = (0, 40 * MINUTE, 41 * MINUTE)
    kernels.apply([row(t, value=float(n)) for n, t in enumerate(times, 1)])
    assert answer(kernels, 41 * MINUTE) == [2.0, 5.0]
    assert kernels.apply([row(20 * MINUTE, value=10.0)]) == [ACCEPTED]
    assert answer(kernels, 41 * MINUTE) == [4.0, 16.0]


@pytest.mark.parametrize("split", [1, 2, 3, 4, 5, 6])
def test_a_bridge_inside_a_batch(split: int) -> None:
    """Also bit by bit: the events before the bridge are added up before it joins the sessions."""
    rows = [row(t * MINUTE, value=1 / t) for t in (1, 2, 3, 40, 45, 21, 46)]
    definition = catalog(COUNT_NOW, SUM_NOW, agg.mean("mean", of="value", window="session"))
    kernels, naive = both(definition)
    kernels.apply(rows[:split])
    kernels.apply(rows[split:])
    one_by_one = Kernels(definition)
    for each in rows:
        naive.apply(each)
        one_by_one.apply([each])
    at = START + 46 * MINUTE
    assert answer(kernels, 46 * MINUTE)[0] == 7.0
    assert_equal_answers(kernels, naive, ["ada"], [at])
    assert_same_answers(kernels.state, one_by_one.state, definition.columns, ["ada"], at)


def test_a_full_shard_says_so_and_still_serves_the_customers_it_has() -> None:
    kernels = Kernels(catalog(COUNT_NOW))
    kernels.state = ShardState(kernels.plan, max_slots=3)  # the first slot is nobody's
    kernels.apply([row(0, customer="ada"), row(1, customer="bob")])
    with pytest.raises(StateError, match="the shard is full: it holds 2 customers"):
        kernels.apply([row(2, customer="cyd")])
    assert kernels.apply([row(3, customer="ada"), row(4, customer="bob")]) == [ACCEPTED] * 2
    changes = kernels.state.take_changes()
    restored = ShardState(kernels.plan, max_slots=3)
    restored.load_changes(changes)
    assert list(restored.customers()) == ["ada", "bob"]
    with pytest.raises(StateError, match="the shard is full: it holds 1 customers"):
        ShardState(kernels.plan, max_slots=2).load_changes(changes)


def test_an_event_before_the_session_that_does_not_reach_the_one_before() -> None:
    kernels = Kernels(catalog(COUNT_NOW, COUNT_LAST))
    kernels.apply([row(0), row(50 * MINUTE), row(GAP + SECOND)])
    assert answer(kernels, 50 * MINUTE) == [2.0, 1.0]
    # Now the open session starts at 30 min 1 s, and an event at 30 min reaches the one before.
    kernels.apply([row(GAP)])
    assert answer(kernels, 50 * MINUTE) == [4.0, "missing"]


def test_exactly_the_gap_is_the_same_session_and_a_microsecond_more_is_not() -> None:
    kernels = Kernels(catalog(COUNT_NOW, COUNT_LAST))
    kernels.apply([row(0), row(GAP)])
    assert answer(kernels, GAP) == [2.0, "missing"]
    assert answer(kernels, 2 * GAP) == [2.0, "missing"]
    assert answer(kernels, 2 * GAP + 1) == ["expired", 2.0]
    kernels.apply([row(2 * GAP + 1)])
    assert answer(kernels, 2 * GAP + 1) == [1.0, 2.0]


def test_a_bridge_at_exactly_the_gap() -> None:
    for beyond, expected in ((0, [3.0, "missing"]), (1, [2.0, 1.0])):
        kernels = Kernels(catalog(COUNT_NOW, COUNT_LAST))
        kernels.apply([row(0), row(GAP + 2 * MINUTE), row(GAP + beyond)])
        assert answer(kernels, GAP + 2 * MINUTE) == expected


def test_the_last_session_comes_back_when_two_are_bridged() -> None:
    """Sessions A, B and C; an event between B and C makes A the last closed one again."""
    kernels = Kernels(catalog(COUNT_NOW, COUNT_LAST, SUM_NOW, SUM_LAST))
    a, b, c = 0, 2 * HOUR, 2 * HOUR + 40 * MINUTE
    for time, value in ((a, 1.0), (b, 2.0), (c, 4.0)):
        kernels.apply([row(time, value=value)])
    assert answer(kernels, c) == [1.0, 1.0, 4.0, 2.0]
    kernels.apply([row(b + 20 * MINUTE, value=8.0)])
    assert answer(kernels, c) == [3.0, 1.0, 14.0, 1.0]
    assert answer(kernels, c + GAP + 1) == ["expired", 3.0, "expired", 14.0]
    # Nothing of the swallowed session is left behind.
    kernels.apply([row(c + 3 * HOUR, value=16.0)])
    assert answer(kernels, c + 3 * HOUR) == [1.0, 3.0, 16.0, 14.0]


def test_every_session_aggregation_survives_a_bridge() -> None:
    features = (
        agg.mean("mean", of="value", window="session"),
        agg.min("min", of="value", window="session"),
        agg.max("max", of="value", window="session"),
        agg.first("first", of="value", window="session"),
        agg.last("last", of="word", window="session", vocabulary=WORDS),
        agg.last_k("last_k", of="value", k=3, window="session"),
        agg.distinct("distinct", of="word", window="session", vocabulary=WORDS),
        agg.time_since("since", window="session", where=event.good == True),  # noqa: E712
        agg.evidence("evidence", window="session", where=event.value < 3),
        agg.count("keyed", window="session", by="word", vocabulary=WORDS[98:101]),
    )
    kernels = Kernels(catalog(*features))
    kernels.apply(
        [
            row(0, value=-3.0, word="word-199", good=True),
            row(MINUTE, value=5.0, word="word-99", good=False),
            row(36 * MINUTE, value=1.0, word="word-99"),
        ]
    )
    kernels.apply([row(12 * MINUTE, value=2.0, word="word-100")])
    assert answer(kernels, 40 * MINUTE) == [
        1.25, -3.0, 5.0, -3.0, 99.0, 1.0, 2.0, 5.0, 3.0, 2400.0, 3.0, 0.0, 2.0, 1.0,
    ]  # fmt: skip


def test_late_events_are_flagged_and_stay_out_of_sessions() -> None:
    kernels = Kernels(catalog(COUNT_NOW, COUNT_LAST, agg.count("all"), lateness="10m"))
    assert kernels.apply([row(HOUR)]) == [ACCEPTED]
    assert kernels.apply([row(50 * MINUTE)]) == [ACCEPTED]  # exactly the lateness
    assert kernels.apply([row(50 * MINUTE - 1)]) == [LATE]
    assert kernels.apply([row(-DAY), row(HOUR + 1), row(50 * MINUTE, "another")]) == [
        LATE,
        ACCEPTED,
        LATE,
    ]
    assert answer(kernels, HOUR) == [3.0, "missing", 6.0]


def test_lateness_is_judged_by_the_customers_own_newest_event() -> None:
    kernels = Kernels(catalog(COUNT_NOW))
    flags = kernels.apply([row(DAY, customer="bob"), row(0), row(-HOUR), row(-GAP)])
    assert flags == [ACCEPTED, ACCEPTED, LATE, ACCEPTED]


def test_a_late_event_does_not_bridge() -> None:
    kernels = Kernels(catalog(COUNT_NOW, COUNT_LAST, lateness="5m"))
    kernels.apply([row(0), row(40 * MINUTE)])
    assert kernels.apply([row(20 * MINUTE)]) == [LATE]
    assert answer(kernels, 40 * MINUTE) == [1.0, 1.0]


@pytest.mark.parametrize("whole", [True, False])
def test_a_duplicate_is_found_among_the_last_sixteen_events(whole: bool) -> None:
    kernels = Kernels(catalog(agg.count("all")))
    ids = [f"e{i}" for i in range(17)]
    rows = [row(i * SECOND, event_id) for i, event_id in enumerate([*ids, *ids[1:], "e0", "e0"])]
    parts = [rows] if whole else [[each] for each in rows]
    flags = [flag for part in parts for flag in kernels.apply(part)]
    assert flags == [ACCEPTED] * 17 + [DUPLICATE] * 16 + [ACCEPTED, DUPLICATE]
    assert answer(kernels, HOUR) == [18.0]
    # A duplicate does not refresh its place: e1 made room for e0's second coming.
    assert kernels.apply([row(HOUR, "e1"), row(HOUR, "e2")]) == [ACCEPTED, ACCEPTED]


def test_late_events_count_among_the_last_sixteen_and_other_customers_do_not() -> None:
    kernels = Kernels(catalog(agg.count("all")))
    assert kernels.apply([row(DAY, "e"), row(0, "late")]) == [ACCEPTED, LATE]
    assert kernels.apply([row(DAY, "late"), row(0, "late", "bob")]) == [DUPLICATE, ACCEPTED]
    kernels.apply([row(0, f"bob's {i}", "bob") for i in range(40)])
    assert kernels.apply([row(0, "e")]) == [DUPLICATE]


def test_a_jump_into_the_far_future_empties_the_rings() -> None:
    kernels = Kernels(
        catalog(
            agg.count("hour", window="1h"),
            agg.max("month", of="value", window="30d"),
            agg.distinct("words", of="word", vocabulary=WORDS, window="1d"),
            agg.count("all"),
        )
    )
    kernels.apply([row(i * 5 * MINUTE, value=7.0, word=WORDS[i]) for i in range(100)])
    end = 99 * 5 * MINUTE
    assert answer(kernels, end) == [13.0, 7.0, 100.0, 100.0]
    assert answer(kernels, end + 20 * 365 * DAY) == [0.0, "missing", 0.0, 100.0]
    far = 40 * 365 * DAY
    kernels.apply([row(far, value=1.0)])
    assert answer(kernels, far) == [1.0, 1.0, 0.0, 101.0]
    # What is older than the windows is too old for them, and still counts for ever.
    assert kernels.apply([row(far - 40 * DAY, value=9.0), row(far - 2 * HOUR, value=3.0)]) == [
        LATE,
        LATE,
    ]
    assert answer(kernels, far) == [1.0, 3.0, 0.0, 103.0]


def test_a_tile_is_reused_without_its_old_contents() -> None:
    kernels = Kernels(catalog(agg.sum("s", of="value", window="3s", hop="1s")))
    for second in range(40):
        kernels.apply([row(second * SECOND, value=float(second))])
        held = [second - back for back in range(4) if second >= back]
        assert answer(kernels, second * SECOND) == [float(sum(held))]
    # One head's move over several tiles, less than a whole turn.
    kernels.apply([row(41 * SECOND, value=100.0)])
    assert answer(kernels, 41 * SECOND) == [39.0 + 38.0 + 100.0]
    # One batch in which the head moves and an older tile is still written.
    kernels.apply([row(43 * SECOND, value=1.0), row(42 * SECOND, value=2.0)])
    assert answer(kernels, 43 * SECOND) == [103.0]


@pytest.mark.parametrize("hop", [7 * SECOND, 14 * SECOND, 103, 107])
def test_tile_boundaries_where_a_product_with_the_inverse_is_off_by_one(hop: int) -> None:
    first = START // hop
    tiles = [n for n in range(first, first + 40_000) if int(n * hop * (1 / hop)) != n][:20]
    assert tiles, "choose a hop whose inverse is inexact"
    definition = catalog(
        agg.count("all_in_tile", window=f"{hop}us", hop=f"{hop}us"),
        agg.last("last", of="value", window=f"{hop}us", hop=f"{hop}us"),
    )
    for tile in tiles:
        kernels, naive = both(definition)
        start = tile * hop - START
        rows = [row(start - 1, value=1.0), row(start, value=2.0), row(start + hop - 1, value=3.0)]
        kernels.apply(rows)
        for each in rows:
            naive.apply(each)
        times = [START + start + offset for offset in (hop - 1, hop, 2 * hop - 1, 2 * hop)]
        assert_equal_answers(kernels, naive, ["ada"], times)
        assert answer(kernels, start + hop) == [2.0, 3.0]


@pytest.mark.parametrize("divisor", [1, 3, 7, 103, 7 * SECOND, 640 * DAY, 2**53 - 1])
def test_division_by_the_inverse_is_exact_up_to_the_largest_integer_of_a_float(
    divisor: int,
) -> None:
    quotients = [0, 1, 2, *((2**53 - 2) // divisor - n for n in range(200)), 2**52 // divisor]
    edges = [q * divisor + offset for q in quotients for offset in (-1, 0, 1) if q > 0]
    numerators = np.array(edges, np.int64)
    out = np.empty_like(numerators)
    floor_divide(numerators, divisor, len(numerators), out)
    assert out.tolist() == [edge // divisor for edge in edges]


def test_forward_decay_over_more_than_64_half_lives() -> None:
    kernels = Kernels(catalog(agg.decayed("d", of="value", half_life="1m")))
    kernels.apply([row(0, value=2.0**100)])
    for half_lives in (1, 63, 64, 65, 130, 700):
        (value,) = answer(kernels, half_lives * MINUTE)
        assert value == pytest.approx(2.0 ** (100 - half_lives), rel=1e-12)
    kernels.apply([row(100 * MINUTE, value=1.0)])
    assert answer(kernels, 100 * MINUTE) == [pytest.approx(2.0, rel=1e-12)]
    assert kernels.apply([row(36 * MINUTE, value=2.0**64)]) == [LATE]
    assert answer(kernels, 101 * MINUTE) == [pytest.approx(1.5, rel=1e-12)]


def test_forward_decay_over_more_than_2000_half_lives_underflows_to_zero() -> None:
    kernels = Kernels(catalog(agg.decayed("d", of="value", half_life="1s")))
    kernels.apply([row(0, value=1e300), row(1, value=-3.0)])
    assert answer(kernels, 5000 * SECOND) == [0.0]
    assert answer(kernels, 50 * 365 * DAY) == [0.0]
    kernels.apply([row(4000 * SECOND, value=8.0)])
    assert answer(kernels, 4001 * SECOND) == [pytest.approx(4.0, rel=1e-12)]
    kernels.apply([row(0, "late", value=1e300), row(DAY), row(DAY + 1)])
    assert answer(kernels, 2 * DAY) == [0.0]
    assert answer(kernels, 4001 * SECOND) == [0.0]  # never before the newest event


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_an_underflowing_decay_does_not_depend_on_batches(value: float) -> None:
    """On its way to zero a value passes the floats that have few digits, or none but a sign."""
    definition = catalog(agg.decayed("d", of="value", half_life="1s"), agg.count("all"))
    for period in range(14, 20):
        one, other = Kernels(definition), Kernels(definition)
        rows = [row(0, value=value * math.pi)]
        rows += [row(64 * SECOND * n - 7 * SECOND // 3) for n in range(1, period)]
        one.apply(rows)
        for each in rows:
            other.apply([each])
        for seconds in range(0, 64, 3):
            at = START + (64 * (period - 1) + seconds) * SECOND
            assert_same_answers(one.state, other.state, ("d", "all"), ["ada"], at)


def test_ten_thousand_new_customers_in_one_batch() -> None:
    kernels = Kernels(catalog(agg.count("all"), agg.last("v", of="value")))
    names = [f"customer {i}" for i in range(10_000)]
    kernels.apply([row(0, value=-1.0)])
    flags = kernels.apply([row(i, customer=n, value=float(i)) for i, n in enumerate(names)])
    assert flags == [ACCEPTED] * 10_000
    kernels.apply([row(DAY, customer=name, value=0.5) for name in names[::7]])
    rows = kernels.state.read([*names, "nobody", "ada"], START + DAY)
    again = np.zeros(10_000, dtype=bool)
    again[::7] = True
    order = np.arange(10_000)
    assert np.array_equal(rows.values[:10_000, 0], np.where(again, 2.0, 1.0))
    assert np.array_equal(rows.values[:10_000, 1], np.where(again, 0.5, order))
    ages = np.where(again, 0, (DAY - order) // 1000)
    assert np.array_equal(rows.age_ms, [*ages, -1, DAY // 1000])
    assert rows.state[10_000].tolist() == [MISSING, MISSING]
    assert rows.values[10_001].tolist() == [1.0, -1.0]


def test_wide_keyed_vocabularies() -> None:
    kernels = Kernels(
        catalog(
            agg.count("n", by="word", vocabulary=WORDS, window="1h"),
            agg.decayed("affinity", of=2.0, by="word", vocabulary=WORDS[::-1], half_life="1h"),
            agg.distinct("words", of="word", vocabulary=WORDS[:130]),
        )
    )
    sent = [0, 63, 64, 65, 127, 128, 129, 130, 199, 199]
    rows = [row(n, word=WORDS[i]) for n, i in enumerate(sent)]
    rows += [row(20), row(21, word="no word of ours"), row(22, word="")]
    kernels.apply(rows)
    values = answer(kernels, HOUR)
    assert values[:200] == [float(sent.count(i)) for i in range(200)]
    for place, value in enumerate(values[200:400]):
        assert value == pytest.approx(sent.count(199 - place), rel=1e-6)
    assert values[400:] == [7.0]


def test_ties_are_broken_by_value_whatever_the_order() -> None:
    features = (
        agg.first("first", of="value"),
        agg.last("last", of="value"),
        agg.last_k("latest", of="value", k=4),
        agg.last("word", of="word", vocabulary=WORDS),
    )
    rows = [
        row(0, "a", value=3.0, word="word-9"),
        row(0, "b", value=-3.0, word="word-30"),
        row(0, "c", value=0.0),
    ]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        kernels = Kernels(catalog(*features))
        kernels.apply([rows[i] for i in order])
        assert answer(kernels, 0) == [-3.0, 3.0, 3.0, 0.0, -3.0, "missing", 30.0]


def test_time_to_live_and_age() -> None:
    kernels = Kernels(catalog(agg.count("all"), COUNT_LAST, ttl="2h"))
    kernels.apply([row(0), row(3 * HOUR + 1999)])
    now = 3 * HOUR + 1999
    assert answer(kernels, now + 2 * HOUR) == [2.0, 1.0]
    assert answer(kernels, now + 2 * HOUR + 1) == ["expired", "expired"]
    ages = [kernels.state.read(["ada"], START + at).age_ms.item() for at in (0, now, now + 1999)]
    assert ages == [0, 0, 1]
    assert answer(kernels, 0, "nobody") == ["missing", "missing"]


def test_reading_nobody_and_applying_nothing() -> None:
    kernels = Kernels(catalog(COUNT_NOW, COUNT_LAST))
    assert kernels.state.read([], START).values.shape == (0, 2)
    kernels.apply([row(0)])
    assert kernels.apply([]) == []
    assert answer(kernels, 0) == [1.0, "missing"]


def test_a_duplicate_moves_the_log_position_on_and_nothing_else() -> None:
    """Whoever sent it again waits for its later position."""
    kernels = Kernels(catalog(COUNT_NOW, COUNT_LAST))
    kernels.apply([row(0, "a"), row(1, "b")])
    state, words = kernels.state, kernels.plan.words
    header = words + kernels.plan.header
    before = state.rows.u64[words : 2 * words].copy()
    state.encode_changes(b"p:")
    state.take_changes()
    assert kernels.apply([row(0, "a")]) == [DUPLICATE]
    after = state.rows.u64[words : 2 * words].copy()
    assert (before[kernels.plan.header + 3], after[kernels.plan.header + 3]) == (1, 2)
    after[kernels.plan.header + 3] = 1
    assert after.tolist() == before.tolist()
    assert (state.unpublished, state.unlogged) == (1, 1)
    state.encode_changes(b"p:")
    kernels.position = 0  # a log that is read again
    assert kernels.apply([row(0, "a")]) == [DUPLICATE]
    assert (state.rows.u64[header + 3], state.unpublished) == (2, 0)
