"""A strategy is judged by the log of another: rightly where the log can say it, else not at all."""

import msgspec
import numpy as np
import pytest

from nextbest.features import Catalog, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.errors import SettingsError
from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.evaluating import Evaluator
from nextbest.flows.decision.evaluation import SCORE
from nextbest.flows.decision.judging import Judge
from nextbest.flows.decision.loading import load
from tests.flows.decision.evaluate_cases import (
    BETTER,
    CATALOG,
    CERTAIN,
    TEXT,
    TRUTH,
    WORSE,
    logged,
    shop,
    strategy,
)

RECORDS, REWARDS = logged()


def evaluated(loaded, records=RECORDS, rewards=REWARDS, catalog=CATALOG, **settings):
    evaluator = Evaluator(Engine(loaded, catalog))
    for record, reward in zip(records, rewards, strict=True):
        evaluator.take(record, {"accept": reward})
    return evaluator.finish(**settings)


def true_value(loaded):
    """What a strategy earns in truth, over the logged decisions."""
    judge = Judge(Engine(loaded, CATALOG))
    chances = np.array([judge.consider(record).propensities for record in RECORDS])
    return float((chances @ list(TRUTH.values())).mean())


def test_the_strategy_that_made_the_log_earned_what_was_logged():
    found = evaluated(strategy())
    score = found.verdicts[0]
    assert score.report.logged == np.mean(REWARDS)
    assert score.report.gain == pytest.approx(0.0, abs=1e-12)
    for name in ("ips", "snips", "dr", "sndr"):
        assert score.estimates[name].value == pytest.approx(np.mean(REWARDS))
    assert score.report.verdict == "cannot tell"
    assert score.report.overlap.effective == pytest.approx(len(RECORDS))
    assert found.missing == {}
    assert "because it would have chosen as the log did" in found.sentence()
    assert [each.name for each in found.verdicts] == [SCORE, "accept"]


@pytest.mark.parametrize("wanted", [1, 3])
def test_its_propensities_are_those_that_were_logged(wanted):
    made, _ = logged(200, wanted=wanted)
    judge = Judge(Engine(strategy(), CATALOG))
    for record in made:
        first = record.offers[0]
        found = judge.consider(record)
        assert found.propensities[judge.place(first.action)] == first.propensity
        assert found.propensities.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("loaded", "verdict"), [(BETTER, "better"), (WORSE, "worse")], ids=["better", "worse"]
)
@pytest.mark.parametrize("method", ["bernstein", "asymptotic", "percentile"])
def test_the_verdict_is_the_truth(loaded, verdict, method):
    found = evaluated(loaded, method=method)
    score = found.verdicts[0]
    assert score.report.verdict == verdict
    assert found.sentence().lower().startswith(f"{verdict}: it would have earned")
    truth = true_value(loaded)
    for name in ("ips", "snips", "dr", "sndr", "switch_dr", "dros"):
        estimate = score.estimates[name]
        assert abs(estimate.value - truth) < 5 * estimate.standard_error, name
    assert score.report.interval.lower < truth - np.mean(REWARDS) < score.report.interval.upper


def test_few_decisions_say_nothing():
    found = evaluated(BETTER, RECORDS[:60], REWARDS[:60])
    assert found.verdicts[0].report.verdict == "cannot tell"
    assert found.sentence().startswith(
        "Cannot tell whether it is better, because too few of the log's decisions are such as it "
        "would make: they are worth "
    )


def test_what_the_log_could_never_choose_is_said_and_stops_the_verdict():
    certain, rewards = logged(600, by=CERTAIN)
    found = evaluated(WORSE, certain, rewards)
    assert found.verdicts[0].report.verdict == "cannot tell"
    assert list(found.missing) == ["tea", "mug"]
    assert found.missing["tea"] == pytest.approx(0.8 + 0.2 / 3)
    assert "93.3% of what it would choose was never possible" in found.sentence()
    assert "tea (86.7%: another one was certain there), mug (6.7%: another" in found.sentence()
    newer = strategy(("  pot:", "  cup: {channels: [web], lever: 5}\n  pot:"))
    found = evaluated(newer)
    assert list(found.missing) == ["cup"]
    assert found.missing_why == {"cup": "the log's strategy did not have it"}
    assert found.verdicts[0].report.overlap.unsupported == pytest.approx(found.missing["cup"])


def test_offering_nothing_is_a_choice_that_the_log_never_made():
    shut = strategy(("channels: {web: {}}", "channels: {web: {open: visits.views >= 1}}"))
    found = evaluated(shut)
    assert found.missing["(nothing)"] == pytest.approx(0.2)
    assert found.verdicts[0].report.verdict == "cannot tell"


def test_what_cannot_be_judged_is_left_out_and_counted():
    evaluator = Evaluator(Engine(BETTER, CATALOG))
    change = msgspec.structs.replace
    good = RECORDS[0]
    served = change(good.served, values=good.served.values * 2)
    for record, rewards in (
        (good, {"accept": 1.0}),
        (good, {"accept": None}),
        (good, {}),
        (change(good, fallback="no store"), {"accept": 1.0}),
        (change(good, offers=[]), {"accept": 1.0}),
        (change(good, channel="fax"), {"accept": 1.0}),
        (change(good, served=served), {"accept": 1.0}),
        (change(good, contacts=b"junk"), {"accept": 1.0}),
        (change(good, chances={"accept": b"\0" * 5}), {"accept": 1.0}),
        (change(good, offers=[change(good.offers[0], propensity=0.0)]), {"accept": 1.0}),
    ):
        evaluator.take(record, rewards)
    found = evaluator.finish()
    assert found.judged == 1
    assert found.left_out == {
        "damaged, or of another catalog": 4,
        "not delivered": 1,
        "still open: their windows are not over": 1,
        "answered by the fallback": 1,
        "without an offer": 1,
        "on a channel that the strategy has not": 1,
    }


def test_the_score_is_weighted_and_costs_count():
    dear = strategy(("pot: {", "pot: {value: 5, cost: 2, "))
    found = evaluated(dear)
    actions = [record.offers[0].action for record in RECORDS]
    worth = [
        5 * reward - 2 if action == "pot" else reward
        for action, reward in zip(actions, REWARDS, strict=True)
    ]
    assert found.verdicts[0].report.logged == pytest.approx(np.mean(worth))
    assert found.verdicts[1].report.logged == pytest.approx(np.mean(REWARDS))


def test_another_catalog_or_objective_is_told():
    grown = Catalog(
        name="shop",
        views=[
            FeatureView(
                name="visits", source=shop, features=[agg.count("views"), agg.time_since("since")]
            )
        ],
    )
    with pytest.raises(SettingsError, match=r"judged: 3000 damaged, .* the 2 columns there are"):
        evaluated(load(TEXT, grown), catalog=grown)
    sold = strategy(("accept: {response: accept,", "sell: {response: convert,"))
    with pytest.raises(SettingsError, match="judged: 3000 made without the objective 'sell'"):
        evaluated(sold)
