"""Regret where the law is known: pooling wins where persons differ, else it costs nothing."""

import numpy as np
import pytest

from nextbest.learners import SegmentOfOne
from tests.learners.worlds import PlainArms, of_one, person_only, shared_only, world

ARMS = [f"arm{i}" for i in range(4)]
SEEDS = range(3)


def regrets(**law):
    """Mean regret by policy, one row a seed: shared only, person only, segment of one."""
    rows = []
    for seed in SEEDS:
        there = world(seed, persons=40, arms=len(ARMS), visits=3000, **law)
        one = SegmentOfOne(PlainArms(ARMS), ["region"])
        rows.append(
            (
                shared_only(there, lambda: PlainArms(ARMS)),
                person_only(there, lambda: PlainArms(ARMS)),
                of_one(there, one),
            )
        )
    return np.array(rows).mean(axis=0)


@pytest.mark.parametrize(
    "law", [{"person": 1.0}, {"segment": 0.7, "person": 0.7}], ids=["persons", "segments-too"]
)
def test_where_persons_differ_it_beats_one_for_all_and_one_for_each(law):
    shared, person, one = regrets(**law)
    assert one < 0.95 * shared
    assert one < 0.95 * person


def test_where_persons_are_alike_it_costs_next_to_nothing():
    shared, person, one = regrets()
    assert one - shared < 0.1 * (person - shared)
