"""The Bayesian ranker's model: K arms that pool what they share, and experts that tune it."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from . import arm_checks as check
from .arm_weights import ArmWeights, Scales, as_experts
from .base import NOTHING, Belief, Bools, Floats, Offset, Step
from .checkpoint import pack, reading, unpack
from .checks import count
from .context_encoder import ContextEncoder
from .errors import LearnerError
from .published import PublishedArms
from .reasons import reasons

EXPERTS = as_experts([(v, f) for v in (0.01, 0.05, 0.3, 1, 3) for f in (0, 1e-3)] + [(0.3, 1e-2)])
"""The experts that a ranker starts with unless it is told others."""

_KIND = "BayesianRanker"
_DECLARED = ("numbers", "contexts", "action_features", "experts")


class BayesianRanker:
    """Believe in the reward of K arms: Bayesian logistic regression, learned one by one.

    An arm's logit is the sum of what all arms share and what is the arm's own, each with an
    intercept, a weight a number (intercept and numbers with their full covariance) and a weight
    a category, and of the action features, with one weight each shared by all arms. Every
    weight has a Gaussian belief, and all weights of an observation learn in one joint step
    (assumed-density filtering). An arm that nobody has tried is what all arms share, with the
    uncertainty of its own weights.

    Several experts, settings of prior variance and forgetting, learn side by side. Their weights
    follow their likelihoods, with a fixed share that lets any of them come back; a prediction is
    the average of theirs, so that nothing has to be tuned.

    Parameters
    ----------
    arms, contexts
        Names of the arms, and of the categorical contexts.
    numbers
        Names of the numeric contexts, at most 63. They are taken as they are: give them a
        scale of about 1.
    action_features
        Names of the A features of an action.
    experts
        Prior variance and forgetting of each expert; one is allowed, and cheap.
    share
        Part of the experts' weight that is dealt out anew with every observation, in [0, 1].
    bias_scale, shared_scale, feature_scale
        Prior variances of an arm's intercept, of the shared weights and of the action features'
        weights, as multiples of the expert's; `shared_scale=0` does without what is shared.
    max_categories
        Bound of the categories of one context; later ones share one category, `OTHER`.
    max_arms
        Bound of the arms.
    max_weights
        Bound of memory, in (1 + arms) x experts x (categories + (1 + numbers)²), 16 bytes each:
        there is no room for further arms then, and further categories share `OTHER` too.

    Raises
    ------
    LearnerError
        If a name is empty or given twice, there is no arm, a setting is out of range, or there
        is no room for the arms.

    Examples
    --------
    >>> ranker = BayesianRanker(["tea", "coffee"], numbers=["age"], contexts=["hour"])
    >>> for i in range(300):
    ...     step = ranker.learn({"hour": "morning", "age": 0.3}, None, i % 2, float(i % 2))
    >>> ranker.belief({"hour": "morning", "age": 0.3}).probability.round(2).tolist()
    [0.01, 0.99]
    >>> ranker.add_arm("water")
    2
    >>> round(float(ranker.belief({"hour": "morning"}).probability[2]), 1)
    0.5

    References
    ----------
    Graepel et al. (2010), as in `ADFLogisticRegression`; Herbster and Warmuth (1998), "Tracking
    the best expert", section 4. See `kernels.bayes_learn` for the update's form and stability.
    """

    def __init__(
        self,
        arms: Sequence[str],
        *,
        numbers: Sequence[str] = (),
        contexts: Sequence[str] = (),
        action_features: Sequence[str] = (),
        experts: Sequence[tuple[float, float]] = EXPERTS,
        share: float = 1e-4,
        bias_scale: float = 1.0,
        shared_scale: float = 1.0,
        feature_scale: float = 1.0,
        max_categories: int = 1000,
        max_arms: int = 10_000,
        max_weights: int = 50_000_000,
    ) -> None:
        self.experts = as_experts(experts)
        check.declaration(arms, numbers, contexts, action_features)
        self.numbers, self.contexts = tuple(numbers), tuple(contexts)
        self.action_features = tuple(action_features)
        # Also what a snapshot restores the ranker from.
        self._settings: dict[str, Any] = {
            "share": check.share(share),
            "bias_scale": check.scale("bias_scale", bias_scale, least=1e-6),
            "shared_scale": check.scale("shared_scale", shared_scale, least=0.0),
            "feature_scale": check.scale("feature_scale", feature_scale, least=1e-6),
            "max_categories": check.at_least_one("max_categories", max_categories),
            "max_arms": check.at_least_one("max_arms", max_arms),
            "max_weights": check.at_least_one("max_weights", max_weights),
        }
        self.updates = 0
        """Rewards learned so far: the version of the model."""
        self._encoder = ContextEncoder(self.numbers, self.contexts, max_categories)
        scales = Scales(bias_scale, shared_scale, feature_scale)
        self._weights = ArmWeights(
            self.experts, scales, float(share), len(numbers), len(action_features)
        )
        self._arms: list[str] = []
        self._live: Bools | None = None
        self._places: dict[str, int] = {}
        for arm in arms:
            self.add_arm(arm)

    @property
    def arms(self) -> tuple[str, ...]:
        """Name of the arm at each place; empty where there is none."""
        return tuple(self._arms)

    @property
    def live(self) -> Bools:
        """bool[K], which places have an arm; not to be written."""
        if self._live is None:
            self._live = np.array([arm != "" for arm in self._arms])
        return self._live

    @property
    def expert_weights(self) -> Floats:
        """float64[E], how probable each expert is after what was learned."""
        return self._weights.chances.copy()

    def place(self, arm: str) -> int:
        """Return the place of an arm.

        Raises
        ------
        LearnerError
            If there is no such arm.
        """
        if arm not in self._places:
            raise LearnerError(f"unknown arm {arm!r}")
        return self._places[arm]

    def add_arm(self, name: str) -> int:
        """Add an arm, at the first free place, and return the place.

        Raises
        ------
        LearnerError
            If the name is empty or there already, or there is no room.
        """
        check.new_arm(name, self._places)
        free = self._arms.index("") if len(self._places) < len(self._arms) else len(self._arms)
        if free == len(self._arms):
            full = "max_weights" if self._encoder.reserved > self._most_rows(free + 1) else ""
            full = "max_arms" if free >= self._settings["max_arms"] else full
            if full:
                raise LearnerError(f"no room for arm {name!r}: {full} is {self._settings[full]}")
            self._weights.grow(0, free + 2)
            self._arms.append("")
        self._arms[free], self._places[name], self._live = name, free, None
        return free

    def retire_arm(self, name: str) -> int:
        """Forget an arm and return its place, which the next new arm takes.

        What all arms share keeps what it learned from it.

        Raises
        ------
        LearnerError
            If there is no such arm.
        """
        place = self.place(name)
        del self._places[name]
        self._arms[place], self._live = "", None
        self._weights.reset(1 + place)
        return place

    def belief(self, context: Mapping[str, Any], features: ArrayLike | None = None) -> Belief:
        """Return what is believed of every place.

        Mean and variance are those of the mixture of the experts' Gaussian beliefs, the
        probability is the average of their predictive probabilities. A place without an arm
        is believed of as of a new arm.

        Parameters
        ----------
        context
            Numbers and categories by name; None or absent is missing: a category of its own,
            and a number of 0. Names that the ranker does not know are ignored.
        features
            float64[K, A], action features; NaN is missing and contributes nothing. None if the
            model has none.

        Raises
        ------
        LearnerError
            If a value cannot be used or a shape is wrong.
        """
        matrix = check.features(features, self._shape, self.action_features)
        return Belief(*self._weights.belief(*self._encoder.encode(context), matrix))

    def learn(
        self,
        context: Mapping[str, Any],
        features: ArrayLike | None,
        arm: int,
        reward: float,
        offset: Offset = NOTHING,
    ) -> Step:
        """Learn the reward of one arm.

        Parameters
        ----------
        context, features
            As in `belief`; of the features the arm's row alone, float64[A] or [1, A], is enough.
        arm
            Place of the arm.
        reward
            In [0, 1].
        offset
            What weights outside of the model add to the logit; they learn in the same step.

        Returns
        -------
        What the observation says to the weights outside, the average over the experts by their
        weights before it; and the arm's entry of `belief` before it, bit for bit.

        Raises
        ------
        LearnerError
            If a value cannot be used, a shape is wrong or there is no such arm; then nothing is
            learned.
        """
        row, y = self._row(features, arm), check.reward(reward)
        mean, variance = check.offset(offset)
        known = len(self._encoder.names)
        rows, x = self._encoder.learn(context, self._most_rows(len(self._arms)))
        self._weights.grow(len(self._encoder.names), 0)
        step = self._weights.learn(rows, known, x, row, arm, y, mean, variance)
        self.updates += 1
        return step

    def learn_many(
        self,
        contexts: Mapping[str, Any],
        features: ArrayLike | None,
        arms: ArrayLike,
        rewards: ArrayLike,
        offsets: ArrayLike | None = None,
    ) -> Floats:
        """Learn N rewards one after the other: the same bits as `learn` in that order.

        Either all are learned or, if one cannot be, none.

        Parameters
        ----------
        contexts
            Columns of N values by name: lists, arrays, or a frame.
        features
            float64[N, A], each chosen arm's features; NaN is missing. None if there are none.
        arms
            int64[N], places.
        rewards
            float64[N], in [0, 1].
        offsets
            float64[N, 2], means and variances; None for none.

        Returns
        -------
        float64[N, 2], slope and curvature of each step.

        Raises
        ------
        LearnerError
            As `learn`, or if lengths differ.
        """
        places = check.places(arms, self._arms)
        n = len(places)
        y, pairs = check.rewards(rewards, n), check.offsets(offsets, n)
        matrix = check.features(features, (n, len(self.action_features)), self.action_features)
        rows, x = self._encoder.learn_columns(contexts, n, self._most_rows(len(self._arms)))
        self._weights.grow(len(self._encoder.names), 0)
        steps = self._weights.learn_rows(rows, x, matrix, places, y, pairs)
        self.updates += n
        return steps

    def explain(
        self,
        context: Mapping[str, Any],
        features: ArrayLike | None,
        arm: int,
        top: int | None = None,
    ) -> list[tuple[str, float]]:
        """Return what speaks for (positive) and against (negative) an arm, in logits.

        All contributions together are the mean of the arm's logit in `belief`.

        Parameters
        ----------
        context, features, arm
            As in `learn`.
        top
            Keep only so many of the largest contributions; None for all.

        Raises
        ------
        LearnerError
            As `learn`.
        """
        row = self._row(features, arm)
        rows, _, x = self._encoder.encode(context)
        at = (arm, self._arms[arm]), (rows, x, row)
        return reasons(self._weights, self._encoder, self.action_features, *at)[:top]

    def anew(self) -> Self:
        """Return a ranker with the same arms, at their places, that has learned nothing."""
        own = {name: getattr(self, name) for name in _DECLARED}
        return self._at_places(self._arms, {**own, **self._settings})

    def publish(self, fold: bool = False, spare: bool = False) -> PublishedArms:
        """Return a fast copy of the model that decides and no longer learns.

        With `fold` the experts are averaged into one, which is faster and not quite the same. With
        `spare` it has a place without an arm, one more if need be: of it is believed what is
        believed of an arm that nobody has tried.
        """
        arms = (*self._arms, "") if spare and "" not in self._arms else self.arms
        self._weights.grow(0, 1 + len(arms))
        arrays = self._weights.served(len(self._encoder.names), len(arms), fold)
        encoder = self._encoder.copy()
        return PublishedArms(arms, self.action_features, self.updates, encoder, arrays)

    def to_bytes(self) -> bytes:
        """Return a snapshot, from which `from_bytes` makes an equal ranker."""
        values = {
            "arms": self._arms,
            "numbers": self.numbers,
            "contexts": self.contexts,
            "action_features": self.action_features,
            "experts": self.experts,
            "settings": self._settings,
            "updates": self.updates,
            "categories": self._encoder.names,
            "closed": sorted(self._encoder.closed),
        }
        used = self._weights.used(len(self._encoder.names), 1 + len(self._arms))
        return pack(_KIND, values, used)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the ranker of a snapshot; it continues bit for bit.

        Raises
        ------
        LearnerError
            If the bytes are damaged, or of another version or kind.
        """
        values, arrays = unpack(data, _KIND)
        with reading(_KIND):
            settings = {key: values[key] for key in _DECLARED} | values["settings"]
            ranker = cls._at_places(check.at_places(values["arms"]), settings)
            ranker._encoder.restore(*check.categories(values))
            ranker._weights.restore(arrays, len(values["categories"]), 1 + len(values["arms"]))
            ranker.updates = count("updates", values["updates"])
        return ranker

    @classmethod
    def _at_places(cls, arms: Sequence[str], settings: Mapping[str, Any]) -> Self:
        ranker = cls([str(i) for i in range(len(arms))], **settings)
        ranker._arms, ranker._places = list(arms), {arm: i for i, arm in enumerate(arms) if arm}
        return ranker

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self._arms), len(self.action_features)

    def _most_rows(self, arms: int) -> int:
        weights: int = self._settings["max_weights"]
        return weights // ((1 + arms) * len(self.experts)) - (1 + len(self.numbers)) ** 2

    def _row(self, features: ArrayLike | None, arm: int) -> Floats:
        return check.arm_row(features, arm, self._arms, self.action_features)
