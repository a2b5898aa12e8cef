"""What off-policy evaluation starts from: a log of decisions, seen under another policy."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LearnerError
from ..kernels.limits import LARGEST

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SMALLEST = 1e-12
"""The smallest propensity that a weight can be made of."""


class Sample:
    """Logged decisions as a target policy sees them: all that the estimators need.

    Parameters
    ----------
    rewards
        float64[n], the logged rewards.
    behaviour
        float64[n], the probability with which the logged arm was chosen, in (0, 1].
    target
        float64[n], the probability with which the target policy would choose it, in [0, 1].
    expected
        float64[n], the model's reward under the target policy, ``sum_a target(a | x) q(x, a)``;
        None without a model.
    predicted
        float64[n], the model's reward of the logged arm, ``q(x, a)``; given if `expected` is.
    unsupported
        The share of the target's choices that the behaviour policy could never make; None if
        that is not known.

    Attributes
    ----------
    weights
        float64[n], ``target / behaviour``.

    Raises
    ------
    LearnerError
        If there is no row, lengths differ, a number is NaN, infinite or out of range (the row is
        named), or only one half of the model is given.

    Examples
    --------
    >>> sample = Sample(rewards=[1, 0, 1], behaviour=[0.5, 0.5, 0.25], target=[0.5, 0.25, 1.0])
    >>> sample.weights
    array([1. , 0.5, 4. ])
    """

    __slots__ = (
        "behaviour",
        "expected",
        "predicted",
        "rewards",
        "target",
        "unsupported",
        "weights",
    )

    def __init__(
        self,
        rewards: ArrayLike,
        behaviour: ArrayLike,
        target: ArrayLike,
        expected: ArrayLike | None = None,
        predicted: ArrayLike | None = None,
        unsupported: float | None = None,
    ) -> None:
        self.rewards = numbers("reward", rewards)
        n = len(self.rewards)
        self.behaviour = _behaviour(behaviour, n)
        self.target = numbers("target probability", target, n)
        proper = (self.target >= 0.0) & (self.target <= 1.0)
        _check("target probability", self.target, proper, "be in [0, 1]")
        if (expected is None) != (predicted is None):
            raise LearnerError("expected and predicted rewards of a model are given together")
        self.expected = None if expected is None else numbers("expected reward", expected, n)
        self.predicted = None if predicted is None else numbers("predicted reward", predicted, n)
        if unsupported is not None and not 0.0 <= unsupported <= 1.0:
            raise LearnerError(f"unsupported must be in [0, 1], got {unsupported!r}")
        self.unsupported = unsupported
        self.weights: Floats = self.target / self.behaviour

    def __len__(self) -> int:
        return len(self.rewards)

    def model(self) -> tuple[Floats, Floats]:
        """Return `expected` and `predicted`.

        Raises
        ------
        LearnerError
            If the sample has no model.
        """
        if self.expected is None or self.predicted is None:
            raise LearnerError("this estimator needs a model: expected and predicted rewards")
        return self.expected, self.predicted


class Log:
    """n logged decisions: what was chosen, how likely that was, and the reward.

    Parameters
    ----------
    arms
        int64[n], the chosen arms, from 0.
    rewards
        float64[n].
    propensities
        float64[n], the probability with which the chosen arm was chosen, in (0, 1]; or
        float64[n, K], that of every arm (0 if not eligible), from which it is also known what
        the policy could never choose.
    positions
        int64[n], the place of a slate that each row is about, from 0; None if there is one.

    Raises
    ------
    LearnerError
        As `Sample`; also if an arm or a position is not a whole number from 0.

    Examples
    --------
    A target policy that plays arm 1 three times out of four, whatever the context:

    >>> log = Log(arms=[0, 1, 1, 0], rewards=[0, 1, 0, 0], propensities=[0.5, 0.5, 0.5, 0.5])
    >>> log.under([[0.25, 0.75]]).weights
    array([0.5, 1.5, 1.5, 0.5])
    """

    __slots__ = ("arms", "positions", "propensities", "rewards", "support")

    def __init__(
        self,
        arms: ArrayLike,
        rewards: ArrayLike,
        propensities: ArrayLike,
        positions: ArrayLike | None = None,
    ) -> None:
        self.rewards = numbers("reward", rewards)
        n = len(self.rewards)
        self.arms = _places("arm", arms, n)
        self.positions = None if positions is None else _places("position", positions, n)
        given = _floats("propensity", propensities)
        self.support: Bools | None = None
        if given.ndim == 2:
            _distribution("propensities", given, n)
            _below("arm", self.arms, given.shape[1])
            self.support = given > 0.0
            given = given[np.arange(n), self.arms]
        self.propensities = _behaviour(given, n)

    def __len__(self) -> int:
        return len(self.rewards)

    def under(self, target: ArrayLike, q: ArrayLike | None = None) -> Sample:
        """Return the log as a target policy sees it.

        Parameters
        ----------
        target
            The target's probability of every arm: float64[n, K], or float64[n, K, P] with one
            distribution for each of P positions. A first axis of 1 serves all rows.
        q
            The rewards that a model predicts for every arm, in any shape that `target` may
            have; None without a model. Fit it on other rows than it predicts (cross-fitting).

        Raises
        ------
        LearnerError
            If a shape does not fit the log, a row is not a distribution, or a number is NaN,
            infinite or out of range; the row is named.
        """
        probabilities = self._by_arm("target", target)
        _distribution("target", probabilities, None)
        n, rows = len(self), np.arange(len(self))
        unsupported = None
        if self.support is not None:
            if probabilities.shape[1] != self.support.shape[1]:
                raise LearnerError(
                    f"target has {probabilities.shape[1]} arms, the log {self.support.shape[1]}"
                )
            outside = np.where(self.support, 0.0, probabilities).sum(axis=1)
            unsupported = float(min(outside.mean(), 1.0))
        _below("arm", self.arms, probabilities.shape[1])
        spread = np.broadcast_to(probabilities, (n, probabilities.shape[1]))
        chosen = spread[rows, self.arms]
        if q is None:
            return Sample(self.rewards, self.propensities, chosen, unsupported=unsupported)
        predicted = self._by_arm("q", q)
        if predicted.shape[1] != probabilities.shape[1]:
            raise LearnerError(
                f"q has {predicted.shape[1]} arms, the target {probabilities.shape[1]}"
            )
        finite: Bools = np.logical_and.reduce(np.abs(predicted) <= LARGEST, axis=1)
        if not finite.all():
            raise LearnerError(f"row {_first(~finite)}: q is not finite")
        expected = np.broadcast_to(
            np.einsum("ij,ij->i", *np.broadcast_arrays(spread, predicted)), n
        )
        factual = np.broadcast_to(predicted, spread.shape)[rows, self.arms]
        return Sample(self.rewards, self.propensities, chosen, expected, factual, unsupported)

    def _by_arm(self, what: str, values: ArrayLike) -> Floats:
        """Return float64[n or 1, K]: of three axes, the position's that each row is about."""
        given = _floats(what, values)
        n = len(self)
        if given.ndim not in (2, 3) or given.shape[0] not in (1, n) or 0 in given.shape:
            raise LearnerError(
                f"{what} must be float64[{n} or 1, K] or float64[{n} or 1, K, P], "
                f"got shape {given.shape}"
            )
        if given.ndim == 2:
            return given
        if self.positions is None:
            raise LearnerError(f"{what} has positions, but the log has none")
        _below("position", self.positions, given.shape[2])
        rows = np.zeros(n, np.int64) if given.shape[0] == 1 else np.arange(n)
        picked: Floats = given[rows, :, self.positions]
        return picked


def numbers(what: str, values: ArrayLike, n: int | None = None) -> Floats:
    """Return float64[n], all finite; else a `LearnerError` names the first row that is not."""
    given = _floats(what, values)
    if given.ndim != 1:
        raise LearnerError(f"{what}s must be one-dimensional, got shape {given.shape}")
    if n is None and len(given) == 0:
        raise LearnerError(f"there is no {what}: the log is empty")
    if n is not None and len(given) != n:
        raise LearnerError(f"there are {n} rewards but {len(given)} values of {what}")
    _check(what, given, np.abs(given) <= LARGEST, "be a finite number")
    return given


def _behaviour(values: ArrayLike, n: int) -> Floats:
    given = numbers("behaviour propensity", values, n)
    fits = (given >= SMALLEST) & (given <= 1.0)
    _check("behaviour propensity", given, fits, f"be in [{SMALLEST}, 1]")
    return given


def _floats(what: str, values: ArrayLike) -> Floats:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise LearnerError(f"{what} must be numbers: {error}") from None


def _places(what: str, values: ArrayLike, n: int) -> Ints:
    given = numbers(what, values, n)
    whole = (given >= 0.0) & (given == np.floor(given)) & (given < 2.0**31)
    _check(what, given, whole, "be a whole number from 0")
    return given.astype(np.int64)


def _below(what: str, places: Ints, count: int) -> None:
    _check(what, places, places < count, f"be below {count}")


def _distribution(what: str, given: Floats, n: int | None) -> None:
    if n is not None and given.shape[0] != n:
        raise LearnerError(f"there are {n} rewards but {given.shape[0]} rows of {what}")
    with np.errstate(invalid="ignore"):
        within: Bools = np.logical_and.reduce((given >= 0.0) & (given <= 1.0), axis=1)
        fits: Bools = within & (np.abs(given.sum(axis=1) - 1.0) <= 1e-6)
    if not fits.all():
        row = _first(~fits)
        raise LearnerError(
            f"row {row}: {what} is not a distribution over the arms (it sums to "
            f"{given[row].sum():.6g}, its smallest is {given[row].min():.6g})"
        )


def _check(what: str, given: Floats | Ints, fits: Bools, must: str) -> None:
    if not fits.all():
        row = _first(~fits)
        raise LearnerError(f"row {row}: {what} must {must}, got {given[row].item()!r}")


def _first(bad: Bools) -> int:
    return int(np.argmax(bad))
