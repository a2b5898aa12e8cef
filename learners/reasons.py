"""What speaks for and against an arm, in words and logits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .arm_weights import ArmWeights
from .context_encoder import ContextEncoder

Floats = NDArray[np.float64]


def reasons(
    weights: ArmWeights,
    encoder: ContextEncoder,
    action_features: Sequence[str],
    arm: tuple[int, str],
    inputs: tuple[NDArray[np.int64], Floats, Floats],
) -> list[tuple[str, float]]:
    """Return what each weight adds to the mean of an arm's logit, the largest first.

    Parameters
    ----------
    weights, encoder, action_features
        The model.
    arm
        Place and name.
    inputs
        Category rows int64[C], numbers float64[1 + N] and the arm's features float64[A].
    """
    place, name = arm
    rows, x, features = inputs
    dense, categories, action = weights.contributions(rows, x, features, place)
    parts = [("on average", dense[0, 0]), (f"arm = {name}", dense[1, 0])]
    for i, number in enumerate(encoder.numbers, start=1):
        parts += [(number, dense[0, i]), (f"{name} & {number}", dense[1, i])]
    for (shared, own), row in zip(categories, rows, strict=True):
        label = " = ".join(encoder.names[row])
        parts += [(label, shared), (f"{name} & {label}", own)]
    parts += zip(action_features, action, strict=True)
    return sorted(((label, float(part)) for label, part in parts), key=lambda part: -abs(part[1]))
