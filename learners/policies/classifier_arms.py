"""Any River classifier as the model of a bandit's arms."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from river import base

from ..base import NOTHING, Belief, Offset, Step
from ..errors import LearnerError
from ..kernels import adf

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ARM = "arm"
"""The name of the feature that tells arms apart, where all share one classifier."""
_LEAST = 1e-9  # a probability of 0 or 1 has no logit


class ClassifierArms:
    """A River classifier that predicts whether an arm gets a reward: an `ArmModel`.

    What a classifier is shown is the context's entries and the arm's action features by name.
    None in a context and NaN in the features are missing and left out.

    How sure a model is of its logit, which `Thompson` and `LinUCB` need, is asked of a classifier
    with a method `logit_one`, such as `ADFLogisticRegression`. Others do not tell; for them the
    variance is what `n` rewards of the arm alone would leave of `prior_variance`,
    `1 / (1 / prior_variance + n p (1 - p))`: honest of an arm's overall rate, blind to how much is
    known in this context.

    Parameters
    ----------
    classifier
        With `predict_proba_one`; it is cloned, never taught itself.
    arms
        Their names.
    features
        Names of the action features.
    shared
        False: one classifier an arm. True: one for all, with the arm as a feature, `ARM`; it
        must take strings, or come behind a River transformer that does.
    prior_variance
        Variance of an arm's logit before its first reward, if the classifier tells none.
    max_arms
        Bound of the places.

    Raises
    ------
    LearnerError
        If there are no or too many arms, a name is empty or given twice, or the variance is not
        positive.

    Examples
    --------
    >>> from river import compose, linear_model, preprocessing
    >>> shared = preprocessing.OneHotEncoder() | linear_model.LogisticRegression()
    >>> model = ClassifierArms(shared, ["tea", "coffee"], shared=True)
    >>> step = model.learn({"hour": "morning"}, None, 1, 1.0)
    >>> model.belief({"hour": "morning"}).probability.round(4).tolist()
    [0.5025, 0.5037]
    """

    def __init__(
        self,
        classifier: base.Classifier,
        arms: Sequence[str],
        features: Sequence[str] = (),
        *,
        shared: bool = False,
        prior_variance: float = 1.0,
        max_arms: int = 10_000,
    ) -> None:
        if not 0.0 < prior_variance < math.inf:
            raise LearnerError(f"prior_variance must be positive, got {prior_variance}")
        self.features, self.shared = tuple(features), shared
        for i, name in enumerate(self.features):
            if not isinstance(name, str) or not name or name in (ARM, *self.features[:i]):
                raise LearnerError(f"feature {i} must be a name of its own, got {name!r}")
        self._prior_variance, self._max_arms = float(prior_variance), max_arms
        self._pristine = classifier.clone()
        self._shared = classifier.clone()
        self._models: list[Any] = []
        self._counts: list[int] = []
        self._names: list[str] = []
        self._live = np.zeros(0, np.bool_)
        for arm in arms:
            self.add_arm(arm)

    @property
    def arms(self) -> Sequence[str]:
        """The name of the arm at each place; empty where there is none."""
        return tuple(self._names)

    @property
    def live(self) -> Bools:
        """bool[K], which places have an arm."""
        return self._live

    def add_arm(self, arm: str) -> int:
        """Add an arm, at the first place that is free; return the place.

        Raises
        ------
        LearnerError
            If the name is empty or taken, or there is no room.
        """
        if not isinstance(arm, str) or not arm:
            raise LearnerError(f"an arm must have a name, got {arm!r}")
        if arm in self._names:
            raise LearnerError(f"arm {arm!r} is given twice")
        model = self._shared if self.shared else self._pristine.clone()
        if "" in self._names:
            place = self._names.index("")
            self._names[place], self._models[place], self._counts[place] = arm, model, 0
            live = self._live.copy()
        else:
            place = len(self._names)
            if place >= self._max_arms:
                raise LearnerError(f"no room for arm {arm!r}: max_arms is {self._max_arms}")
            self._names.append(arm)
            self._models.append(model)
            self._counts.append(0)
            live = np.append(self._live, False)
        live[place] = True
        self._live = live  # a new array: masks handed out before stay as they were
        return place

    def retire_arm(self, arm: str) -> None:
        """Take an arm away; its place is free. What a shared classifier learned of it stays.

        Raises
        ------
        LearnerError
            If the arm is unknown.
        """
        if not arm or arm not in self._names:
            raise LearnerError(f"unknown arm {arm!r}")
        place = self._names.index(arm)
        self._names[place] = ""
        self._live = self._live.copy()
        self._live[place] = False

    def anew(self) -> Self:
        """Return a model with the same arms, at their places, that has learned nothing."""
        made = type(self)(
            self._pristine, (), self.features, shared=self.shared,
            prior_variance=self._prior_variance, max_arms=self._max_arms,
        )  # fmt: skip
        made._names, made._live = list(self._names), self._live.copy()
        made._counts = [0] * len(self._names)
        made._models = [
            made._shared if self.shared else self._pristine.clone() for _ in self._names
        ]
        return made

    def belief(self, context: Mapping[str, Any], features: Floats | None = None) -> Belief:
        """Return what is believed of every place; see `ArmModel`. Free places: 0, 0 and 0.5.

        Raises
        ------
        LearnerError
            If a shape is wrong or the classifier's answer is no probability.
        """
        out = np.zeros((3, len(self._names)))
        out[2] = 0.5
        for place in np.flatnonzero(self._live):
            x = self._observation(context, features, int(place))
            out[:, place] = self._moments(x, int(place))
        return Belief(out[0], out[1], out[2])

    def learn(
        self,
        context: Mapping[str, Any],
        features: Floats | None,
        arm: int,
        reward: float,
        offset: Offset = NOTHING,
    ) -> Step:
        """Learn a reward, which must be 0 or 1 for a classifier; see `ArmModel`.

        Raises
        ------
        LearnerError
            If the place has no arm, the reward is neither 0 nor 1, a shape is wrong, or there is
            an offset, which a classifier cannot learn jointly with.
        """
        if not 0 <= arm < len(self._names) or not self._live[arm]:
            raise LearnerError(f"unknown arm {arm!r}")
        if reward not in (0.0, 1.0):
            raise LearnerError(f"a classifier learns rewards of 0 or 1, got {reward!r}")
        if offset != NOTHING:
            raise LearnerError("a classifier cannot learn jointly with weights outside of it")
        x = self._observation(context, features, arm)
        z, s, foretold = self._moments(x, arm)
        self._models[arm].learn_one(x, bool(reward))
        self._counts[arm] += 1
        p = adf.sigmoid(z)
        h = p * (1.0 - p)
        return Step((reward - p) / (1.0 + h * s), h / (1.0 + h * s), z, s, foretold)

    def _observation(
        self, context: Mapping[str, Any], features: Floats | None, place: int
    ) -> dict[Hashable, Any]:
        x: dict[Hashable, Any] = {k: v for k, v in context.items() if v is not None}
        if self.features or features is not None:
            shape = (len(self._names), len(self.features))
            if features is None or features.shape != shape:
                found = None if features is None else features.shape
                raise LearnerError(f"features must be float64{shape}, got {found}")
            named = zip(self.features, features[place].tolist(), strict=True)
            x.update((name, value) for name, value in named if not math.isnan(value))
        if self.shared:
            x[ARM] = self._names[place]
        return x

    def _moments(self, x: dict[Hashable, Any], place: int) -> tuple[float, float, float]:
        model = self._models[place]
        if hasattr(model, "logit_one"):
            z, s = model.logit_one(x)
            return z, s, adf.moderated(z, s)
        answer = model.predict_proba_one(x)
        p = float(answer.get(True, 0.0 if answer else 0.5))
        if not 0.0 <= p <= 1.0:
            raise LearnerError(f"{model} gives arm {self._names[place]!r} the probability {p}")
        inner = min(max(p, _LEAST), 1.0 - _LEAST)
        known = self._counts[place] * inner * (1.0 - inner)
        return math.log(inner / (1.0 - inner)), 1.0 / (1.0 / self._prior_variance + known), p
