"""A plain verdict on a policy, from the log of another one, and why it may not be given."""

import math
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

from ..errors import LearnerError
from .bounded import BernsteinSequence, BettingSequence
from .coverage import Overlap, overlap
from .estimators import Estimate, dr, ips, snips
from .resampling import Interval, bootstrap
from .sample import Log, Sample
from .sequences import AsymptoticSequence

Verdict = Literal["better", "worse", "cannot tell"]
Method = Literal["bernstein", "betting", "asymptotic", "percentile", "bca"]
METHODS = ("bernstein", "betting", "asymptotic", "percentile", "bca")


@dataclass(frozen=True, slots=True)
class Rules:
    """When a log is fit for a verdict.

    Parameters
    ----------
    min_effective
        The least effective sample size.
    max_unsupported
        The largest share of the target's choices that the logged policy could never make.
    mean_weight_errors, mean_weight_slack
        The mean weight may be away from 1 by so many of its standard errors, plus the slack.
    """

    min_effective: float = 100.0
    max_unsupported: float = 0.01
    mean_weight_errors: float = 4.0
    mean_weight_slack: float = 0.01

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) >= 0.0:
                raise LearnerError(f"{name} must be at least 0, got {getattr(self, name)}")

    def objections(self, found: Overlap) -> list[str]:
        """Return what speaks against a verdict, in words; empty if nothing does."""
        against = []
        if found.effective < self.min_effective:
            against.append(
                f"the log is worth {found.effective:.0f} decisions of the target, "
                f"{self.min_effective:g} are needed"
            )
        if found.unsupported is not None and found.unsupported > self.max_unsupported:
            against.append(
                f"{found.unsupported:.1%} of the target's choices could never be logged, "
                f"{self.max_unsupported:.1%} is allowed"
            )
        allowed = self.mean_weight_slack + self.mean_weight_errors * found.mean_error
        if not abs(found.mean - 1.0) <= allowed:
            against.append(
                f"the mean weight is {found.mean:.3f} and should be 1 within {allowed:.3f}: "
                "propensities are wrong, or arms of the target are missing"
            )
        return against


@dataclass(frozen=True, slots=True)
class Report:
    """What a log says of a target policy.

    Attributes
    ----------
    verdict
        ``better`` or ``worse`` than the policy that made the log, or ``cannot tell``.
    reasons
        Why, in words.
    estimate
        The target's value, with the estimator's name.
    logged
        The mean reward of the log.
    gain
        ``estimate.value - logged``.
    interval
        Where the gain lies, with probability 1 - alpha.
    method, alpha
        Of the interval.
    overlap
        How far the log covers the target.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    estimate: Estimate
    logged: float
    gain: float
    interval: Interval
    method: Method
    alpha: float
    overlap: Overlap

    def __str__(self) -> str:
        return (
            f"{self.verdict}: {'; '.join(self.reasons)}\n"
            f"target {self.estimate.value:.4g} ({self.estimate.name}), logged {self.logged:.4g}, "
            f"gain {self.gain:+.4g}, "
            f"{100.0 * (1.0 - self.alpha):.4g}% interval "
            f"[{self.interval.lower:.4g}, {self.interval.upper:.4g}] ({self.method})\n"
            f"{self.overlap}"
        )


def evaluate(
    log: Log,
    target: ArrayLike,
    q: ArrayLike | None = None,
    *,
    alpha: float = 0.05,
    method: Method = "bernstein",
    low: float = 0.0,
    high: float = 1.0,
    rules: Rules | None = None,
    seed: int = 0,
) -> Report:
    """Return whether a target policy would have done better than the one that made the log.

    Parameters
    ----------
    log
        The decisions.
    target, q
        The target's probabilities, and a model's rewards, of every arm; as in `Log.under`.
    alpha
        The probability of a wrong verdict, in (0, 1).
    method
        Of the interval around the gain. ``bernstein`` and ``betting`` hold at any length, and
        at all lengths together, for rewards in [low, high]; they weigh the rewards alone.
        ``asymptotic`` holds at all lengths once there is enough data. ``percentile`` and
        ``bca`` are bootstraps: they hold for one look, at a length chosen beforehand.
    low, high
        The range of a reward, for the first two.
    rules
        When the log is fit for a verdict; None for the defaults.
    seed
        Of a bootstrap.

    Returns
    -------
    The value is by `dr` with a model, else by `snips`.

    Raises
    ------
    LearnerError
        If the target or the model does not fit the log, a setting is out of range, or a reward
        is outside of its range.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> arms = rng.integers(0, 2, 2000)
    >>> rewards = (rng.random(2000) < np.where(arms == 1, 0.4, 0.1)).astype(float)
    >>> log = Log(arms, rewards, propensities=np.full(2000, 0.5))
    >>> report = evaluate(log, target=[[0.1, 0.9]])
    >>> print(report)
    better: the whole interval of the gain is above 0
    target 0.3746 (snips), logged 0.258, gain +0.1166, 95% interval [0.08695, 0.1667] (bernstein)
    2000 rows worth 1230 (61.5%), weights: mean 1.011, median 1.8, 99% 1.8, largest 1.8
    """
    return judge(
        log.under(target, q),
        alpha=alpha,
        method=method,
        low=low,
        high=high,
        rules=rules,
        seed=seed,
    )


def judge(
    sample: Sample,
    *,
    alpha: float = 0.05,
    method: Method = "bernstein",
    low: float = 0.0,
    high: float = 1.0,
    rules: Rules | None = None,
    seed: int = 0,
) -> Report:
    """Return the verdict of `evaluate`, from a sample; parameters and errors are the same."""
    if method not in METHODS:
        raise LearnerError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    found = overlap(sample)
    objections = (Rules() if rules is None else rules).objections(found)
    estimate = _estimate(sample)
    gain = estimate.minus(sample.rewards)
    interval = _interval(sample, gain, method, alpha, low, high, seed)
    verdict: Verdict = "cannot tell"
    if objections:
        reasons = tuple(objections)
    elif interval.lower > interval.upper:
        reasons = ("no gain fits the log: the propensities cannot be right",)
    elif interval.lower > 0.0:
        verdict, reasons = "better", ("the whole interval of the gain is above 0",)
    elif interval.upper < 0.0:
        verdict, reasons = "worse", ("the whole interval of the gain is below 0",)
    elif math.isinf(interval.upper):
        reasons = ("too little was seen for an interval",)
    else:
        reasons = ("the interval of the gain holds 0",)
    logged = float(sample.rewards.mean())
    return Report(verdict, reasons, estimate, logged, gain.value, interval, method, alpha, found)


def _estimate(sample: Sample) -> Estimate:
    if sample.expected is not None:
        return dr(sample)
    # Without any weight there is nothing to normalise; the rules object to such a log.
    return snips(sample) if sample.weights.any() else ips(sample)


def _interval(
    sample: Sample, gain: Estimate, method: Method, alpha: float, low: float, high: float, seed: int
) -> Interval:
    if method in ("percentile", "bca"):
        return bootstrap(gain, alpha=alpha, seed=seed, method=method)
    if method == "asymptotic":
        asymptotic = AsymptoticSequence(alpha)
        asymptotic.update(gain.contributions)
        return asymptotic.interval()
    kind = BernsteinSequence if method == "bernstein" else BettingSequence
    sequence = kind(alpha, low, high, difference=True)
    sequence.update(sample.rewards, sample.weights)
    return sequence.interval()
