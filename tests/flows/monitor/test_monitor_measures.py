"""What is measured of decisions and features, against plain Python over the same rows."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from nextbest.flows.monitor import learning
from nextbest.flows.monitor.decided import Decided
from nextbest.flows.monitor.drifting import detections, edges_of, stability
from nextbest.flows.monitor.intervals import clustered_mean, wilson
from nextbest.flows.monitor.windows import Windows

DAY = 86_400_000_000
N = 900
GROUPS = ("learned", "control")


def decisions(seed: int = 1) -> Decided:
    """Decisions of ten days by thirty customers; some rewards are not known, some are parts."""
    rng = np.random.default_rng(seed)
    reward = np.where(rng.random(N) < 0.2, 0.5, (rng.random(N) < 0.4).astype(float))
    reward[rng.random(N) < 0.1] = np.nan
    who = rng.integers(30, size=N)
    table = pa.table(
        {
            "at": np.sort(rng.integers(100 * DAY, 110 * DAY, N)),
            "id": [f"d{i}" for i in range(N)],
            "customer": [f"c{w}" for w in who],
            "arm": [("tea", "mug", "pot", "hat")[a] for a in rng.integers(4, size=N)],
            "group": [GROUPS[int(w % 5 == 0)] for w in who],
            "best": rng.random(N) < 0.9,
            "foretold.accept": np.clip(rng.normal(0.4, 0.2, N), 0.01, 0.99),
            "reward.accept": pa.array(reward, from_pandas=True),
        }
    )
    return Decided(table, ("accept",), True)


def test_means_and_losses_by_value_are_those_of_plain_python() -> None:
    found = decisions()
    rows = [row for row in found.table.to_pylist() if row["reward.accept"] is not None]
    told = learning.by_value(found, "accept", "arm").to_pylist()
    counts = Counter(row["arm"] for row in rows)
    assert [one["value"] for one in told] == [name for name, _ in counts.most_common()]
    for one in told:
        own = [row for row in rows if row["arm"] == one["value"]]
        y = [row["reward.accept"] for row in own]
        p = [row["foretold.accept"] for row in own]
        loss = [-(a * math.log(b) + (1 - a) * math.log(1 - b)) for a, b in zip(y, p, strict=True)]
        assert one["n"] == len(own)
        assert one["customers"] == len({row["customer"] for row in own})
        assert one["mean"] == pytest.approx(sum(y) / len(y))
        assert one["foretold"] == pytest.approx(sum(p) / len(p))
        assert one["logloss"] == pytest.approx(sum(loss) / len(loss))
        assert one["low"] < one["mean"] < one["high"]
    few = learning.by_value(found, "accept", "arm", most=2).to_pylist()
    assert [one["value"] for one in few] == [told[0]["value"], learning.OTHERS]
    assert sum(one["n"] for one in few) == len(rows)


def test_the_progressive_course_ends_where_all_decisions_are() -> None:
    found = decisions()
    whole = {one["value"]: one for one in learning.by_value(found, "accept", "group").to_pylist()}
    windows = learning.course(found, "accept", windows=10).to_pylist()
    running = learning.course(found, "accept", windows=10, cumulative=True).to_pylist()
    assert learning.window(found, "accept", 10) == "day"
    for name in GROUPS:
        own = [row for row in windows if row["series"] == name]
        last = [row for row in running if row["series"] == name][-1]
        assert len(own) == 10
        assert sum(row["n"] for row in own) == last["n"] == whole[name]["n"]
        for measure in ("mean", "low", "high", "foretold", "logloss", "customers"):
            assert last[measure] == pytest.approx(whole[name][measure])
        total = sum(row["n"] * row["mean"] for row in own)
        assert total / last["n"] == pytest.approx(last["mean"])
    gap = learning.gap(found, "accept")
    assert gap is not None
    assert gap.gain.value == pytest.approx(whole["learned"]["mean"] - whole["control"]["mean"])
    assert gap.gain.low < gap.gain.value < gap.gain.high
    alone = Decided(found.table.filter(pa.array([False] * N)), ("accept",), True)
    assert learning.gap(alone, "accept") is None
    assert learning.course(alone, "accept").num_rows == 0
    assert learning.calibration(alone, "accept").num_rows == 0


def test_bins_of_calibration_hold_equally_many_and_parts_count_as_parts() -> None:
    found = decisions()
    table = learning.calibration(found, "accept", bins=5)
    rows = sorted(
        (row["foretold.accept"], row["reward.accept"])
        for row in found.table.to_pylist()
        if row["reward.accept"] is not None
    )
    assert sum(table["n"].to_pylist()) == pytest.approx(len(rows))
    for low, high, n, p, y in zip(
        *(table[name].to_pylist() for name in ("from", "to", "n", "foretold", "observed")),
        strict=True,
    ):
        own = [row for row in rows if low <= row[0] <= high]
        assert n == pytest.approx(len(own))
        assert abs(n - len(rows) / 5) <= 2
        assert p == pytest.approx(sum(a for a, _ in own) / len(own))
        assert y == pytest.approx(sum(b for _, b in own) / len(own))
    lot = learning.calibration(found, "accept", group="control")
    own = learning.by_value(found, "accept", "group").to_pylist()
    assert sum(lot["n"].to_pylist()) == pytest.approx(
        next(one["n"] for one in own if one["value"] == "control")
    )
    error = sum(
        n * abs(p - y)
        for n, p, y in zip(
            *(table[name].to_pylist() for name in ("n", "foretold", "observed")), strict=True
        )
    )
    assert learning.calibration_error(table) == pytest.approx(error / len(rows))


def test_shares_of_choices_add_up_in_every_window() -> None:
    found = decisions()
    for table in (learning.exploration(found), learning.choices(found)):
        sums: Counter[object] = Counter()
        for row in table.to_pylist():
            sums[row["at"]] += row["share"]
        assert all(total == pytest.approx(1.0) for total in sums.values())
    explored = sum(
        row["n"] for row in learning.exploration(found).to_pylist() if row["kind"] == "explored"
    )
    rows = found.table.to_pylist()
    assert explored == sum(row["group"] == "learned" and not row["best"] for row in rows)


def test_an_alarm_comes_when_rewards_fall() -> None:
    n = 6000
    reward = np.where(np.arange(n) < 3000, np.arange(n) % 2, np.arange(n) % 20 == 0)
    table = pa.table(
        {
            "at": np.arange(n) + DAY, "customer": [f"c{i % 9}" for i in range(n)],
            "group": ["learned"] * n, "foretold.accept": [0.5] * n,
            "reward.accept": reward.astype(float),
        }
    )  # fmt: skip
    found = learning.alarms(Decided(table, ("accept",), True), "accept")
    assert 3000 < found[0] - DAY < 3300


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Rows of a customer are alike: as if they were not, an interval would be half as wide."""
    rng = np.random.default_rng(4)
    held, places = 0, np.repeat(np.arange(40), 10)
    for _ in range(400):
        own = np.clip(rng.normal(0.5, 0.15, 40), 0.0, 1.0)
        found = clustered_mean(rng.random(400) < own[places], places)
        held += found.low <= 0.5 <= found.high
    assert 0.91 <= held / 400 <= 0.98
    low, high = wilson([0.2], [50])
    exact = stats.binomtest(10, 50).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((exact.low, exact.high))
    two = clustered_mean([1.0, 0.0, 1.0, 0.0, 0.0], [0, 1, 2, 3, 4])
    plain = stats.t.interval(0.95, 4, 0.4, stats.sem([1.0, 0.0, 1.0, 0.0, 0.0]))
    assert (two.low, two.high) == pytest.approx(plain, abs=0.01)


def test_stability_is_the_sum_over_bins_and_stays_in_its_noise() -> None:
    rng = np.random.default_rng(5)
    before, after = rng.normal(size=800), rng.normal(0.7, 1.0, 600)
    after[:60] = np.nan
    found = stability(before, after)
    edges = [-math.inf, *edges_of(before).tolist(), math.inf]
    sizes = []
    for values in (before, after):
        inside = [sum(low <= v < high for v in values.tolist()) for low, high in pairwise(edges)]
        sizes.append([*inside, int(np.isnan(values).sum())])
    k = len(sizes[0])
    p, q = ([(c + 0.5) / (sum(s) + 0.5 * k) for c in s] for s in sizes)
    assert found.psi == pytest.approx(
        sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    )
    assert found.verdict == "drifted"
    noise = stats.chi2.ppf(0.95, k - 1) * (1 / 800 + 1 / 600)
    assert found.noise == pytest.approx(noise, rel=0.01)
    same = [stability(rng.normal(size=500), rng.normal(size=500)) for _ in range(200)]
    assert sum(one.psi > one.noise for one in same) / 200 < 0.12
    assert sum(one.verdict != "stable" for one in same) <= 2
    assert stability(before, after[:0]).verdict == "stable"
    ranks = detections(np.concatenate([before, after + 3.0]), before)
    assert 800 < ranks[0] < 1100


@pytest.mark.parametrize("seconds", [3, 700, 86_400, 4_000_000], ids=str)
def test_windows_begin_on_whole_multiples(seconds: int) -> None:
    at = np.array([7 * DAY + 12_345, 7 * DAY + 12_345 + seconds * 1_000_000])
    cut = Windows.of(at, 30)
    assert 1 <= cut.size <= 30
    assert cut.first % cut.length == 0
    assert cut.places(at).tolist() == [0, cut.size - 1]
