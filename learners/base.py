"""What a model of arms offers to whoever explores, ranks or explains with it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Belief(NamedTuple):
    """What a model believes of the K places of its arms, in one context.

    Attributes
    ----------
    mean, variance
        float64[K], of the logit of reward 1: a Gaussian belief.
    probability
        float64[K], the predictive probability of reward 1.
    """

    mean: Floats
    variance: Floats
    probability: Floats


class Offset(NamedTuple):
    """A part of an arm's logit that weights outside of the model make: a Gaussian belief."""

    mean: float
    variance: float


class Step(NamedTuple):
    """What an observation says to every weight of its logit, those outside of the model too.

    A weight with value ``x`` and belief ``N(m, v)`` becomes ``m + v x slope`` and
    ``v - v² x² curvature``.

    Attributes
    ----------
    slope, curvature
        Of the logit.
    mean, variance, probability
        What `ArmModel.belief` said of the arm before it was learned: without weights outside.
    """

    slope: float
    curvature: float
    mean: float
    variance: float
    probability: float


NOTHING = Offset(0.0, 0.0)


class ArmModel(Protocol):
    """A model of the reward of K arms, which learns one observation at a time.

    A place whose arm was retired keeps its number until a new arm takes it; `live` says which
    places have an arm.
    """

    @property
    def arms(self) -> Sequence[str]:
        """The name of the arm at each place; empty where there is none."""

    @property
    def live(self) -> Bools:
        """bool[K], which places have an arm."""

    def belief(self, context: Mapping[str, Any], features: Floats | None = None) -> Belief:
        """Return what is believed of every place.

        Parameters
        ----------
        context
            Numbers and categories by name; None or absent is missing.
        features
            float64[K, A], action features; NaN is missing. None if the model has none.
        """

    def learn(
        self,
        context: Mapping[str, Any],
        features: Floats | None,
        arm: int,
        reward: float,
        offset: Offset = NOTHING,
    ) -> Step:
        """Learn that the arm at a place got a reward in [0, 1]; ``features`` as in `belief`.

        With an offset, the model and the weights outside of it learn in one joint step.
        """
