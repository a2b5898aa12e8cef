"""Labels and importance weights of observations, checked."""

from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import LearnerError
from .kernels.limits import LARGEST

Floats = NDArray[np.float64]
Target = Any
"""bool[n], or a Series or Arrow array of booleans."""


def label_of(y: object) -> float:
    """Return a label as 0 or 1.

    Raises
    ------
    LearnerError
        If it is not True or False.

    Examples
    --------
    >>> label_of(True)
    1.0
    """
    if y is True or y is False or (isinstance(y, Number | np.bool_) and y in (0, 1)):
        return float(bool(y))
    raise LearnerError(f"a label must be True or False, got {y!r}")


def labels_of(y: Target, n: int) -> Floats:
    """Return n labels as float64[n] of 0 and 1.

    Raises
    ------
    LearnerError
        If one is not True or False, or there are not n.

    Examples
    --------
    >>> labels_of([True, False], 2).tolist()
    [1.0, 0.0]
    """
    labels = np.asarray(y)
    if labels.shape != (n,):
        raise LearnerError(f"{n} rows but labels of shape {labels.shape}")
    if labels.dtype.kind == "b":
        return labels.astype(np.float64)
    if labels.dtype.kind in "iuf":
        wrong = (labels != 0) & (labels != 1)
        if wrong.any():
            raise LearnerError(f"a label must be True or False, got {labels[wrong][0]}")
        return labels.astype(np.float64)
    return np.array([label_of(label) for label in labels.tolist()], np.float64)


def weights_of(w: Any, n: int) -> Floats:
    """Return a weight for each of n observations as float64[n].

    Raises
    ------
    LearnerError
        If one is negative or not finite, or there are neither one nor n.

    Examples
    --------
    >>> weights_of(0.5, 2).tolist()
    [0.5, 0.5]
    """
    try:
        weights = np.asarray(w, np.float64)
        weights = np.ascontiguousarray(np.broadcast_to(weights, (n,)))
    except (TypeError, ValueError):
        raise LearnerError(f"{n} rows, but weights that are not as many numbers") from None
    wrong = ~((weights >= 0.0) & (weights <= LARGEST))
    if wrong.any():
        raise LearnerError(f"a weight must be finite and not negative, got {weights[wrong][0]}")
    return weights
