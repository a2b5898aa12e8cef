"""What a policy asks of a model, and how one says which arms may be chosen."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base import Belief
from ..errors import LearnerError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Eligible = Bools | Sequence[bool] | Iterable[str]


class Believer(Protocol):
    """The part of an `ArmModel` that is enough to choose: that of a published model too."""

    @property
    def arms(self) -> Sequence[str]:
        """The name of the arm at each place; empty where there is none."""

    @property
    def live(self) -> Bools:
        """bool[K], which places have an arm."""

    def belief(self, context: Mapping[str, Any], features: Floats | None = None) -> Belief:
        """Return what is believed of every place."""


def mask(model: Believer, eligible: Eligible | None) -> Bools:
    """Return which places may be chosen, bool[K].

    Parameters
    ----------
    eligible
        bool[K], or names of arms; None for all there are. Places without an arm never are.

    Raises
    ------
    LearnerError
        If an arm is unknown, none is named or a shape is wrong.
    """
    live = np.asarray(model.live)
    if eligible is None:
        return live
    if not isinstance(eligible, np.ndarray):
        eligible = list(eligible)
        if eligible and isinstance(eligible[0], str):
            chosen = np.zeros(len(live), np.bool_)
            places = {name: i for i, name in enumerate(model.arms) if live[i]}
            for name in eligible:
                if name not in places:
                    raise LearnerError(f"unknown arm {name!r} among the eligible")
                chosen[places[name]] = True
            return chosen
    given = np.asarray(eligible)
    if given.size == 0:
        raise LearnerError("no arm is eligible")
    if given.shape != live.shape or given.dtype != np.bool_:
        raise LearnerError(
            f"eligible must be names or bool[{len(live)}], got {given.dtype}{list(given.shape)}"
        )
    return given & live


def matrix(features: ArrayLike | None) -> Floats | None:
    """Return action features as float64; what is no number is a `LearnerError`."""
    if features is None:
        return None
    try:
        return np.ascontiguousarray(features, np.float64)
    except (TypeError, ValueError) as error:
        raise LearnerError(f"features must be numbers: {error}") from None
