"""Older versions, several offers and the control group: each is judged for what it is."""

import numpy as np
import pytest

from nextbest.flows.decision.control_check import chance_by_lot
from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.evaluating import Evaluator
from tests.flows.decision.evaluate_cases import BETTER, CATALOG, TRUTH, logged, strategy

OLD = strategy()
SLATES = logged(1500, wanted=3)[0]
CONTROLLED = strategy(("exploration:", "control: {share: 0.3}\nexploration:"), ("0.9", "0.5"))


def came(records, seed=1, by=TRUTH):
    """What came of all offers: less, the lower they stood."""
    rng = np.random.default_rng(seed)
    return [
        [
            {"accept": float(rng.random() < by[offer.action] * 0.8**rank)}
            for rank, offer in enumerate(record.offers)
        ]
        for record in records
    ]


def evaluated(loaded, records, rewards, own=None):
    evaluator = Evaluator(Engine(loaded, CATALOG))
    for record, (first, *below) in zip(records, rewards, strict=True):
        evaluator.take(record, first, below=below, own=own)
    return evaluator.finish()


def test_offers_below_the_first_are_judged_rank_by_rank():
    rewards = came(SLATES)
    found = evaluated(BETTER, SLATES, rewards)
    assert (found.judged, found.several) == (1500, 1500)
    assert [one.rank for one in found.positions] == [1, 2]
    would = logged(1500, by=BETTER, wanted=3, seed=7)[0]
    for one in found.positions:
        rank, report = one.rank, one.report
        truth = np.mean([TRUTH[record.offers[rank].action] * 0.8**rank for record in would])
        assert report.logged == pytest.approx(np.mean([r[rank]["accept"] for r in rewards]))
        assert abs(report.estimate.value - truth) < 5 * report.estimate.standard_error
        assert report.gain < 0.0  # the best of the actions stands first
    same = evaluated(OLD, SLATES, rewards)
    for one in same.positions:
        assert one.report.gain == pytest.approx(0.0, abs=1e-9)
        assert one.report.overlap.effective == pytest.approx(1500)


def test_an_offer_that_is_still_open_ends_what_is_known_of_an_answer():
    rewards = came(SLATES[:200])
    for i, each in enumerate(rewards):
        each[1:] = [{}, each[2]] if i % 2 else [each[1], {"accept": None}]
    found = evaluated(OLD, SLATES[:200], rewards)
    assert [(one.rank, one.report.overlap.n) for one in found.positions] == [(1, 100)]


def test_an_older_version_is_read_by_its_own_text():
    records = logged(600)[0]
    rewards = came(records)
    text = "accept: {response: accept, window: 1m"
    wider = strategy((text, text + ", range: [0, 2]"))
    found = evaluated(wider, records, rewards, OLD.strategy)
    plain = evaluated(OLD, records, rewards, OLD.strategy)
    # A share of 1 of the older range is a half of the wider one: what it is worth stays.
    assert found.verdicts[0].report.logged == pytest.approx(plain.verdicts[0].report.logged)
    assert found.verdicts[1].report.logged == pytest.approx(plain.verdicts[1].report.logged / 2)
    assert found.versions == {OLD.version: 600}
    assert found.notes == {}
    longer = strategy(("window: 1m", "window: 2m"))
    found = evaluated(longer, records, rewards, OLD.strategy)
    assert found.notes == {"when 'accept' was another event or window: counted as it was then": 600}
    unknown = evaluated(longer, records, rewards)
    assert list(unknown.notes.values()) == [600]
    assert "whose text is not kept" in next(iter(unknown.notes))


def test_a_decision_is_open_as_long_as_its_own_version_says():
    record = logged(1)[0][0]
    longer = strategy(("window: 1m", "window: 2m"))
    for own, judged in ((OLD.strategy, 1), (None, 0)):
        evaluator = Evaluator(Engine(longer, CATALOG))
        evaluator.take(record, {"accept": 1.0}, record.at + 90_000_000, own=own)
        evaluator.take(record, {"accept": 1.0}, own=own)
        assert evaluator.finish().judged == 1 + judged


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("caps: [{most: 1, per: 1h}]", "caps that reach back further"),
        ("cool_downs: [{after: refuse, pause: 7d}]", "a cool-down after 'refuse'"),
    ],
    ids=["cap", "cool-down"],
)
def test_rules_for_which_no_contacts_were_kept_stop_the_verdict(change, named):
    records = logged(300)[0]
    better = (("pot: {", "pot: {lever: 3, "), ("0.9", "0.2"))
    stricter = strategy(*better, ("exploration:", f"{change}\nexploration:"))
    found = evaluated(stricter, records, came(records), OLD.strategy)
    assert found.unseen == {named: 300}
    assert found.verdict == "cannot tell"
    assert f"because it has {named}, for which the strategies of the log" in found.sentence()
    kept = evaluated(BETTER, records, came(records), stricter.strategy)
    assert kept.unseen == {}


def test_a_control_group_shows_whether_the_log_can_be_relied_on():
    records = logged(1500, by=CONTROLLED)[0]
    found = evaluated(CONTROLLED, records, came(records)).check
    assert found.said == "agrees"
    assert found.decisions == sum(record.control for record in records)
    assert found.earned == pytest.approx(1 / 3, abs=0.06)
    assert abs(found.foretold - 1 / 3) < 4 * found.foretold_error
    assert found.effective > 300

    better = came(records, by=dict.fromkeys(TRUTH, 0.9))  # outcomes of some get lost
    rewards = [
        lost if record.control else all_
        for record, lost, all_ in zip(records, came(records), better, strict=True)
    ]
    found = evaluated(CONTROLLED, records, rewards)
    assert found.check.said == "differs"
    assert found.verdict == "cannot tell"
    assert "because the log contradicts itself: its control group earned" in found.sentence()
    few = evaluated(CONTROLLED, records[:40], came(records[:40])).check
    assert few.said == "too few"
    assert evaluated(OLD, SLATES[:50], came(SLATES[:50])).check is None


def test_the_control_group_gets_the_first_of_its_actions():
    record = next(record for record in logged(50)[0] if record.offers[0].action == "mug")
    fixed = strategy(("exploration:", "control: {share: 0.1, actions: [mug]}\nexploration:"))
    assert chance_by_lot(record, fixed.strategy) == 1.0
    assert chance_by_lot(record, CONTROLLED.strategy) == pytest.approx(1 / 3)
