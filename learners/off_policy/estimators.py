"""Estimators of what a policy would have earned on a log of another one.

With weights ``w = target / behaviour``, rewards ``r``, and of a model the reward ``q`` of the
logged arm and ``v`` under the target, they are means over the n rows:

| estimator | formula |
|---|---|
| `ips` | ``mean(w r)`` |
| `snips` | ``sum(w r) / sum(w)`` |
| `dm` | ``mean(v)`` |
| `dr` | ``mean(v + w (r - q))`` |
| `sndr` | ``mean(v) + sum(w (r - q)) / sum(w)`` |
| `switch_dr` | ``mean(v + w 1{w <= threshold} (r - q))`` |
| `dros` | ``mean(v + s w / (w**2 + s) (r - q))`` |

A `clip` replaces the weights by ``min(w, clip)``: less variance for some bias.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import LearnerError
from .sample import Floats, Sample, numbers


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """An estimate, and what every row says to it.

    Attributes
    ----------
    name
        Of the estimator.
    base
        float64[n], what a row adds without a weight.
    correction
        float64[n], what it adds with one.
    norm
        float64[n], by the sum of which the corrections are divided; None for n.
    """

    name: str
    base: Floats
    correction: Floats
    norm: Floats | None = None

    def __post_init__(self) -> None:
        shape = (len(self.base),)
        parts = (self.base, self.correction, *(() if self.norm is None else (self.norm,)))
        if not shape[0] or any(part.shape != shape for part in parts):
            raise LearnerError("the parts of an estimate are of one length, at least 1")

    @property
    def value(self) -> float:
        """The estimate: ``mean(base) + sum(correction) / sum(norm)``."""
        return float(self.base.mean()) + self._ratio()

    @property
    def contributions(self) -> Floats:
        """float64[n] with the mean `value`: of a self-normalised estimator, to first order.

        Their spread is that of the estimate (the influence function, delta method).
        """
        if self.norm is None:
            return self.base + self.correction
        ratio = self._ratio()
        centred: Floats = (self.correction - ratio * self.norm) / self.norm.mean()
        return self.base + ratio + centred

    @property
    def standard_error(self) -> float:
        """The standard error of the estimate, NaN with fewer than two rows."""
        n = len(self.base)
        return float(self.contributions.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan

    def minus(self, rewards: ArrayLike) -> "Estimate":
        """Return the estimate less the mean of `rewards`, float64[n], of the same rows.

        With the logged rewards that is the gain over the policy that made the log; noise which
        both have in common cancels.
        """
        less = numbers("reward", rewards, len(self.base))
        return Estimate(self.name, self.base - less, self.correction, self.norm)

    def _ratio(self) -> float:
        if self.norm is None:
            return float(self.correction.mean())
        return float(self.correction.sum() / self.norm.sum())


def ips(sample: Sample, clip: float = math.inf) -> Estimate:
    """Inverse propensity scoring: unbiased if the log covers the target, of high variance.

    Parameters
    ----------
    sample
        The log as the target sees it.
    clip
        The largest weight; positive.

    References
    ----------
    Horvitz and Thompson (1952), "A generalization of sampling without replacement from a
    finite universe".

    Examples
    --------
    >>> ips(Sample(rewards=[1, 0, 1], behaviour=[0.5, 0.5, 0.25], target=[0.5, 0.25, 1.0])).value
    1.6666666666666667
    """
    return Estimate("ips", np.zeros(len(sample)), _clipped(sample, clip) * sample.rewards)


def snips(sample: Sample, clip: float = math.inf) -> Estimate:
    """Self-normalised inverse propensity scoring: a little bias, far less variance than `ips`.

    Its value stays within the rewards seen, and moves with them if a constant is added.

    Raises
    ------
    LearnerError
        If no row has a weight.

    References
    ----------
    Swaminathan and Joachims (2015), "The self-normalized estimator for counterfactual
    learning", section 4.

    Examples
    --------
    >>> snips(Sample(rewards=[1, 0, 1], behaviour=[0.5, 0.5, 0.25], target=[0.5, 0.25, 1.0])).value
    0.9090909090909091
    """
    weights = _weighed(_clipped(sample, clip))
    return Estimate("snips", np.zeros(len(sample)), weights * sample.rewards, weights)


def dm(sample: Sample) -> Estimate:
    """The direct method: what the model expects, as wrong as the model is.

    Raises
    ------
    LearnerError
        If the sample has no model; so all estimators below.

    References
    ----------
    Dudík, Langford and Li (2011), "Doubly robust policy evaluation and learning", section 2.
    """
    expected, _ = sample.model()
    return Estimate("dm", expected, np.zeros(len(sample)))


def dr(sample: Sample, clip: float = math.inf) -> Estimate:
    """Doubly robust: unbiased if the propensities are right or the model is.

    References
    ----------
    Dudík, Langford and Li (2011), as in `dm`, section 3; Dudík, Erhan, Langford and Li (2014),
    "Doubly robust policy evaluation and optimization".

    Examples
    --------
    >>> dr(Sample([1, 0], [0.5, 0.5], [0.9, 0.1], expected=[0.6, 0.5], predicted=[0.7, 0.2])).value
    0.8
    """
    return _corrected("dr", sample, _clipped(sample, clip))


def sndr(sample: Sample, clip: float = math.inf) -> Estimate:
    """`dr` with weights that are divided by their mean.

    Raises
    ------
    LearnerError
        If there is no model, or no row has a weight.

    References
    ----------
    Kallus and Uehara (2019), "Intrinsically efficient, stable, and bounded off-policy
    evaluation for reinforcement learning"; Thomas and Brunskill (2016), "Data-efficient
    off-policy policy evaluation for reinforcement learning", weighted doubly robust.
    """
    weights = _weighed(_clipped(sample, clip))
    estimate = _corrected("sndr", sample, weights)
    return Estimate("sndr", estimate.base, estimate.correction, weights)


def switch_dr(sample: Sample, threshold: float) -> Estimate:
    """`dr` where the weight is at most `threshold`, `dm` elsewhere.

    Parameters
    ----------
    sample
        The log as the target sees it.
    threshold
        0 is `dm`, infinity `dr`.

    References
    ----------
    Wang, Agarwal and Dudík (2017), "Optimal and adaptive off-policy evaluation in contextual
    bandits", section 3.
    """
    limit = _positive("threshold", threshold, or_zero=True)
    kept = np.where(sample.weights <= limit, sample.weights, 0.0)
    return _corrected("switch_dr", sample, kept)


def dros(sample: Sample, shrinkage: float) -> Estimate:
    """Doubly robust with optimistic shrinkage: large weights ``w`` shrink to ``s w / (w**2 + s)``.

    Parameters
    ----------
    sample
        The log as the target sees it.
    shrinkage
        0 is `dm`, infinity `dr`.

    References
    ----------
    Su, Dimakopoulou, Krishnamurthy and Dudík (2020), "Doubly robust off-policy evaluation with
    shrinkage", section 3.
    """
    s = _positive("shrinkage", shrinkage, or_zero=True)
    weights = sample.weights
    with np.errstate(over="ignore"):
        # As s w / (w**2 + s), but right at the ends too.
        shrunk = np.zeros(len(sample)) if s == 0.0 else weights / (1.0 + weights * weights / s)
    return _corrected("dros", sample, shrunk)


def _corrected(name: str, sample: Sample, weights: Floats) -> Estimate:
    expected, predicted = sample.model()
    return Estimate(name, expected, weights * (sample.rewards - predicted))


def _clipped(sample: Sample, clip: float) -> Floats:
    return np.minimum(sample.weights, _positive("clip", clip))


def _weighed(weights: Floats) -> Floats:
    if not weights.any():
        raise LearnerError("the target chooses none of the logged arms: all weights are 0")
    return weights


def _positive(what: str, value: float, or_zero: bool = False) -> float:
    if not (value > 0.0 or (or_zero and value == 0.0)):
        raise LearnerError(f"{what} must be {'at least 0' if or_zero else 'positive'}, got {value}")
    return float(value)
