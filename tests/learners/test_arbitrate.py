"""Choosing by worth in one step is what a policy does with what was made relative."""

import math

import numpy as np
import pytest

from nextbest.learners.base import Belief
from nextbest.learners.kernels import arbitrate, squarecb
from nextbest.learners.policies import Budget, ControlGroup, EpsilonGreedy, Greedy, Policy, SquareCB


def naive_relative(worths, eligible):
    best = max(w for w, can in zip(worths, eligible, strict=True) if can)
    out = []
    for w, can in zip(worths, eligible, strict=True):
        if not can:
            out.append(0.0)
        elif w == best:
            out.append(1.0)
        else:
            out.append(max(0.0, 1.0 - (best - w) / abs(best)) if best else 0.0)
    return out


CASES = {
    "positive": [0.2, 0.1, 0.19, 0.0],
    "mixed": [5.0, -3.0, 4.0, 1e-9],
    "negative": [-1.0, -1.5, -9.0, -1.0],
    "best-is-nothing": [0.0, -1.0, 0.0, -1e-9],
    "huge": [1e300, 5e299, -1e300, 0.0],
}


@pytest.mark.parametrize("case", CASES)
def test_relative_worths_are_those_of_the_definition(case):
    worths, eligible = np.array(CASES[case]), np.array([True, True, True, False])
    for mask in (eligible, ~eligible, np.ones(4, np.bool_)):
        out = np.empty(4)
        arbitrate.relative(worths, mask, out)
        assert out.tolist() == naive_relative(worths.tolist(), mask.tolist())


@pytest.mark.parametrize("unit", [0.01, 1.0, 250.0])
def test_the_unit_of_worth_plays_no_part(unit):
    worths, eligible = np.array([0.5, 0.25, 0.375]), np.ones(3, np.bool_)
    out = np.empty(3)
    arbitrate.relative(unit * worths, eligible, out)
    assert out.tolist() == pytest.approx([1.0, 0.5, 0.75])


def test_worth_is_what_is_wanted_of_an_arm_less_its_cost():
    chances = np.array([[0.5, 0.25], [0.1, 1.0]])
    gains = np.array([[10.0, 4.0], [-5.0, 2.0]])
    out = np.empty(2)
    arbitrate.worth(
        chances,
        gains,
        np.array([1.0, 0.0]),
        np.array([2.0, 1.0]),
        np.array([1.0, 3.0]),
        np.array([0.5, 0.0]),
        out,
    )
    # 2 * (1 + 10 * .5 - 5 * .1) - .5 and 3 * (4 * .25 + 2)
    assert out.tolist() == [10.5, 9.0]


@pytest.mark.parametrize(
    ("lever", "boost", "expected"),
    [(0.0, math.inf, -1.0), (1e6, math.inf, 1e100 - 1.0), (1.0, 0.0, -1.0)],
    ids=["no-lever", "endless", "no-boost"],
)
def test_no_factor_makes_a_worth_that_is_none(lever, boost, expected):
    out = np.empty(1)
    one = np.ones(1)
    arbitrate.worth(np.ones((1, 1)), np.ones((1, 1)), 0.0 * one, lever * one, boost * one, one, out)
    assert out[0] == expected


POLICIES = {
    "squarecb": (SquareCB(5.0, 0.0, 1.0), arbitrate.SQUARECB, 5.0),
    "epsilon": (EpsilonGreedy(0.2), arbitrate.EPSILON, 0.2),
    "greedy": (Greedy(), arbitrate.GREEDY, 0.0),
}
LIMITS = {"free": (0.0, 1.0), "floor": (0.05, 1.0), "budget": (0.0, 0.1), "both": (0.02, 0.3)}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("name", POLICIES)
def test_one_step_chooses_as_the_policy_bit_for_bit(name, limit):
    explorer, method, strength = POLICIES[name]
    floor, share = LIMITS[limit]
    policy = Policy(explorer, floor=floor, budget=Budget(share) if share < 1.0 else None)
    rng = np.random.default_rng(5)
    for _ in range(200):
        k = int(rng.integers(1, 12))
        worths = rng.normal(size=k).round(int(rng.integers(1, 4)))
        eligible = rng.random(k) < 0.7
        draw = float(rng.random())
        relatives, chances = np.empty(k), np.empty(k)
        arm = arbitrate.pick(
            worths, eligible, method, strength, floor, share, draw, relatives, chances
        )
        if not eligible.any():
            assert arm == -1
            continue
        belief = Belief(relatives, np.zeros(k), relatives)
        expected = policy.propensities(belief, eligible)
        assert chances.tolist() == expected.tolist()
        assert arm == squarecb.sample(expected, draw)
        assert math.fsum(chances) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("fixed", [(), ("c",), ("nobody", "e", "a")], ids=["any", "one", "some"])
def test_a_control_group_gets_what_the_policy_gives_it(fixed):
    arms, group = tuple("abcdef"), ControlGroup(1.0, fixed=fixed)
    places = np.array([arms.index(name) for name in fixed if name in arms], np.int64)
    rng = np.random.default_rng(3)
    for _ in range(100):
        eligible, draw = rng.random(6) < 0.5, float(rng.random())
        found, expected = np.zeros(6), np.zeros(6)
        arm = arbitrate.by_lot(eligible, places, draw, found)
        if not eligible.any():
            assert arm == -1
            continue
        group.write(arms, eligible, expected)
        assert found.tolist() == expected.tolist()
        assert arm == squarecb.sample(expected, draw)


@pytest.mark.parametrize("lot", [False, True], ids=["policy", "control"])
@pytest.mark.parametrize("method", [arbitrate.SQUARECB, arbitrate.EPSILON, arbitrate.GREEDY])
@pytest.mark.parametrize("wanted", [0, 1, 3, 9])
def test_ranking_is_worth_and_one_pick_after_the_other(method, wanted, lot):
    rng = np.random.default_rng(wanted)
    k, models = 7, 2
    chances, prices = rng.random((models, k)), rng.random((models + 3, k))
    boosts, eligible = rng.random(k), rng.random(k) < 0.7
    numbers = rng.integers(0, 2**62, wanted)
    settings = 0.3, 0.02, 0.5
    worths, kept, picks = np.empty(k), np.empty((1 + models) * k), np.empty((wanted, 3))
    fixed = np.array([1])
    found, tried = arbitrate.rank(
        chances, prices, boosts, eligible, method, *settings, lot, fixed, 5, numbers, worths, kept,
        picks,
    )  # fmt: skip

    expected = np.empty(k)
    arbitrate.worth(chances, prices[:2], prices[2], prices[3], boosts,
                    prices[4], expected)  # fmt: skip
    assert worths.tolist() == expected.tolist()
    logged = [expected, *chances]
    n = int(eligible.sum())
    assert kept[: 3 * n].tolist() == [x for row in logged for x in row[eligible].tolist()]
    left, relatives, propensities = eligible.copy(), np.empty(k), np.empty(k)
    assert found == min(wanted, n)
    others = []
    for i in range(found):
        draw = squarecb.uniform(5, numbers[i])
        if lot:
            place = arbitrate.by_lot(left, fixed, draw, propensities)
        else:
            place = arbitrate.pick(expected, left, method, *settings, draw, relatives, propensities)
        others.append(expected[place] < expected[left].max())
        assert picks[i].tolist() == [place, propensities[place], draw]
        left[place] = False
    assert tried == any(others)
