"""A trial of two policies that may be looked at after every pair of outcomes."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from .checks import within
from .errors import LearnerError
from .kernels import trial as kernels
from .off_policy.resampling import Interval

MOST_PAIRS = 1 << 53


class Evidence(NamedTuple):
    """What a trial says so far.

    Attributes
    ----------
    pairs, differing
        How many pairs there were, and how many of them with two different outcomes.
    mean
        Of the differences: the challenger's outcome less the champion's.
    low, high
        The mean lies above `low` at all times with probability 1 - alpha, and so does it below
        `high`.
    log_e
        The natural logarithm of the evidence that the challenger is better.
    alpha
        The trial's level.
    """

    pairs: int
    differing: int
    mean: float
    low: float
    high: float
    log_e: float
    alpha: float


@dataclass(slots=True)
class Trial:
    """Whether a challenger is better than a champion: a confidence sequence of paired outcomes.

    A pair is an outcome of each, in [0, 1]; it gives their difference. If the challenger is not
    better, then `better` is ever true with probability alpha at most, however often one looks and
    whenever one stops. Nothing is asked of the differences but that their mean, given all before,
    is not above 0: rates may change, and so may both policies. Of outcomes that are 0 or 1 only
    the pairs that differ speak, as in McNemar's test.

    `dataclasses.asdict` is the snapshot, the class called with it the way back.

    Parameters
    ----------
    alpha
        The probability of a false "better", and as much of a false "worse", in [1e-12, 0.5].
    pairs, differing, total, squares
        What was counted: pairs, those that differ, the sums of the differences and their squares.

    Raises
    ------
    LearnerError
        If a value is out of range.

    Notes
    -----
    The evidence is what is won by betting a part b of a capital on every difference d, which
    multiplies it by 1 + b d; its logarithm is at least b sum(d) - (-log(1-b) - b) sum(d**2). A
    mixture of parts finds a good one by itself. The limit, 1 / alpha, is Ville's inequality's.

    References
    ----------
    Robbins (1970), "Statistical methods related to the law of the iterated logarithm", for
    mixtures; Fan, Grama and Liu (2015), "Exponential inequalities for martingales with
    applications", for the bound; Waudby-Smith and Ramdas (2024), "Estimating means of bounded
    random variables by betting", section 4. McNemar (1947), "Note on the sampling error of the
    difference between correlated proportions or percentages", for pairs.

    Examples
    --------
    >>> trial = Trial(alpha=0.05)
    >>> for k in range(200):
    ...     trial.update(float(k % 4 > 0), champion=float(k % 2))
    >>> trial.better, [round(end, 2) for end in trial.interval()]
    (True, [0.11, 0.36])
    """

    alpha: float = 0.05
    pairs: int = 0
    differing: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __post_init__(self) -> None:
        within("alpha", self.alpha, 1e-12, 0.5)
        for name, most in (("pairs", MOST_PAIRS), ("differing", self.pairs)):
            value = getattr(self, name)
            if type(value) is not int:
                raise LearnerError(f"{name} must be an int, got {value!r}")
            within(name, value, 0, most)
        within("squares", self.squares, 0.0, self.differing)
        within("total", self.total, -self.differing, self.differing)

    def update(self, challenger: float, champion: float) -> None:
        """Count a pair.

        Parameters
        ----------
        challenger, champion
            Their outcomes, in [0, 1].

        Raises
        ------
        LearnerError
            If one is NaN or out of range; then nothing is counted.
        """
        within("challenger", challenger, 0.0, 1.0)
        within("champion", champion, 0.0, 1.0)
        difference = challenger - champion
        self.pairs += 1
        if difference:
            self.differing += 1
            self.total += difference
            self.squares += difference * difference

    @property
    def log_e(self) -> float:
        """The natural logarithm of the evidence that the challenger is better."""
        return float(kernels.log_evidence(self.pairs, self.total, self.squares, 0.0))

    @property
    def better(self) -> bool:
        """Whether the challenger is proven better, as of now."""
        return self.log_e >= self._limit

    @property
    def worse(self) -> bool:
        """Whether the challenger is proven worse, as of now."""
        return kernels.log_evidence(self.pairs, -self.total, self.squares, 0.0) >= self._limit

    def interval(self) -> Interval:
        """Return where the mean difference lies; its lower end is at least 0 once `better`."""
        low = kernels.lowest_mean(self.pairs, self.total, self.squares, self._limit)
        high = -kernels.lowest_mean(self.pairs, -self.total, self.squares, self._limit)
        return Interval(float(low), float(high))

    def evidence(self) -> Evidence:
        """Return what the trial says so far."""
        mean = self.total / self.pairs if self.pairs else 0.0
        ends = self.interval()
        return Evidence(self.pairs, self.differing, mean, *ends, self.log_e, self.alpha)

    @property
    def _limit(self) -> float:
        return -math.log(self.alpha)


class Pairing:
    """Make pairs of the outcomes of two, each with one as near to it in order as there is.

    What is paired with what depends on the order alone, never on the outcomes.

    Parameters
    ----------
    first
        Whether those that wait are of the first.
    waiting
        Outcomes that have no partner yet, all of one of the two; the oldest beyond `MOST` leave.

    Examples
    --------
    >>> pairing = Pairing()
    >>> [pairing.add(*one) for one in [(True, 1.0), (True, 0.0), (False, 1.0), (False, 0.0)]]
    [None, None, (0.0, 1.0), (1.0, 0.0)]
    """

    MOST = 64

    def __init__(self, first: bool = True, waiting: list[float] | None = None) -> None:
        self.first, self.waiting = bool(first), list(waiting or ())
        for value in self.waiting:
            within("a waiting outcome", value, 0.0, 1.0)

    def add(self, first: bool, outcome: float) -> tuple[float, float] | None:
        """Take in an outcome of the first or the other; return a pair: the first's, the other's."""
        if self.waiting and self.first != first:
            partner = self.waiting.pop()
            return (outcome, partner) if first else (partner, outcome)
        self.first = first
        self.waiting.append(outcome)
        del self.waiting[: -self.MOST]
        return None

    def to_values(self) -> dict[str, Any]:
        """Return plain values, with which the class is called to have it again."""
        return {"first": self.first, "waiting": list(self.waiting)}
