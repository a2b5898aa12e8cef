"""The gain over a control group of few customers: how sure it is, and what a title says of it."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from nextbest.flows.monitor import learning
from nextbest.flows.monitor.charts import learning as charts
from nextbest.flows.monitor.decided import Decided
from nextbest.flows.monitor.intervals import Mean, clustered_mean, difference, mean_of_groups


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 299])
@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.001])
def test_the_interval_of_a_mean_is_students_to_all_digits(freedom: int, alpha: float) -> None:
    y = np.random.default_rng(freedom).random(freedom + 1)
    found = clustered_mean(y, np.arange(freedom + 1), alpha=alpha)
    plain = stats.t.interval(1 - alpha, freedom, y.mean(), stats.sem(y))
    assert (found.low, found.high) == pytest.approx(plain, rel=1e-9)
    assert found.freedom == freedom


@pytest.mark.parametrize("sizes", [(5, 5), (150, 6), (9, 4000)], ids=str)
def test_the_interval_of_a_difference_is_welchs(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    one, other = (rng.normal(0.3, scale, n) for scale, n in zip((0.1, 0.3), sizes, strict=True))
    found = difference(*(mean_of_groups(y, np.ones(len(y))) for y in (one, other)))
    welch = stats.ttest_ind(one, other, equal_var=False)
    assert (found.low, found.high) == pytest.approx(tuple(welch.confidence_interval()))
    assert found.freedom == pytest.approx(welch.df)


@pytest.mark.parametrize(("a", "b"), [(4.0, 16.0), (1.0, 49.0)])
@pytest.mark.parametrize("control", [2, 3, 5, 10])
def test_a_gain_that_there_is_not_is_rarely_claimed(a: float, b: float, control: int) -> None:
    """Rewards of 20%, and rare ones, which none of the control customers may have had."""
    rng = np.random.default_rng(control)
    claims, runs = 0, 200
    for _ in range(runs):
        gap = learning.gap(_decided(rng, a, b, control), "accept")
        assert gap is not None
        claims += gap.gain.low > 0.0 or gap.gain.high < 0.0
    assert claims / runs <= 0.12


def test_a_gain_that_there_is_can_be_seen_with_five_control_customers() -> None:
    table = _decided(np.random.default_rng(1), 90.0, 10.0, 5).table
    reward = table["reward.accept"].to_numpy().copy()
    control = np.array(table["group"].to_pylist()) == "control"
    reward[control] = np.arange(control.sum()) % 10 == 0
    found = Decided(
        table.set_column(table.column_names.index("reward.accept"), "reward.accept", [reward]),
        ("accept",), True,
    )  # fmt: skip
    assert "a gain of +0." in _title(found)


def test_a_title_says_that_there_are_too_few_customers() -> None:
    rng = np.random.default_rng(3)
    assert "too few customers to say how sure" in _title(_decided(rng, 40.0, 60.0, 4))
    assert "too few customers" not in _title(_decided(rng, 40.0, 60.0, 5))


def test_too_few_customers_on_either_side_are_not_compared() -> None:
    many, few = Mean(0.5, 0.4, 0.6, 0.05, 300.0), Mean(0.3, 0.2, 0.4, 0.05, 3.0)
    for found in (difference(many, few), difference(few, many)):
        assert abs(found.value) == pytest.approx(0.2)
        assert math.isnan(found.low)
        assert math.isnan(found.high)


@pytest.mark.parametrize("reward", [0.0, 0.3])
def test_groups_whose_customers_are_all_alike_are_not_known_to_be_so(reward: float) -> None:
    rows = [("learned", i, 0.5 + reward) for i in range(40)]
    rows += [("control", i % 6, reward) for i in range(35)]
    table = pa.table(
        {
            "at": list(range(len(rows))),
            "customer": [f"{group}-{i}" for group, i, _ in rows],
            "group": [group for group, *_ in rows],
            "reward.accept": [reward for *_, reward in rows],
        }
    )
    gap = learning.gap(Decided(table, ("accept",), True), "accept")
    assert gap is not None
    assert gap.control.value == pytest.approx(reward)
    assert gap.gain.low < 0.2 < 0.8 < gap.gain.high


def _decided(rng: np.random.Generator, a: float, b: float, control: int) -> Decided:
    """Decisions of 150 customers and a few of the control group, each with a rate of its own."""
    people = 150 + control
    counts = rng.poisson(10, people) + 1
    who = np.repeat(np.arange(people), counts)
    reward = rng.random(len(who)) < np.repeat(rng.beta(a, b, people), counts)
    table = pa.table(
        {
            "at": np.arange(len(who)),
            "customer": [f"c{w}" for w in who],
            "group": ["control" if w < control else "learned" for w in who],
            "reward.accept": reward.astype(float),
        }
    )
    return Decided(table, ("accept",), True)


def _title(found: Decided) -> str:
    course, gap = learning.course(found, "accept"), learning.gap(found, "accept")
    title = charts.learning_curve(course, gap, "accept", "day").to_dict()["title"]["text"]
    return " ".join(title) if isinstance(title, list) else str(title)
