"""Confidence sequences: intervals that may be looked at after every observation.

An interval of fixed length holds once, at a length that was chosen beforehand; a sequence
holds at all times together, so a verdict may be taken whenever it falls.
"""

import math
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from ..errors import LearnerError
from .resampling import Interval
from .sample import SMALLEST, Floats, numbers

LARGEST_SEEN = 1e50
"""The largest magnitude of a reward that a sequence counts: its fourth power is kept."""


class ConfidenceSequence(Protocol):
    """A stream of rewards, and where their mean lies with probability 1 - alpha at all times."""

    def update(self, rewards: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Count one reward or many, with the weight ``target / behaviour`` of each, or 1."""

    def merge(self, other: Self) -> None:
        """Add what `other` counted of the same decisions' other part."""

    def interval(self) -> Interval:
        """Return the interval as of now."""


@dataclass(slots=True)
class AsymptoticSequence:
    """A confidence sequence for any mean, by the central limit theorem: simple and narrow.

    What a z-interval is at one time, it is at all times once it has started. It suits the
    contributions of any estimator. A limit theorem needs enough to go by, and rare rewards
    with heavy weights bring little, so it starts by what it has seen; weights so rare that none
    was seen by then remain its danger, and `BernsteinSequence` the answer to it.

    Parameters
    ----------
    alpha
        The probability that the sequence ever leaves the mean out, in (0, 1).
    difference
        Whether to follow the target's gain over the logged policy, ``w r - r``, instead of its
        value ``w r``.
    tightest_at
        The number of rows at which it is to be narrowest; not critical.
    start, events
        The interval is infinite before so many rows, and so many effective events: of Bernoulli
        rewards with weight 1 about the number of the rarer outcome, in general ``(sum w**2)**2 /
        sum w**4`` times the inverse kurtosis of the rewards.
    n, mean, squares
        What was counted: rows, their mean, the sum of squared distances from it.
    w2, w4, r1, r2, r3, r4
        Sums of powers of weights, and of rewards less ``origin``, for the start.
    origin
        The first reward: far from 0, the powers of what is alike but for a little would not show
        how it differs.

    Raises
    ------
    LearnerError
        If a setting is out of range.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit theory
    and asymptotic confidence sequences", theorem 2.2, and 2.5 for a late start.

    Examples
    --------
    >>> sequence = AsymptoticSequence(alpha=0.05)
    >>> sequence.update([0.0, 1.0] * 500)
    >>> [round(end, 3) for end in sequence.interval()]
    [0.447, 0.553]
    """

    alpha: float = 0.05
    difference: bool = False
    tightest_at: int = 5000
    start: int = 500
    events: float = 50.0
    n: int = 0
    mean: float = 0.0
    squares: float = 0.0
    w2: float = 0.0
    w4: float = 0.0
    r1: float = 0.0
    r2: float = 0.0
    r3: float = 0.0
    r4: float = 0.0
    origin: float = 0.0

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if self.tightest_at < 1 or self.start < 2 or not self.events > 0.0:
            raise LearnerError(
                f"tightest_at must be at least 1, start at least 2 and events positive, "
                f"got {self.tightest_at}, {self.start} and {self.events}"
            )

    @property
    def effective_events(self) -> float:
        """How much there is for a limit theorem to go by."""
        if not self.n or self.w4 <= 0.0:
            return 0.0
        m = self.r1 / self.n
        second = self.r2 / self.n - m * m
        fourth = (self.r4 - 4.0 * m * self.r3 + 6.0 * m * m * self.r2) / self.n - 3.0 * m**4
        share = 1.0
        if second > 1e-9 * self.r2 / self.n:  # else the rewards are all the same
            share = min(second * second / fourth, 1.0) if fourth > 0.0 else 0.0
        return self.w2 * self.w2 / self.w4 * share

    def update(self, rewards: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Count one reward or many.

        Raises
        ------
        LearnerError
            If a reward or a weight is not a finite number or beyond `LARGEST_SEEN`, a weight is
            negative, or lengths differ; nothing is counted then.
        """
        r, w = observed(rewards, weights)
        x = w * r - r if self.difference else w * r
        if not self.n:
            self.origin = float(r[0])
        mean = float(x.mean())
        self._add(len(x), mean, float(np.sum((x - mean) ** 2)))
        r = r - self.origin
        r_2, w_2 = r * r, w * w
        self.w2 += float(w_2.sum())
        self.w4 += float(w_2 @ w_2)
        self.r1 += float(r.sum())
        self.r2 += float(r_2.sum())
        self.r3 += float(r @ r_2)
        self.r4 += float(r_2 @ r_2)

    def merge(self, other: "AsymptoticSequence") -> None:
        """Add what `other` counted alongside; settings that differ are a `LearnerError`."""
        same_settings(self, other, ("alpha", "difference", "tightest_at", "start", "events"))
        if other.n:
            if not self.n:
                self.origin = other.origin
            self._add(other.n, other.mean, other.squares)
            self.w2 += other.w2
            self.w4 += other.w4
            n, d, r1, r2, r3 = other.n, other.origin - self.origin, other.r1, other.r2, other.r3
            self.r1 += r1 + n * d
            self.r2 += r2 + d * (2.0 * r1 + n * d)
            self.r3 += r3 + d * (3.0 * r2 + d * (3.0 * r1 + n * d))
            self.r4 += other.r4 + d * (4.0 * r3 + d * (6.0 * r2 + d * (4.0 * r1 + n * d)))

    def interval(self) -> Interval:
        """Return the interval as of now; infinite before the start."""
        few = self.n < self.start or self.effective_events < self.events
        if few or self.squares <= 0.0:
            return Interval(-math.inf, math.inf)
        spread = -2.0 * math.log(self.alpha)
        mixed = (spread + math.log(spread + 1.0)) / self.tightest_at
        grown = self.n * mixed + 1.0
        width = 2.0 * grown / (self.n * mixed) * math.log(math.sqrt(grown) / self.alpha)
        half = math.sqrt(self.squares / self.n * width / self.n)
        return Interval(self.mean - half, self.mean + half)

    def _add(self, n: int, mean: float, squares: float) -> None:
        # Chan, Golub and LeVeque: no squares of large numbers are subtracted.
        total, away = self.n + n, mean - self.mean
        self.mean += away * n / total
        self.squares += squares + away * away * self.n * n / total
        self.n = total


def observed(rewards: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return rewards and weights as float64[n], with weight 1 where none is given."""
    r = numbers("reward", np.atleast_1d(np.asarray(rewards)))
    small = np.abs(r) <= LARGEST_SEEN
    if not small.all():
        row = int(np.argmin(small))
        raise LearnerError(f"row {row}: reward is beyond {LARGEST_SEEN}: {r[row]}")
    if weights is None:
        return r, np.ones(len(r))
    w = numbers("weight", np.atleast_1d(np.asarray(weights)), len(r))
    fits = (w >= 0.0) & (w <= 1.0 / SMALLEST)
    if not fits.all():
        row = int(np.argmin(fits))
        raise LearnerError(f"row {row}: weight must be in [0, {1 / SMALLEST}], got {w[row]}")
    return r, w


def check_alpha(alpha: float) -> None:
    """Refuse what is not in (0, 1)."""
    if not 0.0 < alpha < 1.0:
        raise LearnerError(f"alpha must be in (0, 1), got {alpha}")


def same_settings(one: object, other: object, names: tuple[str, ...]) -> None:
    """Refuse to merge what was set up differently."""
    for name in names:
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine != theirs:
            raise LearnerError(f"cannot merge {name} {mine} and {theirs} into one")
