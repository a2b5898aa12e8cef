"""Confidence sequences as objects: their twins, merging, snapshots, order, errors."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import LearnerError
from nextbest.learners.off_policy import AsymptoticSequence, BernsteinSequence, BettingSequence
from tests.naive import sequences as naive

KINDS = [AsymptoticSequence, BernsteinSequence, BettingSequence]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def stream(n, seed):
    rng = np.random.default_rng(seed)
    weights = rng.choice([0.0, 0.5, 2.0, 4.0], size=n, p=[0.3, 0.4, 0.2, 0.1])
    return (rng.random(n) < 0.4).astype(float), weights


@pytest.mark.parametrize("difference", [False, True], ids=["value", "gain"])
def test_the_asymptotic_interval_equals_its_twin(difference):
    rewards, weights = stream(2000, 1)
    sequence = AsymptoticSequence(0.1, difference, tightest_at=700)
    sequence.update(rewards, weights)
    values = (weights * rewards - difference * rewards).tolist()
    assert sequence.interval() == pytest.approx(naive.naive_asymptotic(values, 0.1, 700))


@pytest.mark.parametrize(
    ("kind", "capital"),
    [
        (BernsteinSequence, naive.naive_bernstein_capital),
        (BettingSequence, naive.naive_betting_capital),
    ],
    ids=["bernstein", "betting"],
)
@pytest.mark.parametrize("difference", [False, True], ids=["value", "gain"])
@given(seed=st.integers(0, 1000), n=st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_the_ends_are_where_the_capital_of_the_twin_reaches_its_limit(
    kind, capital, difference, seed, n
):
    rewards, weights = stream(n, seed)
    sequence = kind(0.1, difference=difference)
    sequence.update(rewards, weights)
    lower, upper = sequence.interval()
    gained = (weights - difference) * rewards + difference
    lost = (weights - difference) * (1.0 - rewards) + difference
    for values, mean in ((gained, lower + difference), (lost, 1.0 - upper)):
        if mean > 0.0:
            assert capital(values, mean * (1.0 - 1e-6)) >= 20.0  # refuted, as the interval says
        # Not much more could be refuted: the ends are not rounded far outwards.
        assert capital(values, max(mean * 1.1, 0.12 if difference else 2e-6)) < 20.0


def split(kind, rewards, weights, parts):
    workers = [kind() for _ in range(parts)]
    for i, worker in enumerate(workers):
        worker.update(rewards[i::parts], weights[i::parts])
    for other in workers[1:]:
        workers[0].merge(other)
    return workers[0]


@every_kind
def test_merging_is_counting_together_in_any_order(kind):
    rewards, weights = stream(1500, 2)
    whole = kind()
    whole.update(rewards, weights)
    for parts in (2, 7):
        merged = split(kind, rewards, weights, parts)
        assert merged.n == whole.n
        assert merged.interval() == pytest.approx(whole.interval(), abs=1e-9)


@every_kind
def test_one_at_a_time_is_all_at_once(kind):
    rewards, weights = stream(600, 3)
    whole, single = kind(), kind()
    whole.update(rewards, weights)
    for reward, weight in zip(rewards.tolist(), weights.tolist(), strict=True):
        single.update(reward, weight)
    assert single.interval() == pytest.approx(whole.interval(), abs=1e-9)


@every_kind
def test_an_empty_other_changes_nothing(kind):
    sequence = kind()
    sequence.update(*stream(800, 4))
    before = sequence.interval()
    sequence.merge(kind())
    assert sequence.interval() == before


@pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.__name__)
def test_a_snapshot_of_plain_numbers_continues(kind):
    rewards, weights = stream(900, 5)
    whole, half = kind(), kind()
    whole.update(rewards, weights)
    half.update(rewards[:400], weights[:400])
    assert all(type(value) in (int, float, bool) for value in asdict(half).values())
    again = kind(**asdict(half))
    again.update(rewards[400:], weights[400:])
    assert again.interval() == pytest.approx(whole.interval(), abs=1e-12)


def test_a_snapshot_of_capitals_continues():
    rewards, weights = stream(900, 6)
    half = BettingSequence(0.1, low=-1.0, high=2.0, difference=True)
    half.update(rewards[:400], weights[:400])
    again = BettingSequence.from_bytes(half.to_bytes())
    for sequence in (half, again):
        sequence.update(rewards[400:], weights[400:])
    assert again.interval() == half.interval()
    assert again.to_bytes() == half.to_bytes()
    with pytest.raises(LearnerError, match="damaged"):
        BettingSequence.from_bytes(half.to_bytes()[:-9] + b"123456789")


@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda kind: kind.__name__)
def test_a_range_of_rewards_is_only_a_scale(kind):
    rewards, weights = stream(400, 7)
    unit, wide = kind(difference=True), kind(low=-10.0, high=30.0, difference=True)
    unit.update(rewards, weights)
    wide.update(rewards * 40.0 - 10.0, weights)
    assert wide.interval() == pytest.approx([40.0 * end for end in unit.interval()])
    value, scaled = kind(), kind(low=-10.0, high=30.0)
    value.update(rewards, weights)
    scaled.update(rewards * 40.0 - 10.0, weights)
    assert scaled.interval() == pytest.approx([40.0 * end - 10.0 for end in value.interval()])


def test_before_it_knows_anything_an_interval_is_all_that_is_possible():
    assert AsymptoticSequence().interval() == (-math.inf, math.inf)
    for kind in KINDS[1:]:
        assert kind(low=-1.0, high=3.0).interval() == (-1.0, 3.0)
        assert kind(low=-1.0, high=3.0, difference=True).interval() == (-4.0, 4.0)


def test_the_asymptotic_one_waits_for_events():
    sequence = AsymptoticSequence()
    sequence.update([1.0] + [0.0] * 999)
    assert sequence.interval() == (-math.inf, math.inf)
    assert sequence.effective_events == pytest.approx(1.0, abs=0.01)
    sequence.update([1.0] * 60)
    assert sequence.effective_events > 50.0
    assert 0.0 < sequence.interval().lower < 61 / 1060 < sequence.interval().upper < 0.2
    heavy = AsymptoticSequence()
    heavy.update([1.0, 0.0] * 500, [100.0] * 10 + [1.0] * 990)
    assert heavy.effective_events == pytest.approx(10.0, rel=0.25)
    assert heavy.interval() == (-math.inf, math.inf)


@every_kind
@pytest.mark.parametrize(
    ("rewards", "weights", "message"),
    [
        ([0.5, math.nan], None, "row 1: reward"),
        ([0.5, math.inf], None, "row 1: reward"),
        ([0.5, 0.5], [1.0, -1.0], "row 1: weight"),
        ([0.5, 0.5], [math.nan, 1.0], "row 0: weight"),
        ([0.5, 0.5], [1.0, 1e13], "row 1: weight"),
        ([0.5, 0.5], [1.0], "2 rewards but 1 values of weight"),
        ([], None, "no reward"),
        ([[0.5]], None, "one-dimensional"),
        ([0.5, 1e60], None, "row 1: reward"),
    ],
)
def test_what_cannot_be_counted_is_refused_and_not_counted(kind, rewards, weights, message):
    sequence = kind()
    with pytest.raises(LearnerError, match=message):
        sequence.update(rewards, weights)
    assert sequence.n == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: BernsteinSequence().update([0.5, 1.5]),
            r"row 1: reward must be in \[0\.0, 1\.0\]",
        ),
        (lambda: BettingSequence(low=0.0, high=0.4).update(0.5), "row 0: reward must be in"),
        (lambda: BernsteinSequence(low=1.0, high=1.0), "low must be less than high"),
        (lambda: BettingSequence(high=math.inf), "low must be less than high"),
        (lambda: BettingSequence(alpha=0.0), r"alpha must be in \(0, 1\)"),
        (lambda: BernsteinSequence(alpha=math.nan), r"alpha must be in \(0, 1\)"),
        (lambda: AsymptoticSequence(alpha=1.0), r"alpha must be in \(0, 1\)"),
        (lambda: AsymptoticSequence(start=1), "start at least 2"),
        (lambda: AsymptoticSequence(tightest_at=0), "tightest_at must be at least 1"),
        (lambda: AsymptoticSequence(events=0.0), "events positive"),
        (lambda: AsymptoticSequence().merge(AsymptoticSequence(0.1)), "merge alpha 0.05 and 0.1"),
        (lambda: BernsteinSequence().merge(BernsteinSequence(high=2.0)), "merge high"),
        (lambda: BettingSequence().merge(BettingSequence(difference=True)), "merge difference"),
    ],
    ids=[
        "beyond",
        "beyond-betting",
        "no-range",
        "infinite-range",
        "alpha-0",
        "alpha-nan",
        "alpha-1",
        "start",
        "tightest",
        "events",
        "merge-alpha",
        "merge-high",
        "merge-difference",
    ],
)
def test_settings_that_do_not_fit_are_refused(call, message):
    with pytest.raises(LearnerError, match=message):
        call()
