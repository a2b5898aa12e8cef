"""What a model of arms refuses, with an error that names it."""

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import Offset
from .checks import count, names
from .errors import LearnerError
from .kernels.limits import LARGEST

Floats = NDArray[np.float64]

MAX_NUMBERS = 63
"""The most numbers of a context: with the intercept, a dense block of 64."""


def declaration(
    arms: Sequence[str],
    numbers: Sequence[str],
    contexts: Sequence[str],
    action_features: Sequence[str],
) -> None:
    """Refuse names that a model cannot have."""
    if not arms:
        raise LearnerError("a ranker needs at least one arm")
    if len(numbers) > MAX_NUMBERS:
        raise LearnerError(f"at most {MAX_NUMBERS} numbers, got {len(numbers)}")
    names("context", [*numbers, *contexts])
    names("action feature", action_features)
    names("arm", arms)


def new_arm(name: str, known: Container[str]) -> None:
    """Refuse what is no name, or an arm's already."""
    names("arm", [name, name] if name in known else [name])


def at_places(arms: Sequence[str]) -> Sequence[str]:
    """Return a snapshot's arms by place, empty where there is none."""
    names("arm", [arm for arm in arms if arm != ""])
    return arms


def categories(values: Mapping[str, Any]) -> tuple[Sequence[tuple[str, str]], Sequence[int]]:
    """Return the categories of a snapshot's contexts, and the contexts that take no more."""
    contexts, known, closed = (values[key] for key in ("contexts", "categories", "closed"))
    seen: set[tuple[str, str]] = set()
    for name, category in known:
        if name not in contexts or not isinstance(category, str) or (name, category) in seen:
            raise LearnerError(f"no category, or given twice: {category!r:.40} of {name!r:.40}")
        seen.add((name, category))
    if any(count("a closed context", c) >= len(contexts) for c in closed):
        raise LearnerError(f"closed contexts {closed!r:.40} of {len(contexts)}")
    return known, closed


def share(value: float) -> float:
    """Return a part of a whole."""
    if not 0.0 <= value <= 1.0:
        raise LearnerError(f"share must be in [0, 1], got {value!r}")
    return float(value)


def scale(what: str, value: float, least: float) -> float:
    """Return a multiple of a variance in [least, 1e6]."""
    if not least <= value <= 1e6:
        raise LearnerError(f"{what} must be in [{least:g}, 1e6], got {value!r}")
    return float(value)


def at_least_one(what: str, value: int) -> int:
    """Return a bound that allows for something."""
    if value < 1:
        raise LearnerError(f"{what} must be at least 1, got {value!r}")
    return int(value)


def floats(what: str, values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Return a copy of numbers, float64 of a shape."""
    try:
        array = np.array(values, np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise LearnerError(f"{what} must be numbers: {error}") from None
    if array.shape != shape:
        raise LearnerError(f"{what} must be float64{shape}, got {array.shape}")
    return array


def features(values: ArrayLike | None, shape: tuple[int, ...], known: Sequence[str]) -> Floats:
    """Return action features of a shape whose last axis is `known`; NaN is missing."""
    if values is None and known:
        raise LearnerError(f"features must be float64{shape}, got None")
    array = floats("features", np.empty(shape) if values is None else values, shape)
    for *at, f in np.argwhere(np.abs(array) > LARGEST)[:1].tolist():
        where = f" in row {at[0]}" if at else ""
        raise LearnerError(f"feature {known[f]!r}{where} is not finite: {array[(*at, f)]!r}")
    return array


def arm_row(
    values: ArrayLike | None, arm: int, live: Sequence[str], known: Sequence[str]
) -> Floats:
    """Return float64[A], an arm's features: given alone, as float64[1, A], or in float64[K, A]."""
    known_place(arm, live)
    if values is not None and np.ndim(values) == 2:
        row = np.shape(values) == (1, len(known))
        shape = (1 if row else len(live), len(known))
        values = floats("features", values, shape)[0 if row else arm]
    return features(values, (len(known),), known)


def places(arms: ArrayLike, live: Sequence[str]) -> NDArray[np.int64]:
    """Return int64[N], places that have an arm each."""
    array = np.asarray(arms)
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise LearnerError(f"arms must be int64[N], got {array.dtype}{list(array.shape)}")
    for place in np.unique(array).tolist():
        known_place(place, live)
    return array.astype(np.int64)


def known_place(arm: int, live: Sequence[str]) -> None:
    """Refuse a place without an arm."""
    if not 0 <= arm < len(live):
        raise LearnerError(f"unknown arm {arm!r}: there are {len(live)} places, from 0")
    if not live[arm]:
        raise LearnerError(f"the arm at place {arm} was retired")


def rewards(values: ArrayLike, n: int) -> Floats:
    """Return float64[n] in [0, 1]."""
    array = floats("rewards", values, (n,))
    for bad in array[~((array >= 0.0) & (array <= 1.0))][:1].tolist():
        reward(bad)
    return array


def reward(value: float) -> float:
    """Return a reward in [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise LearnerError(f"reward must be in [0, 1], got {value!r}")
    return float(value)


def offset(given: Offset) -> tuple[float, float]:
    """Return mean and variance of the part of a logit that is made outside."""
    mean, variance = given
    if not (math.isfinite(mean) and abs(mean) <= LARGEST and 0.0 <= variance <= LARGEST):
        raise LearnerError(f"an offset is a finite mean and a variance, got {mean!r}, {variance!r}")
    return float(mean), float(variance)


def offsets(values: ArrayLike | None, n: int) -> Floats:
    """Return float64[n, 2], means and variances."""
    if values is None:
        return np.zeros((n, 2))
    array = floats("offsets", values, (n, 2))
    fit = (np.abs(array) <= LARGEST).all(axis=1) & (array[:, 1] >= 0.0)
    for pair in array[~fit][:1].tolist():
        offset(Offset(*pair))
    return array
