"""Strategies and models as they are in the store: their bytes."""

from __future__ import annotations

import msgspec

from ...learners import LearnerError
from ...learners.published import PublishedArms
from .errors import ModelError
from .models import load_model, publish

TAG_BYTES = 16
"""A model's bytes end with a checksum of them all."""


class Stored(msgspec.Struct, frozen=True):
    """A strategy's text, and the version that it is."""

    version: str
    text: str


def model_of(objective: str, data: bytes) -> PublishedArms:
    """Return the model that is in some bytes: one that was published, or that learns.

    Raises
    ------
    ModelError
        If there is none.

    Examples
    --------
    >>> from nextbest.learners import BayesianRanker, SegmentOfOne
    >>> model_of("sale", SegmentOfOne(BayesianRanker(["tea"])).publish().to_bytes()).arms
    ('tea',)
    """
    try:
        try:
            return PublishedArms.from_bytes(data)
        except LearnerError:
            return publish(load_model(data))
    except (LearnerError, ModelError) as error:
        raise ModelError(f"objective {objective!r}: {error}") from error
