"""``regret``: a segment of one against one model for all, one for each, and epsilon-greedy."""

from __future__ import annotations

import numpy as np

from nextbest.learners import BayesianRanker, SegmentOfOne
from nextbest.learners.arm_weights import Expert
from tests.learners.worlds import epsilon_greedy, narrow, of_one, person_only, shared_only, world

from .harness import Result

ARMS = [f"arm{i}" for i in range(5)]
LAWS = {
    "differ": {"segment": 0.7, "person": 0.7},
    "persons": {"person": 1.0},
    "alike": {},
}
POLICIES = ("shared", "person", "epsilon", "ours")


def run(*, quick: bool) -> Result:
    """Mean regret by policy in worlds of a known law; see the module's text.

    All but epsilon-greedy, which has our model, sample with half the standard deviation.
    """
    seeds, visits = (3, 2000) if quick else (10, 10_000)
    found = {name: _regrets(law, seeds, visits) for name, law in LAWS.items()}
    differ = dict(zip(POLICIES, found["differ"].mean(axis=0), strict=True))
    return Result(
        "regret",
        figures={
            f"ratio_{name}": differ[name] / differ["ours"]
            for name in ("shared", "person", "epsilon")
        },
        detail={
            "seeds": seeds,
            "visits": visits,
            "persons": visits // 100,
            **{
                f"{law}_{name}": f"{mean:.4f} ± {spread:.4f}"
                for law, rows in found.items()
                for name, mean, spread in zip(
                    POLICIES, rows.mean(axis=0), rows.std(axis=0), strict=True
                )
            },
        },
    )


def _regrets(law: dict[str, float], seeds: int, visits: int) -> np.ndarray:
    rows = []
    for seed in range(seeds):
        there = world(seed, persons=visits // 100, arms=len(ARMS), visits=visits, **law)
        rows.append(
            (
                shared_only(there, _shared, narrow),
                person_only(there, _shared, narrow),
                of_one(there, SegmentOfOne(_shared(), ["region"]), epsilon_greedy),
                of_one(there, SegmentOfOne(_shared(), ["region"]), narrow),
            )
        )
    return np.array(rows)


def _shared() -> BayesianRanker:
    return BayesianRanker(ARMS, experts=[Expert(1.0, 0.0)])
