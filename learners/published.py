"""A model of arms as it is served: read only, single precision, as fast as the machine adds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import arm_checks as check
from .context_encoder import ContextEncoder
from .errors import LearnerError
from .kernels import bayes_serve

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Bools = NDArray[np.bool_]


class Choice(NamedTuple):
    """One arm of K, chosen by SquareCB.

    Attributes
    ----------
    arm
        Place of the chosen arm.
    propensity
        The exact probability that it was to be chosen.
    scores
        float64[K], predictive probability of reward 1.
    propensities
        float64[K], the probability of each choice; 0 where not eligible.
    """

    arm: int
    propensity: float
    scores: Floats
    propensities: Floats


class PublishedArms:
    """What `BayesianRanker.publish` returns: scores all arms and chooses among them.

    The experts are folded into one: the mean of a logit is that of the ranker's belief, the
    variance is the average one of the experts, so that with one expert the probabilities are the
    ranker's (to single precision), and with several nearly so. A propensity is exact for the
    scores that it comes with.

    Attributes
    ----------
    arms
        Name of the arm at each place; empty where there is none.
    live
        bool[K], which places have an arm; others are never chosen.
    version
        The ranker's `updates` when it was published.
    arrays
        `table`, `dense` and `action` of `kernels.bayes_serve`; not to be changed.

    Examples
    --------
    >>> from nextbest.learners import BayesianRanker
    >>> ranker = BayesianRanker(["tea", "coffee"], contexts=["hour"])
    >>> for i in range(300):
    ...     step = ranker.learn({"hour": "morning"}, None, i % 2, float(i % 2))
    >>> choice = ranker.publish().decide({"hour": "morning"}, gamma=100.0, draw=0.5)
    >>> choice.arm, round(choice.propensity, 2)
    (1, 0.99)
    """

    def __init__(
        self,
        arms: Sequence[str],
        action_features: Sequence[str],
        version: int,
        encoder: ContextEncoder,
        table: Singles,
        dense: Singles,
        action: Singles,
    ) -> None:
        self.arms, self.action_features = tuple(arms), tuple(action_features)
        self.live = np.array([arm != "" for arm in self.arms])
        self.version = version
        self._encoder = encoder
        self.arrays = table, dense, action
        self._unseen = len(table) - 1

    def decide(
        self,
        context: Mapping[str, Any],
        features: ArrayLike | None = None,
        *,
        gamma: float,
        draw: float,
        eligible: ArrayLike | None = None,
    ) -> Choice:
        """Score all arms and choose one.

        Parameters
        ----------
        context, features
            As in `BayesianRanker.belief`.
        gamma
            How strongly SquareCB exploits: not negative, inf is greedy.
        draw
            The uniform number in [0, 1) that chooses.
        eligible
            bool[K], the arms that may be chosen; None for all.

        Raises
        ------
        LearnerError
            If no arm is eligible, a value cannot be used or a shape is wrong.
        """
        shape = (len(self.arms), len(self.action_features))
        matrix = check.features(features, shape, self.action_features)
        rows, x = self._encoder.rows_and_numbers(context, self._unseen)
        gammas, draws = _ranges(np.array([gamma], np.float64), np.array([draw], np.float64))
        arms, propensities, scores, chances = self._run(
            rows[None], x[None], matrix[None], self._eligible(eligible), gammas, draws
        )
        return Choice(int(arms[0]), float(propensities[0]), scores, chances)

    def decide_many(
        self,
        contexts: Mapping[str, Any],
        features: ArrayLike | None = None,
        *,
        gammas: ArrayLike,
        draws: ArrayLike,
        eligible: ArrayLike | None = None,
    ) -> tuple[NDArray[np.int64], Floats]:
        """Return the arms and the propensities of N decisions: the same bits as `decide`.

        Parameters
        ----------
        contexts
            Columns of N values by name.
        features
            float64[N, K, A]; None if the model has none.
        gammas, draws
            float64[N], as in `decide`.
        eligible
            bool[K], the same for all; None for all arms.

        Raises
        ------
        LearnerError
            As `decide`, or if lengths differ.
        """
        n = np.size(draws)
        gammas, draws = _ranges(
            check.floats("gammas", gammas, (n,)), check.floats("draws", draws, (n,))
        )
        shape = (n, len(self.arms), len(self.action_features))
        matrix = check.features(features, shape, self.action_features)
        rows, x = self._encoder.columns(contexts, n, self._unseen)
        mask = self._eligible(eligible)
        arms, propensities, _, _ = self._run(rows, x, matrix, mask, gammas, draws)
        return arms, propensities

    def _run(
        self,
        rows: NDArray[np.int64],
        x: Floats,
        features: Floats,
        eligible: Bools,
        gammas: Floats,
        draws: Floats,
    ) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
        n, k = len(rows), len(self.arms)
        arms, propensities = np.empty(n, np.int64), np.empty(n)
        scores, chances = np.empty(k), np.empty(k)
        bayes_serve.decide_rows(
            *self.arrays, rows, _single("contexts", x), _single("features", features), eligible,
            gammas, draws, arms, propensities, scores, chances,
        )  # fmt: skip
        return arms, propensities, scores, chances

    def _eligible(self, given: ArrayLike | None) -> Bools:
        if given is None:
            mask = self.live
        else:
            array = np.asarray(given, np.bool_)
            if array.shape != self.live.shape:
                raise LearnerError(f"eligible must be bool{self.live.shape}, got {array.shape}")
            mask = array & self.live
        if not mask.any():
            raise LearnerError("no arm is eligible")
        return mask


def _single(what: str, values: Floats) -> Singles:
    # A number that single precision squares without overflow; the others are of no use anyway.
    if len(values) and np.nanmax(np.abs(values), initial=0.0) > 1e15:
        raise LearnerError(f"{what}: a served number must not be beyond 1e15")
    return values.astype(np.float32)


def _ranges(gammas: Floats, draws: Floats) -> tuple[Floats, Floats]:
    for gamma in gammas[~(gammas >= 0.0)][:1].tolist():
        raise LearnerError(f"gamma must not be negative, got {gamma!r}")
    for draw in draws[~((draws >= 0.0) & (draws < 1.0))][:1].tolist():
        raise LearnerError(f"a draw must be in [0, 1), got {draw!r}")
    return gammas, draws
