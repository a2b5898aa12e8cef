"""One shared model that ranks actions, explores with exact propensities, and explains itself."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .adf import ADFLogisticRegression
from .checkpoint import Data, fill, pack, reading, sound, unpack
from .checks import names
from .context import ContextBlocks
from .errors import LearnerError
from .kernels import rank, squarecb
from .kernels.limits import LARGEST
from .pull import Pull

Floats = NDArray[np.float64]

_KIND = "ActionRanker"


class ActionRanker:
    """Rank K actions for a context, and learn from the reward of the one that was chosen.

    The model is one `ADFLogisticRegression` over the intercept, the action features (one weight
    each, shared by all arms), the arm, and every pair of arm and context category. No weight
    belongs to a customer: what is personal comes in by the features. `encode` gives the
    observation that this model sees. Exploration is SquareCB: an arm whose score is `g` below the
    best of E eligible ones is chosen with probability `1 / (E + gamma * t**gamma_exponent * g)`
    in decision t, the best one otherwise.

    Parameters
    ----------
    arms
        Names of the K actions.
    action_features
        Names of the D features of an action.
    contexts
        Names of the categorical contexts.
    gamma, gamma_exponent
        Strength of exploitation and its growth; `gamma=inf` is greedy.
    bias_variance, feature_variance, arm_variance, context_variance
        Prior variances of the intercept, and of a feature's, an arm's and a context category's
        weight (logits squared).
    forgetting
        As in `ADFLogisticRegression`.
    max_categories
        Bound of the categories of one context; later ones share one category, `OTHER`.
    seed
        Seed of the draws, in [0, 2**63).

    Raises
    ------
    LearnerError
        If a name is empty or given twice, there is no arm, or a setting is out of range.

    Examples
    --------
    >>> ranker = ActionRanker(["tea", "coffee"], ["affinity"], ["hour"], seed=1)
    >>> features = np.array([[0.1], [1.5]])
    >>> for _ in range(200):
    ...     arm = ranker.pull({"hour": "morning"}, features).arm
    ...     ranker.update({"hour": "morning"}, features, arm, reward=float(arm == 1))
    >>> pull = ranker.pull({"hour": "morning"}, features)
    >>> pull.arm, pull.scores.round(2).tolist()
    (1, [0.83, 0.99])
    >>> [(name, round(logit, 2)) for name, logit in ranker.explain({}, features, 1, top=2)]
    [('affinity', 3.02), ('on average', 1.45)]

    References
    ----------
    Foster and Rakhlin (2020), "Beyond UCB: optimal and efficient contextual bandits with
    regression oracles", section 3. Graepel et al. (2010), as in `ADFLogisticRegression`.
    """

    def __init__(
        self,
        arms: Sequence[str],
        action_features: Sequence[str],
        contexts: Sequence[str],
        *,
        gamma: float = 1000.0,
        gamma_exponent: float = 0.5,
        bias_variance: float = 1.0,
        feature_variance: float = 1.0,
        arm_variance: float = 0.03,
        context_variance: float = 0.03,
        forgetting: float = 1e-4,
        max_categories: int = 1000,
        seed: int = 0,
    ) -> None:
        self.arms, self.action_features = tuple(arms), tuple(action_features)
        self.contexts = tuple(contexts)
        if not self.arms:
            raise LearnerError("a ranker needs at least one arm")
        if not 0.0 < gamma <= math.inf or not 0.0 <= gamma_exponent < math.inf:
            raise LearnerError(
                f"gamma must be positive and gamma_exponent not negative, "
                f"got {gamma} and {gamma_exponent}"
            )
        if not all(0.0 < v < math.inf for v in (feature_variance, arm_variance, context_variance)):
            raise LearnerError("feature_variance, arm_variance and context_variance are positive")
        if not 0 <= seed < 2**63:
            raise LearnerError(f"seed must be in [0, 2**63), got {seed}")
        # Also what a snapshot restores the ranker from.
        self._settings: dict[str, float | int] = {
            "gamma": float(gamma),
            "gamma_exponent": float(gamma_exponent),
            "bias_variance": float(bias_variance),
            "feature_variance": float(feature_variance),
            "arm_variance": float(arm_variance),
            "context_variance": float(context_variance),
            "forgetting": float(forgetting),
            "max_categories": int(max_categories),
            "seed": int(seed),
        }
        self._gamma, self._exponent, self._seed = float(gamma), float(gamma_exponent), int(seed)
        self._context_variance = context_variance
        self._shape = (len(self.arms), len(self.action_features))
        self._all = np.ones(len(self.arms), np.bool_)
        self._crossed = {name: [f"{arm} & {name}" for arm in self.arms] for name in self.contexts}
        crossed = (pair for pairs in self._crossed.values() for pair in pairs)
        names("arm", self.arms)
        names("context", self.contexts)
        names("name", ["arm", *self.action_features, *crossed])

        self.decisions = 0
        """Decisions made so far, but for those whose number was given."""
        self._blocks = ContextBlocks(self.contexts, max_categories)
        categories = len(self.contexts) * (max_categories + 1)
        self.model = ADFLogisticRegression(
            prior_variance=context_variance,
            bias_variance=bias_variance,
            forgetting=forgetting,
            max_weights=1 + sum(self._shape) + categories * len(self.arms),
        )
        self.model.allocate(self.action_features, feature_variance)
        self.model.allocate([("arm", arm) for arm in self.arms], arm_variance)

    @property
    def updates(self) -> int:
        """Rewards learned so far: the version of the model."""
        return self.model.n_updates

    def pull(
        self,
        context: Mapping[str, str | None],
        features: ArrayLike,
        eligible: ArrayLike | None = None,
        decision: int | None = None,
    ) -> Pull:
        """Choose an arm.

        The model is not changed. Equal rankers choose equally, bit for bit.

        Parameters
        ----------
        context
            Category by context; None or absent is a category of its own. Names that the ranker
            does not know are ignored.
        features
            float64[K, D]. NaN means missing and contributes nothing.
        eligible
            bool[K], the arms that may be chosen; None for all.
        decision
            Number of the decision (from 1), which sets the draw and the exploration; None for
            the next one of this ranker. Give it to make a logged decision again, or where
            numbers are handed out elsewhere; the ranker's own count then stays.

        Raises
        ------
        LearnerError
            If no arm is eligible, a shape is wrong, a feature is infinite or beyond `LARGEST`, a
            category is not a string, or the decision's number is not positive.
        """
        number = self.decisions + 1 if decision is None else decision
        if number < 1:
            raise LearnerError(f"decisions are numbered from 1, got {number}")
        matrix = _floats(features)
        if matrix.shape != self._shape:
            raise LearnerError(f"features must be float64{self._shape}, got {matrix.shape}")
        mask = self._all if eligible is None else np.ascontiguousarray(eligible, np.bool_)
        if mask.shape != self._all.shape:
            raise LearnerError(f"eligible must be bool{self._all.shape}, got {mask.shape}")
        blocks, new = self._blocks.active(context)
        draw = squarecb.uniform(self._seed, number)
        out = np.empty((2, len(self.arms)))
        arm, ranking = rank.pull(
            self.model.mean,
            self.model.variance,
            matrix,
            np.array(blocks, np.int64),
            len(new) * self._context_variance,
            mask,
            self._gamma * number**self._exponent,
            draw,
            out,
        )
        if arm == -1:
            raise LearnerError("no arm is eligible")
        if arm < 0:
            raise self._too_large(*divmod(-2 - arm, len(self.action_features)))
        if decision is None:
            self.decisions = number
        out.flags.writeable = False  # what is logged stays what was decided
        return Pull(arm, ranking, out[0], out[1], float(out[1, arm]), draw, number)

    def update(
        self, context: Mapping[str, str | None], features: ArrayLike, arm: int, reward: float
    ) -> None:
        """Learn the reward of the arm that was chosen, at once or any time later.

        Parameters
        ----------
        context, features
            As given to `pull`; the arm's row alone, float64[D], is enough.
        arm
            Position of the chosen arm.
        reward
            In [0, 1].

        Raises
        ------
        LearnerError
            If the arm is unknown, the reward is NaN or outside [0, 1], or as in `pull`.
        """
        row = self._row(features, arm)
        if not 0.0 <= reward <= 1.0:
            raise LearnerError(f"reward must be in [0, 1], got {reward!r}")
        model = self.model
        blocks, new = self._blocks.active(context)
        if new and not (np.abs(row) > LARGEST).any():
            for name, category in new:
                self._add_block(name, category)
            blocks, _ = self._blocks.active(context)
        bad = rank.learn(
            model.mean,
            model.variance,
            model.prior,
            row,
            arm,
            np.array(blocks, np.int64),
            float(reward),
            model.forgetting,
        )
        if bad >= 0:
            raise self._too_large(arm, bad)
        model.n_updates += 1

    def encode(
        self, context: Mapping[str, str | None], features: ArrayLike, arm: int
    ) -> dict[Hashable, Any]:
        """Return the observation that `model` sees for an arm.

        Raises
        ------
        LearnerError
            If the arm is unknown, a shape is wrong or a category is not a string.

        Examples
        --------
        >>> ranker = ActionRanker(["tea", "coffee"], ["affinity"], ["hour"])
        >>> ranker.encode({"hour": "morning"}, [1.5], arm=1)
        {'affinity': 1.5, 'arm': 'coffee', 'coffee & hour': 'morning'}
        """
        row = self._row(features, arm).tolist()
        named = zip(self.action_features, row, strict=True)
        x: dict[Hashable, Any] = {name: v for name, v in named if not math.isnan(v)}
        x["arm"] = self.arms[arm]
        for name, crossed in self._crossed.items():
            x[crossed[arm]] = self._blocks.category(name, context.get(name))
        return x

    def explain(
        self,
        context: Mapping[str, str | None],
        features: ArrayLike,
        arm: int,
        top: int | None = None,
    ) -> list[tuple[str, float]]:
        """Return what speaks for (positive) and against (negative) an arm, in logits.

        All contributions together are the mean of the arm's logit.

        Parameters
        ----------
        context, features, arm
            As in `update`.
        top
            Keep only so many of the largest contributions; None for all.

        Raises
        ------
        LearnerError
            As `encode`.
        """
        reasons = [("on average", float(self.model.mean[0]))]
        for key, part in self.model.contributions(self.encode(context, features, arm)).items():
            reasons.append((" = ".join(key) if isinstance(key, tuple) else str(key), part))
        reasons.sort(key=lambda reason: -abs(reason[1]))
        return reasons[:top]

    def to_bytes(self) -> bytes:
        """Return a snapshot, from which `from_bytes` makes an equal ranker."""
        values = {
            "arms": self.arms,
            "action_features": self.action_features,
            "contexts": self.contexts,
            "settings": self._settings,
            "decisions": self.decisions,
            "updates": self.updates,
            "categories": [(name, category) for name, category, _ in self._blocks],
        }
        arrays = {"mean": self.model.mean, "variance": self.model.variance}
        return pack(_KIND, values, arrays)

    @classmethod
    def from_bytes(cls, data: Data) -> Self:
        """Return the ranker of a snapshot; it continues bit for bit.

        Raises
        ------
        LearnerError
            If the bytes are damaged, or of another version or kind.
        """
        values, arrays = unpack(data, _KIND)
        with reading(_KIND):
            ranker = cls(
                values["arms"], values["action_features"], values["contexts"], **values["settings"]
            )
            categories = values["categories"]
            n = len(ranker.model.mean) + len(categories) * len(ranker.arms)
            if arrays["mean"].shape != (n,):  # before there is room for so many
                raise LearnerError(f"model snapshot of {n} weights has {arrays['mean'].shape}")
            for name, category in categories:
                ranker._add_block(name, category)
            ranker.model.n_updates = int(values["updates"])
            ranker.decisions = int(values["decisions"])
            if min(ranker.model.n_updates, ranker.decisions) < 0:
                raise LearnerError("model snapshot of fewer than no updates or decisions")
        fill(ranker.model.mean, arrays, "mean")
        fill(ranker.model.variance, arrays, "variance")
        sound("mean", ranker.model.mean)
        sound("variance", ranker.model.variance, least=0.0)
        return ranker

    def _add_block(self, name: str, category: str) -> None:
        weights = [(crossed, category) for crossed in self._crossed[name]]
        first = self.model.allocate(weights, self._context_variance)
        self._blocks.add(name, category, first)

    def _row(self, features: ArrayLike, arm: int) -> Floats:
        if not 0 <= arm < len(self.arms):
            raise LearnerError(f"unknown arm {arm!r}: there are {len(self.arms)}, from 0")
        matrix = _floats(features)
        if matrix.shape not in (self._shape, self._shape[1:]):
            raise LearnerError(
                f"features must be float64{self._shape} or float64{self._shape[1:]}, "
                f"got {matrix.shape}"
            )
        row: Floats = matrix[arm] if matrix.ndim == 2 else matrix
        return row

    def _too_large(self, arm: int, feature: int) -> LearnerError:
        return LearnerError(
            f"feature {self.action_features[feature]!r} of arm {self.arms[arm]!r} is not a finite "
            f"number up to {LARGEST:g}"
        )


def _floats(features: ArrayLike) -> Floats:
    try:
        return np.ascontiguousarray(features, np.float64)
    except (TypeError, ValueError) as error:
        raise LearnerError(f"features must be numbers: {error}") from None
