"""Our side of the quality scenarios, in one compiled loop: believe, explore, learn.

The loop runs `BayesianRanker`'s own kernels with SquareCB's, so that ten seeds of a year of
decisions take seconds; a test compares it with the same loop through the public methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nextbest.learners import BayesianRanker, RewardDrop
from nextbest.learners.kernels import adf, bayes_belief, bayes_learn, drift, squarecb
from nextbest.learners.kernels._jit import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOBODY = np.zeros(0, np.int64)


class Exploration(NamedTuple):
    """SquareCB: in decision t, from 1, it exploits with ``gamma * t**exponent``; inf is greedy."""

    gamma: float
    exponent: float = 0.5
    seed: int = 0


class Own(NamedTuple):
    """One more weight for each customer and arm, which learns in the model's joint step.

    Attributes
    ----------
    customers
        int64[n], who each decision is about.
    variance
        Prior variance of a weight (logits squared).
    forgetting
        As the experts'.
    """

    customers: Ints
    variance: float
    forgetting: float = 0.0


class Played(NamedTuple):
    """What was earned in each decision, and the chance that the chosen arm was given of it."""

    earned: Floats
    chances: Floats


def play(
    model: BayesianRanker,
    contexts: Sequence[Mapping[str, Any]] | Mapping[str, Any],
    actions: Floats | None,
    rewards: Floats,
    exploration: Exploration,
    *,
    late: int = 0,
    own: Own | None = None,
    drop: RewardDrop | None = None,
) -> Played:
    """Let a new model choose, and learn each reward so many decisions later.

    Parameters
    ----------
    contexts
        Of each decision, as dicts or as columns.
    actions
        float64[n, K, A], action features, if the model has any.
    rewards
        float64[n, K], what each arm would earn.
    drop
        A new detector; at its alarms, model and exploration begin anew. None for none.
    """
    n, k = rewards.shape
    if not isinstance(contexts, Mapping):
        names = (*model.numbers, *model.contexts)
        contexts = {name: [context[name] for context in contexts] for name in names}
    rows, x = model._encoder.learn_columns(contexts, n, 10**9)
    # A category at its prior and one without a row yet are believed of alike.
    weights = model._weights
    weights.grow(len(model._encoder.names), 0)
    people = int(own.customers.max()) + 1 if own else 0
    earned, chances = np.empty(n), np.empty(n)
    _play(
        weights.mean, weights.variance, weights.centre, weights.root, weights.action_mean,
        weights.action_variance, weights.prior, weights.forgetting, weights.chances,
        weights.share, rows, x, np.zeros((n, k, 0)) if actions is None else actions, rewards,
        exploration.gamma, exploration.exponent, exploration.seed, late,
        own.customers if own else NOBODY, own.forgetting if own else 0.0,
        own.variance if own else 1.0, np.zeros((people, k)),
        np.full((people, k), own.variance if own else 1.0), earned, chances,
        drop.part if drop else 0.5, drop.threshold if drop else np.inf,
        drop.warm_up if drop else 1,
    )  # fmt: skip
    return Played(earned, chances)


@kernel
def _play(
    mean: Floats, variance: Floats, centre: Floats, root: Floats, action_mean: Floats,
    action_variance: Floats, prior: Floats, forgetting: Floats, weights: Floats,
    share: float, rows: Ints, x: Floats, actions: Floats, rewards: Floats,
    gamma: float, exponent: float, seed: int, late: int,
    customers: Ints, own_forgetting: float,
    own_prior: float, own_mean: Floats, own_variance: Floats, earned: Floats, chances: Floats,
    part: float, threshold: float, warm_up: int,
) -> None:  # fmt: skip
    n, k = rewards.shape
    arms = np.zeros(n, np.int64)
    out, odds, step = np.empty((3, k)), np.empty(k), np.empty(2)
    eligible = np.ones(k, np.bool_)
    personal = customers.shape[0] > 0
    watch, start = np.zeros(drift.SIZE), 0
    mean_0, variance_0, weights_0 = mean.copy(), variance.copy(), weights.copy()
    centre_0, root_0 = centre.copy(), root.copy()
    action_mean_0, action_variance_0 = action_mean.copy(), action_variance.copy()
    for t in range(n + late):
        if t < n:
            bayes_belief.belief(
                mean, variance, centre, root, action_mean, action_variance, prior, weights,
                rows[t], 0, x[t], actions[t], out,
            )  # fmt: skip
            if personal:
                who = customers[t]
                for a in range(k):
                    z = out[0, a] + own_mean[who, a]
                    out[2, a] = adf.moderated(z, out[1, a] + own_variance[who, a])
            squarecb.probabilities(out[2], eligible, gamma * float(t + 1 - start) ** exponent, odds)
            arm = squarecb.sample(odds, squarecb.uniform(seed, t + 1))
            arms[t] = arm
            earned[t] = rewards[t, arm]
            chances[t] = out[2, arm]
        told = t - late
        if told >= 0:
            arm = arms[told]
            m, v = 0.0, 0.0
            if personal:
                who = customers[told]
                v = adf.forget(own_variance[who, arm], own_prior, own_forgetting)
                m = own_mean[who, arm]
            bayes_learn.learn(
                mean, variance, centre, root, action_mean, action_variance, prior, forgetting,
                weights, share, rows[told], x[told], actions[told, arm], arm, earned[told],
                m, v, step,
            )  # fmt: skip
            if personal:
                own_mean[who, arm] = m + v * step[0]
                own_variance[who, arm] = v - v * v * step[1]
            if drift.dropped(watch, earned[told], chances[told], part, threshold, warm_up):
                start = t + 1
                mean[:], variance[:], weights[:] = mean_0, variance_0, weights_0
                centre[:], root[:] = centre_0, root_0
                action_mean[:], action_variance[:] = action_mean_0, action_variance_0
                own_mean[:], own_variance[:] = 0.0, own_prior
