"""The demo's data: order, shape, counts, arms; the features of its decisions; its references."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nextbest.flows.demo import journey
from nextbest.flows.demo.baselines import BestConstant, RandomPolicy, RiverPerArm

STARTS, PURCHASES, CHECKOUTS = "basket_start", "purchase", "checkout"


@pytest.fixture(scope="module")
def events():
    return journey.build_events()


@pytest.fixture(scope="module")
def small():
    return journey.build_events(limit_baskets=200)


def of_type(events, kind):
    return events.filter(pc.equal(events["type"].cast(pa.string()), kind))


def test_the_columns_and_their_types(small):
    text, word = pa.string(), pa.dictionary(pa.int32(), pa.string())
    assert small.schema == pa.schema(
        [
            ("event_id", text),
            ("event_timestamp", pa.timestamp("us", tz="UTC")),
            ("customer_id", text),
            ("type", word),
            ("channel", word),
            ("basket_id", text),
            ("category", word),
            ("value", pa.float64()),
            ("quantity", pa.float64()),
            *((name, word) for name in journey.CONTEXTS),
        ]
    )


def test_the_counts_of_the_whole_year(events):
    counts = {row["values"]: row["counts"] for row in pc.value_counts(events["type"]).to_pylist()}
    assert counts == {STARTS: 155_659, PURCHASES: 1_469_111, CHECKOUTS: 155_659}
    assert pc.count_distinct(events["customer_id"]).as_py() == 2_469
    assert pc.count_distinct(events["event_id"]).as_py() == events.num_rows
    assert pc.sum(pc.is_valid(events["category"])).as_py() == 1_462_262
    assert events.nbytes < 1_000_000_000


def test_times_never_decrease_for_a_household_nor_in_the_log(events):
    time = events["event_timestamp"].cast(pa.int64()).to_numpy()
    assert (np.diff(time) >= 0).all()


def test_baskets_follow_one_another_whole(events):
    kind = events["type"].cast(pa.string()).to_numpy()
    basket = events["basket_id"].to_numpy()
    start, end = kind == STARTS, kind == CHECKOUTS
    changes = np.append(True, basket[1:] != basket[:-1])
    assert (start == changes).all()
    assert (end == np.roll(changes, -1)).all()
    starts = of_type(events, STARTS).select(["event_timestamp", "basket_id"])
    keys = list(
        zip(
            starts["event_timestamp"].cast(pa.int64()).to_pylist(),
            map(int, starts["basket_id"].to_pylist()),
            strict=True,
        )
    )
    assert keys == sorted(keys)
    assert len(set(keys)) == 155_659


def test_a_basket_reads_as_it_was_bought(small):
    rows = [row for row in small.to_pylist() if row["basket_id"] == "31198705046"]
    assert [row["type"] for row in rows] == [STARTS, *[PURCHASES] * (len(rows) - 2), CHECKOUTS]
    assert [row["event_id"] for row in rows[:3]] == [
        "b:31198705046",
        "p:31198705046:0",
        "p:31198705046:1",
    ]
    assert rows[-1]["event_id"] == "c:31198705046"
    assert {row["customer_id"] for row in rows} == {"906"}
    assert [row["value"] for row in rows[1:4]] == [1.50, 2.78, 5.49]
    assert rows[-1]["value"] == pytest.approx(math.fsum(row["value"] for row in rows[1:-1]))
    assert rows[-1]["quantity"] == sum(row["quantity"] for row in rows[1:-1])
    assert rows[0]["event_timestamp"].isoformat() == "2017-01-01T12:30:27+00:00"
    assert (rows[0]["hour_bin"], rows[0]["weekday"], rows[0]["month"]) == ("12-16h", "Sunday", "01")


def test_context_is_on_basket_starts_only_and_never_missing_there(events):
    starts = of_type(events, STARTS)
    for name in journey.CONTEXTS:
        assert starts[name].null_count == 0
        assert events[name].null_count == events.num_rows - starts.num_rows
    moment = starts["event_timestamp"]
    hours = pc.hour(moment).to_numpy() // 4 * 4
    assert starts["hour_bin"].to_pylist() == [f"{h:02d}-{h + 4:02d}h" for h in hours]
    days = pc.day_of_week(moment).to_pylist()
    assert starts["weekday"].to_pylist() == [journey.WEEKDAYS[day] for day in days]
    assert [int(month) for month in starts["month"].to_pylist()] == pc.month(moment).to_pylist()
    unknown = pc.sum(pc.equal(starts["age"].cast(pa.string()), "unknown")).as_py()
    assert unknown == 73_963


def test_demographics_are_those_of_the_household(small):
    people = {
        row["customer_id"]: tuple(row[name] for name in ("age", "income", "household_size", "kids"))
        for row in of_type(small, STARTS).to_pylist()
    }
    assert people["900"] == ("35-44", "35-49K", "2", "0")
    assert people["1228"] == ("45-54", "100-124K", "1", "0")


@pytest.mark.parametrize("baskets", [0, 1, 37])
def test_a_limit_gives_the_first_baskets(small, baskets):
    few = journey.build_events(limit_baskets=baskets)
    assert few.to_pylist() == small.slice(0, few.num_rows).to_pylist()
    assert of_type(few, STARTS).num_rows == of_type(few, CHECKOUTS).num_rows == baskets


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="-1"):
        journey.build_events(limit_baskets=-1)


def test_a_shift_keeps_the_weekday_and_the_hour(small):
    shifted = journey.build_events(limit_baskets=200, shift_weeks=52)
    delta = pc.subtract(shifted["event_timestamp"], small["event_timestamp"])
    assert {d.days for d in pc.unique(delta).to_pylist()} == {364}
    same = ["event_id", "value", "category", "hour_bin", "weekday", "age"]
    assert shifted.select(same).to_pylist() == small.select(same).to_pylist()


def test_the_arms_and_what_they_could_earn(events):
    arms = journey.categories()
    assert len(set(arms)) == 30
    assert arms[0] == "BEEF"
    bought = of_type(events, PURCHASES).select(["basket_id", "category"])
    pairs = bought.filter(pc.is_in(bought["category"].cast(pa.string()), pa.array(arms)))
    pairs = pairs.group_by(["basket_id", "category"]).aggregate([])
    assert pairs.num_rows / (30 * 155_659) == pytest.approx(0.0770, abs=5e-5)
    held = pc.value_counts(pairs["category"].cast(pa.string())).to_pylist()
    ranked = [row["values"] for row in sorted(held, key=lambda row: -row["counts"])]
    assert tuple(ranked) == arms
    assert max(row["counts"] for row in held) / 155_659 == pytest.approx(0.1327, abs=5e-5)
    assert pc.count_distinct(pairs["basket_id"]).as_py() / 155_659 == pytest.approx(
        0.7455, abs=5e-5
    )


def test_action_features_are_their_formulas():
    rng = np.random.default_rng(3)
    af, nb, days = rng.exponential(3, (3, 30)), rng.exponential(20, 3), rng.exponential(20, 30)
    out = journey.action_features(af, nb, days)
    share = np.log((af + 0.3) / (nb[:, None] + 4.0)) + 2.5
    expected = np.vstack([np.log1p(af), share, np.exp(-days / 7.0)]).T
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
    assert out.shape == (30, len(journey.ACTION_FEATURES))
    assert len(set(journey.ACTION_FEATURES)) == len(journey.ACTION_FEATURES)


def test_action_features_of_an_unknown_household_are_those_of_no_purchases():
    nothing = journey.action_features(np.zeros((3, 30)), np.zeros(3), np.full(30, np.inf))
    unknown = journey.action_features(
        np.full((3, 30), np.nan), np.full(3, np.nan), np.full(30, np.nan)
    )
    assert unknown.tolist() == nothing.tolist()
    assert np.isfinite(unknown).all()


def test_action_features_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 30\)"):
        journey.action_features(np.zeros((3, 30)), np.zeros(2), np.zeros(30))


def decide(policy, n=3000):
    """Rewards depend on the customer: each likes one arm of four only."""
    for i in range(n):
        customer = i % 4
        arm = policy.choose({"hour": "am" if i % 2 else "pm"}, str(customer))
        if isinstance(policy, BestConstant):
            policy.learn_all([float(a == min(customer, 2)) for a in range(4)])
        else:
            policy.learn(float(arm == min(customer, 2)))
    return policy.mean_reward


def test_the_references_earn_what_they_should():
    assert decide(RandomPolicy(4, seed=1)) == pytest.approx(0.25, abs=0.04)
    assert decide(BestConstant(4)) == pytest.approx(0.5)
    assert decide(RiverPerArm(4, seed=1)) > 0.9


def test_the_references_choose_the_same_again():
    assert decide(RandomPolicy(4, seed=2), 200) == decide(RandomPolicy(4, seed=2), 200)
    assert decide(RiverPerArm(4, seed=2), 200) == decide(RiverPerArm(4, seed=2), 200)


def test_a_reward_without_a_choice_is_refused():
    with pytest.raises(RuntimeError, match="choose"):
        RiverPerArm(4).learn(1.0)
