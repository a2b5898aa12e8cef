"""The weights of a model of arms, for experts side by side, in arrays that grow."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .base import Step
from .checkpoint import Arrays, fill, sound
from .errors import LearnerError
from .kernels import bayes_belief
from .kernels import bayes_learn as parts

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Singles = NDArray[np.float32]

MAX_EXPERTS = 64

_NOT_NEGATIVE = ("variance", "action_variance", "chances")


class Expert(NamedTuple):
    """A setting that the ranker tries beside others.

    Attributes
    ----------
    prior_variance
        Variance of an arm's weight of a category or number before it has seen data.
    forgetting
        How far a weight's belief returns to its prior each time that it is used, in [0, 1).
    """

    prior_variance: float
    forgetting: float


class Scales(NamedTuple):
    """Prior variances of other weights, as multiples of the expert's `prior_variance`.

    Attributes
    ----------
    bias
        Of an arm's intercept.
    shared
        Of the weights that all arms share; 0 does without them.
    features
        Of the action features' weights.
    """

    bias: float
    shared: float
    features: float


def as_experts(pairs: Sequence[tuple[float, float]]) -> tuple[Expert, ...]:
    """Return the experts of pairs (prior variance, forgetting).

    Raises
    ------
    LearnerError
        If there are none or more than `MAX_EXPERTS`, or one is out of range.
    """
    if not 1 <= len(pairs) <= MAX_EXPERTS:
        raise LearnerError(f"there are 1 to {MAX_EXPERTS} experts, got {len(pairs)}")
    experts = []
    for i, (variance, forgetting) in enumerate(pairs):
        if not 1e-6 <= variance <= 1e6:
            raise LearnerError(f"prior variance of expert {i} must be in [1e-6, 1e6]: {variance!r}")
        if not 0.0 <= forgetting < 1.0:
            raise LearnerError(f"forgetting of expert {i} must be in [0, 1), got {forgetting!r}")
        experts.append(Expert(float(variance), float(forgetting)))
    return tuple(experts)


class ArmWeights:
    """Beliefs of E experts about all weights, laid out as `kernels.bayes_learn` says.

    Parameters
    ----------
    experts, scales
        The prior variances.
    share
        Of fixed share.
    numbers, action_features
        How many there are.

    Attributes
    ----------
    mean, variance, centre, root, action_mean, action_variance, prior, forgetting
        As in `kernels.bayes_learn`; growing replaces them.
    chances
        float64[E], the probability of each expert.
    """

    def __init__(
        self,
        experts: Sequence[Expert],
        scales: Scales,
        share: float,
        numbers: int,
        action_features: int,
    ) -> None:
        n = len(experts)
        self.share = share
        base = np.array([expert.prior_variance for expert in experts])
        self.forgetting = np.array([expert.forgetting for expert in experts])
        self.chances = np.full(n, 1.0 / n)
        self.prior = np.empty((parts.PARTS, n))
        for part in (parts.SHARED_BIAS, parts.SHARED_NUMBER, parts.SHARED_CATEGORY):
            self.prior[part] = scales.shared * base
        self.prior[parts.ARM_BIAS] = scales.bias * base
        self.prior[parts.ARM_NUMBER] = self.prior[parts.ARM_CATEGORY] = base
        self.prior[parts.ACTION_FEATURE] = scales.features * base
        self.action_mean = np.zeros((action_features, n))
        self.action_variance = np.tile(self.prior[parts.ACTION_FEATURE], (action_features, 1))
        self.mean = np.zeros((0, 0, n))
        self.variance = np.zeros((0, 0, n))
        self.centre = np.zeros((0, n, 1 + numbers))
        self.root = np.zeros((0, n, 1 + numbers, 1 + numbers))
        self.grow(0, 1)

    def grow(self, rows: int, slots: int) -> None:
        """Make room for at least so many category rows and slots; new ones are at the prior."""
        had_rows, had = self.mean.shape[:2]
        want_rows = had_rows if rows <= had_rows else max(rows, 2 * had_rows, 16)
        want = had if slots <= had else max(slots, had + had // 2)
        if (want_rows, want) == (had_rows, had):
            return
        shape = (want_rows, want, self.mean.shape[2])
        mean, variance = np.zeros(shape), np.empty(shape)
        variance[:, :1] = self.prior[parts.SHARED_CATEGORY]
        variance[:, 1:] = self.prior[parts.ARM_CATEGORY]
        mean[:had_rows, :had], variance[:had_rows, :had] = self.mean, self.variance
        self.mean, self.variance = mean, variance
        if want > had:
            centre = np.zeros((want, *self.centre.shape[1:]))
            root = np.zeros((want, *self.root.shape[1:]))
            centre[:had], root[:had] = self.centre, self.root
            self.centre, self.root = centre, root
            for slot in range(had, want):
                self.reset(slot)

    def reset(self, slot: int) -> None:
        """Take a slot back to the prior."""
        first = slot == 0
        bias, number, category = (
            (parts.SHARED_BIAS, parts.SHARED_NUMBER, parts.SHARED_CATEGORY)
            if first
            else (parts.ARM_BIAS, parts.ARM_NUMBER, parts.ARM_CATEGORY)
        )
        self.mean[:, slot] = 0.0
        self.variance[:, slot] = self.prior[category]
        self.centre[slot] = 0.0
        self.root[slot] = 0.0
        for i in range(self.root.shape[2]):
            self.root[slot, :, i, i] = np.sqrt(self.prior[number if i else bias])

    def used(self, rows: int, slots: int) -> dict[str, Floats]:
        """Return views of all that learning changes, of so many rows and slots."""
        return {
            "mean": self.mean[:rows, :slots],
            "variance": self.variance[:rows, :slots],
            "centre": self.centre[:slots],
            "root": self.root[:slots],
            "action_mean": self.action_mean,
            "action_variance": self.action_variance,
            "chances": self.chances,
        }

    def restore(self, arrays: Arrays, rows: int, slots: int) -> None:
        """Take over what others had in `used` of so many rows and slots.

        Raises
        ------
        LearnerError
            If an array is missing, of another shape, or holds no beliefs.
        """
        if arrays["mean"].shape[:2] != (rows, slots):  # before there is room for so many
            raise LearnerError(f"snapshot of weights {arrays['mean'].shape} of {rows} x {slots}")
        self.grow(rows, slots)
        for name, array in self.used(rows, slots).items():
            fill(array, arrays, name)
            sound(name, array, 0.0 if name in _NOT_NEGATIVE else -np.inf)
        if abs(float(self.chances.sum()) - 1.0) > 1e-6:
            raise LearnerError("snapshot of experts whose weights are no probabilities")

    def belief(self, rows: Indices, unseen: int, x: Floats, features: Floats) -> Floats:
        """Return mean, variance and probability of the K arms, float64[3, K]."""
        out = np.empty((3, len(features)))
        bayes_belief.belief(
            self.mean, self.variance, self.centre, self.root, self.action_mean,
            self.action_variance, self.prior, self.chances, rows, unseen, x, features, out,
        )  # fmt: skip
        return out

    def learn(
        self,
        rows: Indices,
        known: int,
        x: Floats,
        features: Floats,
        arm: int,
        reward: float,
        offset_mean: float,
        offset_variance: float,
    ) -> Step:
        """Learn one reward; rows from `known` on are new."""
        step, before = np.empty(2), np.empty(3)
        bayes_belief.learn(
            self.mean, self.variance, self.centre, self.root, self.action_mean,
            self.action_variance, self.prior, self.forgetting, self.chances, self.share,
            rows, known, x, features, arm, reward, offset_mean, offset_variance, step, before,
        )  # fmt: skip
        return Step(*step.tolist(), *before.tolist())

    def learn_rows(
        self,
        rows: Indices,
        x: Floats,
        features: Floats,
        arms: Indices,
        rewards: Floats,
        offsets: Floats,
    ) -> Floats:
        """Learn N rewards; return slope and curvature of each, float64[N, 2]."""
        out = np.empty((len(arms), 2))
        parts.learn_rows(
            self.mean, self.variance, self.centre, self.root, self.action_mean,
            self.action_variance, self.prior, self.forgetting, self.chances, self.share,
            rows, x, features, arms, rewards, offsets, out,
        )  # fmt: skip
        return out

    def contributions(
        self, rows: Indices, x: Floats, features: Floats, arm: int
    ) -> tuple[Floats, Floats, Floats]:
        """Return what each weight adds to the mean of an arm's logit.

        Shared and own parts of the dense block, float64[2, D], and of each row, float64[C, 2],
        and those of the action features, float64[A].
        """
        slots = [0, 1 + arm]
        dense = np.einsum("sei,e->si", self.centre[slots], self.chances) * x
        categories = self.mean[rows][:, slots] @ self.chances
        return dense, categories, self.action_mean @ self.chances * np.nan_to_num(features)

    def served(self, rows: int, arms: int, fold: bool) -> tuple[Singles, Singles, Singles, Floats]:
        """Return `table`, `dense`, `action` and `weights` of `kernels.bayes_serve`.

        With `fold`, means and variances are averaged over the experts by their probability, which
        makes one expert of them all.
        """
        mix = self.chances[None] if fold else np.eye(len(self.chances))
        n, own, width = len(mix), slice(1, 1 + arms), 2 * arms
        table = np.zeros((n, rows + 1, 2, arms))
        for kind, source in enumerate((self.mean, self.variance)):
            both = source[:rows, :1] + source[:rows, own]
            table[:, :rows, kind] = np.einsum("rke,fe->frk", both, mix)
        unseen = self.prior[parts.SHARED_CATEGORY] + self.prior[parts.ARM_CATEGORY]
        table[:, rows, 1] = (mix @ unseen)[:, None]
        i, j = np.tril_indices(self.centre.shape[2])
        twice = np.where(i == j, 1.0, 2.0)
        dense = np.zeros((n, len(i), 2, arms))
        for e in range(len(self.chances)):
            root = self.root[: 1 + arms, e]
            covariance = root @ root.swapaxes(1, 2)
            entries = (covariance[:1] + covariance[1:])[:, i, j] * twice
            dense[:, :, 1] += mix[:, e, None, None] * entries.T
        centre = np.einsum("sei,fe->fis", self.centre[: 1 + arms], mix)
        dense[:, j == 0, 0] = centre[:, :, :1] + centre[:, :, 1:]
        action = np.stack([mix @ self.action_mean.T, mix @ self.action_variance.T], axis=1)
        return (
            table.reshape(n, -1, width).astype(np.float32),
            dense.reshape(n, -1, width).astype(np.float32),
            np.ascontiguousarray(action, np.float32),
            np.ones(1) if fold else self.chances.copy(),
        )
