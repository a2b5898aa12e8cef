"""A published model for other arms than it was published with."""

from collections.abc import Sequence

import numpy as np

from .checks import names
from .errors import LearnerError
from .published import PublishedArms


def arranged(model: PublishedArms, arms: Sequence[str]) -> PublishedArms:
    """Return the same model of these arms, in this order.

    One that it does not know is believed of as one that nobody has tried, which takes a place
    without an arm: whoever publishes leaves one free.

    Parameters
    ----------
    model
        Published.
    arms
        Names, each given once.

    Raises
    ------
    LearnerError
        If a name is empty or given twice, or an arm is not known and no place is free.

    Examples
    --------
    >>> from nextbest.learners import BayesianRanker
    >>> ranker = BayesianRanker(["tea", "coffee", "free"])
    >>> place = ranker.retire_arm("free")
    >>> for i in range(40):
    ...     step = ranker.learn({}, None, i % 2, float(i % 2))
    >>> model = arranged(ranker.publish(), ["water", "tea"])
    >>> model.belief({}).probability.round(1).tolist()
    [0.5, 0.1]
    """
    names("arm", arms)
    known = {name: place for place, name in enumerate(model.arms) if name}
    free = model.arms.index("") if "" in model.arms else -1
    take = np.array([known.get(name, free) for name in arms], np.int64)
    if (take < 0).any():
        new = arms[int(np.argmin(take))]
        raise LearnerError(f"the model does not know arm {new!r} and has no place free")
    table, dense, action, weights = model.arrays
    both = np.concatenate((take, take + len(model.arms)))
    arrays = np.ascontiguousarray(table[:, :, both]), np.ascontiguousarray(dense[:, :, both])
    levels = None if model._levels is None else model._levels.arranged(arms)
    own = arms, model.action_features, model.version, model._encoder
    return PublishedArms(*own, (*arrays, action, weights), levels)
