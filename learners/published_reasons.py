"""What speaks for and against an arm of a published model, in words and logits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import arm_checks as check
from .published import PublishedArms

Floats = NDArray[np.float64]

AVERAGE = "on average"
"""The reason that is no input: what is true of the arm in any context."""


def published_reasons(
    model: PublishedArms,
    context: Mapping[str, Any],
    features: ArrayLike | None,
    arm: int,
    person: bytes | None = None,
    top: int | None = None,
) -> list[tuple[str, float]]:
    """Return what each input adds to the mean of an arm's logit, the largest first.

    All contributions together are the mean in `PublishedArms.belief`, to single precision. What
    all arms share and what is the arm's own are one contribution here.

    Parameters
    ----------
    model
        Published.
    context, person
        As in `PublishedArms.belief`.
    features
        The arm's own, float64[A]; None if the model has none.
    arm
        Its place.
    top
        Keep only so many of the largest contributions; None for all.

    Raises
    ------
    LearnerError
        As `PublishedArms.belief`, or if there is no such place.

    Examples
    --------
    >>> from nextbest.learners import BayesianRanker
    >>> ranker = BayesianRanker(["tea", "coffee"], contexts=["hour"])
    >>> for i in range(40):
    ...     step = ranker.learn({"hour": "noon"}, None, i % 2, float(i % 2))
    >>> found = published_reasons(ranker.publish(), {"hour": "noon"}, None, 1)
    >>> [(name, logit > 0.5) for name, logit in found]
    [('on average', True), ('hour = noon', True)]
    """
    check.known_place(arm, model.arms)
    row = check.features(features, (len(model.action_features),), model.action_features)
    table, dense, action, weights = model.arrays
    encoder = model._encoder
    encoded = encoder.encode(context)
    parts = [(AVERAGE, float(weights @ dense[:, 0, arm]))]
    for i, name in enumerate(encoder.numbers, start=1):
        at = i * (i + 1) // 2  # where the number stands alone in the packed triangle
        parts.append((name, float(weights @ dense[:, at, arm]) * float(encoded.x[i])))
    parts += [
        (" = ".join(encoder.names[place]), float(weights @ table[:, place, arm]))
        for place in encoded.rows.tolist()
    ]
    own: Floats = (weights @ action[:, 0]) * np.nan_to_num(row)
    parts += zip(model.action_features, own.tolist(), strict=True)
    if model._levels is not None:
        parts += model._levels.reasons(context, person, arm)
    parts.sort(key=lambda part: -abs(part[1]))
    return parts[:top]
