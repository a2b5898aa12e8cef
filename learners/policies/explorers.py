"""Ways to explore: from a belief about K arms to the exact propensity of each."""

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import Belief
from ..checks import within
from ..errors import LearnerError
from ..kernels import explore, squarecb, thompson

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Explorer(ABC):
    """What turns a belief about K arms into the probabilities of choosing them.

    Explorers keep no state, and their attributes are their settings: the propensities are a
    function of the belief, the eligible arms and the decision's number alone. Of arms that are
    equal in the explorer's eyes, none comes first: where one would be chosen, equal ones share its
    probability (but for `SquareCB`, where the first of equal best arms gets the rest).
    """

    def propensities(self, belief: Belief, eligible: Bools, decision: int = 1) -> Floats:
        """Return the exact probability that each arm is chosen.

        Parameters
        ----------
        belief
            float64[K] each.
        eligible
            bool[K], the arms that may be chosen.
        decision
            The number of the decision, from 1.

        Returns
        -------
        float64[K], which sums to 1 and is 0 where an arm is not eligible.

        Raises
        ------
        LearnerError
            If no arm is eligible, shapes differ, an eligible arm's belief is not finite or no
            probability, or the decision's number is below 1.

        Examples
        --------
        >>> belief = Belief(np.array([-1.0, 0.5]), np.array([0.4, 0.1]), np.array([0.28, 0.62]))
        >>> EpsilonGreedy(0.1).propensities(belief, np.array([True, True])).round(3).tolist()
        [0.05, 0.95]
        """
        check(belief, eligible)
        if decision < 1:
            raise LearnerError(f"decisions are numbered from 1, got {decision}")
        out = np.empty(eligible.shape[0])
        self.write(belief, eligible, decision, out)
        return out

    @abstractmethod
    def write(self, belief: Belief, eligible: Bools, decision: int, out: Floats) -> None:
        """Write the propensities to `out`; like `propensities`, but nothing is checked."""

    @property
    def settings(self) -> dict[str, Any]:
        """The kind of explorer and its parameters, as JSON can hold them."""
        values = asdict(self) if is_dataclass(self) else dict(vars(self))
        named = {k: "inf" if v == math.inf else v for k, v in values.items()}
        return {"kind": type(self).__name__, **named}


def check(belief: Belief, eligible: Bools) -> None:
    """Refuse what no explorer can use.

    Raises
    ------
    LearnerError
        As `Explorer.propensities`.
    """
    shape = eligible.shape
    if eligible.ndim != 1 or eligible.dtype != np.bool_:
        raise LearnerError(f"eligible must be bool[K], got {eligible.dtype}{list(shape)}")
    for name, part in zip(belief._fields, belief, strict=True):
        if part.shape != shape:
            raise LearnerError(f"{name} must be float64{list(shape)}, got {list(part.shape)}")
    if not eligible.any():
        raise LearnerError("no arm is eligible")
    bad = explore.unusable(belief.mean, belief.variance, belief.probability, eligible)
    if bad >= 0:
        raise LearnerError(
            f"belief of arm {bad} cannot be used: mean {belief.mean[bad]}, variance "
            f"{belief.variance[bad]}, probability {belief.probability[bad]}"
        )


@dataclass(frozen=True)
class Uniform(Explorer):
    """Every eligible arm alike: what a control group gets, and the clearest data to learn from."""

    def write(self, belief: Belief, eligible: Bools, decision: int, out: Floats) -> None:
        """As `Explorer.write`."""
        explore.equal(eligible, out)


@dataclass(frozen=True)
class Greedy(Explorer):
    """The arm of the highest predicted probability of reward, always."""

    def write(self, belief: Belief, eligible: Bools, decision: int, out: Floats) -> None:
        """As `Explorer.write`."""
        explore.top(belief.probability, eligible, out)


@dataclass(frozen=True)
class EpsilonGreedy(Explorer):
    """The best arm, but with probability epsilon one of the eligible arms, all alike.

    Parameters
    ----------
    epsilon
        In [0, 1], of the first decision.
    exponent
        How it falls: in decision t it is `epsilon * t**-exponent`; 0 keeps it.

    Raises
    ------
    LearnerError
        If a setting is out of range.
    """

    epsilon: float = 0.05
    exponent: float = 0.0

    def __post_init__(self) -> None:
        within("epsilon", self.epsilon, 0.0, 1.0)
        within("exponent", self.exponent, 0.0, 10.0)

    def write(self, belief: Belief, eligible: Bools, decision: int, out: Floats) -> None:
        """As `Explorer.write`."""
        epsilon = self.epsilon * decision**-self.exponent
        explore.epsilon_greedy(belief.probability, eligible, epsilon, out)


@dataclass(frozen=True)
class SquareCB(Explorer):
    """Inverse gap weighting: the worse an arm looks, the less often it is tried.

    In decision t, of E eligible arms, one whose predicted probability of reward is `g` below
    the best one's is chosen with probability `1 / (E + gamma * t**exponent * g / unit)`, the best
    one otherwise.

    Parameters
    ----------
    gamma
        Strength of exploitation, positive; `inf` is greedy (the first of equal best arms).
    exponent
        Growth of gamma with the number of decisions; 0.5 is the theory's.
    scale
        Unit of a gap, a reward in (0, 1], for example the average reward. None, the default,
        takes the best arm's predicted probability of this decision, so that gaps are
        relative: an arm that is predicted a tenth worse than the best counts the same at a base
        rate of 0.5 % as at one of 15 %, and multiplying all predictions by a number changes no
        propensity. 1.0 is the form of the paper, and what `ActionRanker` does: at a best
        prediction of 0.2 its gamma of 1000 is one of 200 here.

    Raises
    ------
    LearnerError
        If a setting is out of range.

    Examples
    --------
    >>> rare = np.array([0.0050, 0.0045, 0.0025])
    >>> arms = np.ones(3, np.bool_)
    >>> for p in (rare, 30 * rare):
    ...     belief = Belief(np.log(p / (1 - p)), np.full(3, 0.1), p)
    ...     print(SquareCB(gamma=100.0).propensities(belief, arms).round(4).tolist())
    [0.9042, 0.0769, 0.0189]
    [0.9042, 0.0769, 0.0189]

    References
    ----------
    Foster and Rakhlin (2020), "Beyond UCB: optimal and efficient contextual bandits with
    regression oracles", section 3. Foster and Krishnamurthy (2021), "Efficient first-order
    contextual bandits: prediction, allocation, and triangular discrimination", section 3, for
    relative gaps.
    """

    gamma: float = 200.0
    exponent: float = 0.5
    scale: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.gamma <= math.inf:
            raise LearnerError(f"gamma must be positive, got {self.gamma}")
        within("exponent", self.exponent, 0.0, 10.0)
        if self.scale is not None and not 0.0 < self.scale <= 1.0:
            raise LearnerError(f"scale must be in (0, 1] or None, got {self.scale}")

    def write(self, belief: Belief, eligible: Bools, decision: int, out: Floats) -> None:
        """As `Explorer.write`."""
        gamma = self.gamma * decision**self.exponent
        if gamma == math.inf:
            squarecb.probabilities(belief.probability, eligible, gamma, out)
        else:
            explore.inverse_gap(belief.probability, eligible, gamma, self.scale or 0.0, out)


@dataclass(frozen=True)
class LinUCB(Explorer):
    """The arm of the highest upper bound: mean plus alpha deviations, of the logit.

    Deterministic: of arms with exactly equal bounds each is as likely, any other has propensity
    0. So that what is logged can be learned from without bias, give the policy a floor.

    Parameters
    ----------
    alpha
        Deviations above the mean, not negative.

    Raises
    ------
    LearnerError
        If alpha is out of range.

    References
    ----------
    Li, Chu, Langford and Schapire (2010), "A contextual-bandit approach to personalized news
    article recommendation", section 3; here the bound is of a logit.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        within("alpha", self.alpha, 0.0, 1e6)

    def write(self, belief: Belief, eligible: Bools, decision: int, out: Floats) -> None:
        """As `Explorer.write`."""
        explore.upper(belief.mean, belief.variance, eligible, self.alpha, out)


@dataclass(frozen=True)
class Thompson(Explorer):
    """Each arm as often as it is the best, as far as is known: probability matching.

    An arm's propensity is the probability that its logit is the highest, where arms are
    independent Gaussians `N(mean, width² variance)`. It is integrated numerically (see the kernel
    `thompson`) and the arm is then drawn from exactly these numbers: the propensities are
    those of the draw to the last bit, and within `accuracy` of what sampling every logit once and
    taking the highest would give. What arms share (an intercept) is uncertain in all of them
    alike; taken as independent it makes for more exploration, which `width` corrects.

    Parameters
    ----------
    width
        Factor of the deviations, positive.
    accuracy
        Bound of the sum over arms of the errors of the integral, in [1e-6, 0.01]. The time
        grows with its inverse square root. Arms that are the best less often than about 1e-9 have
        propensity 0.

    Raises
    ------
    LearnerError
        If a setting is out of range.

    Examples
    --------
    >>> belief = Belief(np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.5, 0.7]))
    >>> Thompson().propensities(belief, np.array([True, True])).round(3).tolist()
    [0.159, 0.841]

    References
    ----------
    Thompson (1933), "On the likelihood that one unknown probability exceeds another in view of
    the evidence of two samples".
    """

    width: float = 1.0
    accuracy: float = 1e-3

    def __post_init__(self) -> None:
        if not 0.0 < self.width <= 1e3:
            raise LearnerError(f"width must be in (0, 1000], got {self.width}")
        within("accuracy", self.accuracy, 1e-6, 0.01)

    def write(self, belief: Belief, eligible: Bools, decision: int, out: Floats) -> None:
        """As `Explorer.write`."""
        mean, variance, _ = belief
        thompson.propensities(mean, variance, eligible, self.width, self.accuracy, out)
