"""Effective events of an asymptotic sequence: the same wherever rewards have their zero."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest

from nextbest.learners.off_policy import AsymptoticSequence

OFFSETS = [0.0, 0.1, 100.0, -1e4, 1e6, 1e7]


def rewards(rate: float, n: int = 2000, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < rate).astype(float)


def events_of(y: np.ndarray, parts: int = 1) -> float:
    """The effective events of rewards that so many workers counted."""
    workers = [AsymptoticSequence() for _ in range(parts)]
    for i, worker in enumerate(workers):
        worker.update(y[i::parts])
    for other in workers[1:]:
        workers[0].merge(other)
    return workers[0].effective_events


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("rate", [0.002, 0.4])
@pytest.mark.parametrize("parts", [1, 3])
def test_they_are_those_of_the_rewards_less_any_number(
    offset: float, rate: float, parts: int
) -> None:
    y = rewards(rate)
    p = y.mean()
    expected = len(y) * p * (1 - p) / ((1 - p) ** 3 + p**3)
    assert events_of(y + offset, parts) == pytest.approx(min(expected, len(y)), rel=1e-6)


def test_rare_outcomes_on_a_large_number_do_not_start_a_sequence() -> None:
    sequence = AsymptoticSequence()
    sequence.update(10_000.0 + rewards(0.002))
    assert sequence.effective_events < 10.0
    assert sequence.interval() == (-math.inf, math.inf)


@pytest.mark.parametrize("offset", OFFSETS)
def test_rewards_that_are_all_the_same_count_each(offset: float) -> None:
    for parts in (1, 2, 7):
        assert events_of(np.full(900, offset), parts) == pytest.approx(900.0)


def test_workers_that_began_with_different_rewards_count_together() -> None:
    y = np.concatenate([[5.0], rewards(0.3, 300), [-7.0], rewards(0.1, 500, seed=1)]) + 1e5
    whole, one, other = AsymptoticSequence(), AsymptoticSequence(), AsymptoticSequence()
    whole.update(y)
    one.update(y[:301])
    other.update(y[301:])
    assert one.origin != other.origin
    empty = AsymptoticSequence()
    empty.merge(other)
    assert empty.effective_events == other.effective_events
    one.merge(other)
    assert one.effective_events == pytest.approx(whole.effective_events, rel=1e-9)


def test_a_snapshot_from_before_there_was_an_origin_goes_on() -> None:
    y = rewards(0.1, 600)
    values = asdict(AsymptoticSequence())
    powers = {f"r{k}": float((y[:400] ** k).sum()) for k in (1, 2, 3, 4)}
    mean = float(y[:400].mean())
    squares = float(((y[:400] - mean) ** 2).sum())
    values |= {"n": 400, "mean": mean, "squares": squares, "w2": 400.0, "w4": 400.0} | powers
    values.pop("origin", None)
    again = AsymptoticSequence(**values)
    again.update(y[400:])
    assert again.effective_events == pytest.approx(events_of(y))
