"""A model of arms for one person, for whoever wants a model of arms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .base import NOTHING, Belief, Bools, Floats, Offset, Step
from .kernels import levels

if TYPE_CHECKING:
    from .personal import SegmentOfOne


class OnePerson:
    """A model of arms for one person: the shared model, their segments and their own weights.

    Examples
    --------
    >>> from nextbest.learners import BayesianRanker, SegmentOfOne
    >>> one = SegmentOfOne(BayesianRanker(["tea", "coffee"]))
    >>> ann = one.of(b"")
    >>> step = ann.learn({}, None, 1, 1.0)
    >>> bool(ann.belief({}).mean[1] > one.belief({}).mean[1]), len(ann.block)
    (True, 276)
    """

    def __init__(self, one: SegmentOfOne, block: bytes) -> None:
        self.one = one
        self.block = block
        """The person's weights, as of the last `learn`."""

    @property
    def arms(self) -> Sequence[str]:
        """The name of the arm at each place."""
        return self.one.arms

    @property
    def live(self) -> Bools:
        """bool[K], which places have an arm."""
        return self.one.live

    def belief(self, context: Mapping[str, Any], features: Floats | None = None) -> Belief:
        """Return what is believed of every place for this person."""
        return self.one.belief(context, features, self.block)

    def learn(
        self,
        context: Mapping[str, Any],
        features: Floats | None,
        arm: int,
        reward: float,
        offset: Offset = NOTHING,
    ) -> Step:
        """Learn that an arm got a reward from this person, at all levels."""
        parts = self.one._moments(context, arm, self.block)
        mean, variance = (math.fsum(column) for column in zip(*parts, strict=True))
        step, self.block = self.one._learn(context, features, arm, reward, self.block, offset)
        probability = levels.moved(step.mean, step.variance, step.probability, mean, variance)
        return Step(*step[:2], step.mean + mean, step.variance + variance, probability)
