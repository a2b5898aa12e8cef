"""The verdict: given when it is due, and refused with a reason when it is not."""

import math

import numpy as np
import pytest

from nextbest.learners import LearnerError
from nextbest.learners.off_policy import Log, Rules, Sample, evaluate, judge, overlap
from nextbest.learners.off_policy.report import METHODS

RATES = np.array([0.1, 0.2, 0.4])
BETTER, WORSE, SAME = [[0.0, 0.1, 0.9]], [[0.9, 0.1, 0.0]], [[1 / 3] * 3]
every_method = pytest.mark.parametrize("method", METHODS)


def log(n, seed=1, behaviour=(1 / 3, 1 / 3, 1 / 3), rates=RATES):
    rng = np.random.default_rng(seed)
    arms = rng.choice(3, size=n, p=behaviour)
    rewards = (rng.random(n) < np.asarray(rates)[arms]).astype(float)
    return Log(arms, rewards, np.tile(behaviour, (n, 1)))


@every_method
@pytest.mark.parametrize(
    ("target", "verdict"),
    [(BETTER, "better"), (WORSE, "worse"), (SAME, "cannot tell")],
    ids=["better", "worse", "same"],
)
def test_the_verdict_is_the_truth(method, target, verdict):
    report = evaluate(log(6000), target, method=method)
    assert report.verdict == verdict
    truth = float(np.dot(np.array(target), RATES)[0])
    assert report.estimate.value == pytest.approx(truth, abs=0.03)
    assert report.estimate.name == "snips"
    assert report.gain == pytest.approx(report.estimate.value - report.logged)
    assert report.method == method


@every_method
def test_a_model_is_used_for_the_value(method):
    report = evaluate(log(6000), BETTER, q=[RATES], method=method)
    assert report.estimate.name == "dr"
    assert report.verdict == "better"


@every_method
def test_a_small_difference_is_not_told(method):
    report = evaluate(log(1000, rates=[0.2, 0.2, 0.2]), BETTER, method=method)
    assert report.verdict == "cannot tell"


def test_why_it_cannot_tell_is_said():
    report = evaluate(log(6000), SAME)
    assert report.reasons == ("the interval of the gain holds 0",)
    assert "cannot tell: the interval of the gain holds 0" in str(report)
    few = evaluate(log(400), BETTER, method="asymptotic")
    assert few.verdict == "cannot tell"
    assert few.reasons == ("too little was seen for an interval",)


def test_no_verdict_on_too_few_effective_decisions():
    rare = log(3000, behaviour=(0.49, 0.49, 0.02))
    report = evaluate(rare, [[0.0, 0.0, 1.0]])
    assert report.overlap.effective < 100
    assert report.verdict == "cannot tell"
    assert "decisions of the target, 100 are needed" in report.reasons[0]
    lax = evaluate(rare, [[0.0, 0.0, 1.0]], rules=Rules(min_effective=10))
    assert not any("are needed" in reason for reason in lax.reasons)


def test_no_verdict_on_what_was_never_logged():
    report = evaluate(log(6000, behaviour=(0.5, 0.5, 0.0)), [[0.0, 0.8, 0.2]])
    assert report.verdict == "cannot tell"
    assert "20.0% of the target's choices could never be logged, 1.0% is allowed" in report.reasons
    assert any("the mean weight is 0.8" in reason for reason in report.reasons)
    assert "20.0% unsupported" in str(report)


def test_no_verdict_on_missing_arms_even_if_only_chosen_propensities_are_known():
    rng = np.random.default_rng(2)
    arms = rng.integers(0, 2, 6000)
    known = Log(arms, (rng.random(6000) < RATES[arms]).astype(float), np.full(6000, 0.5))
    report = evaluate(known, [[0.0, 0.8, 0.2]])
    assert report.overlap.unsupported is None
    assert report.verdict == "cannot tell"
    assert ["mean weight" in reason for reason in report.reasons] == [True]


def test_no_verdict_on_wrong_propensities():
    true = log(6000)
    wrong = Log(true.arms, true.rewards, true.propensities * 0.8)
    report = evaluate(wrong, BETTER)
    assert report.verdict == "cannot tell"
    assert "the mean weight is 1.2" in report.reasons[0]


def test_an_interval_that_contradicts_itself_is_no_verdict():
    """Weights of 1.5 throughout: more is gained, and more is lost, than one policy can."""
    sample = Sample([1.0, 0.0] * 3000, [0.5] * 6000, [0.75] * 6000)
    report = judge(sample, rules=Rules(mean_weight_slack=1.0))
    assert report.interval.lower > report.interval.upper
    assert report.verdict == "cannot tell"
    assert report.reasons == ("no gain fits the log: the propensities cannot be right",)


@pytest.mark.parametrize("method", ["bernstein", "betting", "asymptotic"])
def test_a_target_that_chose_nothing_of_the_log_is_no_verdict(method):
    report = judge(Sample([1.0] * 500, [0.5] * 500, [0.0] * 500), method=method)
    assert report.verdict == "cannot tell"
    assert report.overlap.effective == 0.0
    assert len(report.reasons) == 2


def test_one_row_is_no_verdict():
    report = judge(Sample([1.0], [0.5], [0.5]))
    assert report.verdict == "cannot tell"
    assert report.overlap.mean_error == math.inf


def test_the_same_policy_is_neither_better_nor_worse_in_200_logs():
    """Verdicts by the default method, each log looked at three times: at most alpha are wrong."""
    wrong = 0
    for seed in range(200):
        whole = log(1200, seed, behaviour=(0.6, 0.2, 0.2), rates=[0.1, 0.1, 0.1])
        sample = whole.under([[0.2, 0.2, 0.6]])
        for n in (300, 600, 1200):
            part = Sample(sample.rewards[:n], sample.behaviour[:n], sample.target[:n])
            if judge(part, rules=Rules(min_effective=20)).verdict != "cannot tell":
                wrong += 1
                break
    assert wrong / 200 <= 0.05


def test_overlap_is_what_its_definitions_say():
    w = np.array([0.0, 0.5, 1.0, 4.5])
    found = overlap(Sample([0.0] * 4, [0.2] * 4, w * 0.2))
    assert found.n == 4
    assert found.effective == pytest.approx(6.0**2 / (0.25 + 1.0 + 20.25))
    assert found.mean == pytest.approx(1.5)
    assert found.mean_error == pytest.approx(np.std(w, ddof=1) / 2.0)
    assert found.largest == pytest.approx(4.5)
    assert found.largest_share == pytest.approx(0.75)
    assert found.quantiles == pytest.approx(np.quantile(w, [0.5, 0.9, 0.99, 0.999]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate(log(10), BETTER, method="magic"), "method must be one of bernstein"),
        (lambda: evaluate(log(10), BETTER, alpha=2.0), "alpha must be in"),
        (lambda: evaluate(log(10), [[0.5, 0.5]]), "target has 2 arms, the log 3"),
        (lambda: judge(Sample([7.0], [0.5], [0.5])), r"row 0: reward must be in \[0\.0, 1\.0\]"),
        (lambda: Rules(min_effective=math.nan), "min_effective must be at least 0"),
        (lambda: Rules(max_unsupported=-0.1), "max_unsupported must be at least 0"),
    ],
    ids=["method", "alpha", "arms", "range", "rule-nan", "rule-negative"],
)
def test_what_cannot_be_judged_is_refused(call, message):
    with pytest.raises(LearnerError, match=message):
        call()
