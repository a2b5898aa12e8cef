"""Confidence sequences for importance-weighted rewards that hold at any length.

Rewards lie in a known range; the weights may be as large as they are. With a reward scaled to
[0, 1], ``w r`` and ``w (1 - r)`` are never negative, and a mean of what is never negative has
a lower bound without an upper bound of its values. The first gives the lower end, the second,
whose mean is 1 less the value, the upper one. Both hold even if the log lacks arms of the
target: what was never seen is then taken as all lost below, and all won above. The policy that
makes the log may learn meanwhile, as long as its propensities are those it chose with.

To test a mean ``m``, one bets a fraction ``b`` of a capital on ``z > m``: after each ``z`` the
capital is multiplied by ``1 + b (z / m - 1)``. If the mean is at most ``m``, it grows beyond
``1 / alpha`` with probability alpha at most. A mixture of fractions finds the right one by
itself, and the same fractions for all rows make the order of rows, and how they were spread
over workers, irrelevant.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..checkpoint import fill, pack, reading, sound, unpack
from ..checks import count
from ..errors import LearnerError
from .resampling import Interval
from .sample import Floats
from .sequences import check_alpha, observed, same_settings

BETS: Floats = 0.9 * 0.5 ** np.arange(20.0)
"""The fractions bet, equally mixed."""
_COSTS: Floats = -np.log1p(-BETS) - BETS
_LOG_BETS = math.log(len(BETS))
_SETTINGS = ("alpha", "low", "high", "difference")
_KIND = "BettingSequence"
_ROWS = 16  # so many factors multiply to less than the largest float


@dataclass(slots=True)
class BernsteinSequence:
    """A confidence sequence for the value of a policy, as wide as the variance asks.

    Its state is a few sums: an update costs next to nothing, and merging is exact.

    Parameters
    ----------
    alpha
        The probability that the sequence ever leaves the value out, in (0, 1).
    low, high
        The range of a reward.
    difference
        Whether to follow the target's gain over the logged policy instead of its value.
    n, gained, gained_squares, lost, lost_squares
        What was counted: rows, the sums of ``z`` and ``z**2`` for both ends.

    Raises
    ------
    LearnerError
        If a setting is out of range.

    Notes
    -----
    The logarithm of the capital is bounded from below by ``b sum(y) - (-log(1-b)-b) sum(y**2)``
    with ``y = z / m - 1``, so sums of ``z`` and ``z**2`` are all that is kept. An interval whose
    lower end is above its upper end says that the weights cannot be right.

    References
    ----------
    Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro (2022), "Anytime-valid off-policy
    inference for contextual bandits", section 2. Fan, Grama and Liu (2015), "Exponential
    inequalities for martingales with applications", for the bound. Howard, Ramdas, McAuliffe
    and Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic confidence sequences", for
    mixtures.

    Examples
    --------
    >>> sequence = BernsteinSequence(alpha=0.05)
    >>> sequence.update([0.0, 1.0] * 500, weights=[0.5, 1.5] * 500)
    >>> [round(end, 3) for end in sequence.interval()]
    [0.661, 0.78]
    """

    alpha: float = 0.05
    low: float = 0.0
    high: float = 1.0
    difference: bool = False
    n: int = 0
    gained: float = 0.0
    gained_squares: float = 0.0
    lost: float = 0.0
    lost_squares: float = 0.0

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        _check_range(self.low, self.high)

    def update(self, rewards: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Count one reward or many.

        Raises
        ------
        LearnerError
            If a reward is outside of [low, high], a weight negative or not finite, or lengths
            differ; nothing is counted then.
        """
        gained, lost = _never_negative(rewards, weights, self.low, self.high, self.difference)
        self.n += len(gained)
        self.gained += float(gained.sum())
        self.gained_squares += float(gained @ gained)
        self.lost += float(lost.sum())
        self.lost_squares += float(lost @ lost)

    def merge(self, other: "BernsteinSequence") -> None:
        """Add what `other` counted alongside; settings that differ are a `LearnerError`."""
        same_settings(self, other, _SETTINGS)
        self.n += other.n
        self.gained += other.gained
        self.gained_squares += other.gained_squares
        self.lost += other.lost
        self.lost_squares += other.lost_squares

    def interval(self) -> Interval:
        """Return the interval as of now: all that is possible, before the first reward."""
        limit = math.log(2.0 / self.alpha)
        return _scaled(
            _lower_mean(self.n, self.gained, self.gained_squares, limit),
            _lower_mean(self.n, self.lost, self.lost_squares, limit),
            self.low,
            self.high,
            self.difference,
        )


class BettingSequence:
    """A confidence sequence for the value of a policy that keeps the capitals themselves.

    Narrower than `BernsteinSequence` while rewards are few and weights heavy, for some 16,000
    multiplications a row and 128 kB of state.

    Parameters
    ----------
    alpha, low, high, difference
        As in `BernsteinSequence`.

    Attributes
    ----------
    n
        Rows counted.

    Raises
    ------
    LearnerError
        If a setting is out of range.

    References
    ----------
    Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting",
    section 4 and appendix on mixtures of bets; Waudby-Smith et al. (2022), as in
    `BernsteinSequence`.

    Examples
    --------
    >>> sequence = BettingSequence(alpha=0.05)
    >>> sequence.update([0.0, 1.0] * 500, weights=[0.5, 1.5] * 500)
    >>> [round(end, 2) for end in sequence.interval()]
    [0.67, 0.78]
    """

    def __init__(
        self,
        alpha: float = 0.05,
        low: float = 0.0,
        high: float = 1.0,
        difference: bool = False,
    ) -> None:
        check_alpha(alpha)
        _check_range(low, high)
        self.alpha, self.low, self.high = float(alpha), float(low), float(high)
        self.difference = bool(difference)
        self.n = 0
        self._means = _means(self.difference)
        shape = (len(BETS), len(self._means))
        self._gained, self._lost = np.zeros(shape), np.zeros(shape)

    def update(self, rewards: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Count one reward or many; errors are those of `BernsteinSequence.update`."""
        gained, lost = _never_negative(rewards, weights, self.low, self.high, self.difference)
        _bet(self._gained, self._means, gained)
        _bet(self._lost, self._means, lost)
        self.n += len(gained)

    def merge(self, other: "BettingSequence") -> None:
        """Add what `other` counted alongside; settings that differ are a `LearnerError`."""
        same_settings(self, other, _SETTINGS)
        self._gained += other._gained
        self._lost += other._lost
        self.n += other.n

    def interval(self) -> Interval:
        """Return the interval as of now: all that is possible, before the first reward."""
        limit = math.log(2.0 / self.alpha)
        gained = _refuted(self._gained, self._means, limit)
        lost = _refuted(self._lost, self._means, limit)
        return _scaled(gained, lost, self.low, self.high, self.difference)

    def to_bytes(self) -> bytes:
        """Return a snapshot, from which `from_bytes` makes an equal sequence."""
        values = {name: getattr(self, name) for name in (*_SETTINGS, "n")}
        return pack(_KIND, values, {"gained": self._gained, "lost": self._lost})

    @classmethod
    def from_bytes(cls, data: bytes) -> "BettingSequence":
        """Return the sequence of a snapshot; one that cannot be is a `LearnerError`."""
        values, arrays = unpack(data, _KIND)
        with reading(_KIND):
            settings = [values[name] for name in _SETTINGS]
            if type(settings[-1]) is not bool:
                raise LearnerError(f"difference must be a bool, got {settings[-1]!r:.40}")
            sequence = cls(*settings)
            sequence.n = count("n", values["n"])
            for name, capitals in (("gained", sequence._gained), ("lost", sequence._lost)):
                fill(capitals, arrays, name)
                sound(name, capitals)
                if not sequence.n and capitals.any():
                    raise LearnerError(f"array {name!r} of the model snapshot is of no rows")
        return sequence


def log_capital(n: ArrayLike, total: ArrayLike, squares: ArrayLike, mean: ArrayLike) -> Floats:
    """Return the logarithm of what is surely gained by betting on more than `mean`.

    Parameters
    ----------
    n, total, squares
        Of the observations so far: how many, their sum and that of their squares; numbers, or
        arrays of one shape.
    mean
        Positive; a number, or an array of that shape.

    Examples
    --------
    >>> log_capital(100, 50.0, 50.0, [0.3, 0.5, 0.7]).round(1)
    array([ 3.1, -0.2, -0.4])
    """
    count, sums, m = np.asarray(n, float), np.asarray(total, float), np.asarray(mean, float)
    first = sums / m - count
    second = np.asarray(squares, float) / (m * m) - 2.0 * sums / m + count
    return _mixed(np.multiply.outer(BETS, first) - np.multiply.outer(_COSTS, second))


def _mixed(logs: Floats) -> Floats:
    """Return the logarithm of the mean of the capitals, over the first axis."""
    top = logs.max(axis=0)
    mixed: Floats = top + np.log(np.exp(logs - top).sum(axis=0)) - _LOG_BETS
    return mixed


def _lower_mean(n: int, total: float, squares: float, limit: float) -> float:
    """Return the largest mean found that the capital refutes, 0 if there is none.

    The true capital falls with the mean, so all that is smaller is refuted too.
    """
    if total <= 1e-100 * n:  # 0, or so little that its square would be 0
        return 0.0
    found, top = 0.0, total / n
    means = top * np.concatenate((np.geomspace(1e-6, 0.5, 64), np.linspace(0.5, 1.0, 65)[1:]))
    for _ in range(5):
        refuted = np.flatnonzero(log_capital(n, total, squares, means) >= limit)
        if not len(refuted):
            break
        last = int(refuted[-1])
        found = float(means[last])
        means = np.linspace(found, means[min(last + 1, len(means) - 1)], 65)[1:]
    return found


def _refuted(capitals: Floats, means: Floats, limit: float) -> float:
    """Return the largest mean that the capitals refute, 0 if there is none."""
    refuted = np.flatnonzero(_mixed(capitals) >= limit)
    if not len(refuted):
        return 0.0
    last = int(refuted[-1])
    if last + 1 == len(means):
        return float(means[last])
    # The logarithm of a capital is concave in 1 / mean, so it lies above its chords.
    share = np.linspace(0.0, 1.0, 257)
    between = np.outer(capitals[:, last], 1.0 - share) + np.outer(capitals[:, last + 1], share)
    part = float(share[np.flatnonzero(_mixed(between) >= limit)[-1]])
    return float(1.0 / ((1.0 - part) / means[last] + part / means[last + 1]))


def _never_negative(
    rewards: ArrayLike, weights: ArrayLike | None, low: float, high: float, difference: bool
) -> tuple[Floats, Floats]:
    r, w = observed(rewards, weights)
    fits = (r >= low) & (r <= high)
    if not fits.all():
        row = int(np.argmin(fits))
        raise LearnerError(f"row {row}: reward must be in [{low}, {high}], got {r[row]}")
    scaled = (r - low) / (high - low)
    if difference:
        return 1.0 + (w - 1.0) * scaled, 1.0 + (w - 1.0) * (1.0 - scaled)
    return w * scaled, w * (1.0 - scaled)


def _scaled(gained: float, lost: float, low: float, high: float, difference: bool) -> Interval:
    span = high - low
    if difference:
        return Interval(max(gained - 1.0, -1.0) * span, min(1.0 - lost, 1.0) * span)
    return Interval(low + span * gained, high - span * lost)


def _means(difference: bool) -> Floats:
    """Return the means to test, close together where a small difference matters."""
    steps = np.geomspace(1e-6, 1.0 if difference else 0.5, 200)
    if difference:
        return np.concatenate((1.0 - steps[-2::-1], [1.0], 1.0 + steps))
    return np.concatenate((steps, 1.0 - steps[-2::-1]))


def _bet(capitals: Floats, means: Floats, values: Floats) -> None:
    stakes, kept = BETS[:, None] / means, (1.0 - BETS)[:, None]
    for first in range(0, len(values), _ROWS):
        factors = values[first : first + _ROWS, None, None] * stakes
        factors += kept
        capitals += np.log(np.multiply.reduce(factors, axis=0))


def _check_range(low: float, high: float) -> None:
    if not -math.inf < low < high < math.inf:
        raise LearnerError(f"low must be less than high, both finite, got {low} and {high}")
