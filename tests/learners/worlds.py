"""Worlds of persons, segments and arms whose law is known, and policies that live in them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nextbest.learners.base import NOTHING, Belief, Step


class PlainArms:
    """The smallest exact model of arms: an intercept and one weight an arm, diagonal ADF."""

    def __init__(self, arms, variance=1.0):
        self.arms = list(arms)
        self.prior = variance
        self.mean = [0.0] * (1 + len(self.arms))
        self.variance = [variance] * len(self.mean)

    @property
    def live(self):
        return np.array([bool(arm) for arm in self.arms])

    def belief(self, context, features=None):
        mean = self.mean[0] + np.array(self.mean[1:])
        variance = self.variance[0] + np.array(self.variance[1:])
        scale = np.sqrt(1.0 + np.pi * variance / 8.0)
        return Belief(mean, variance, 1.0 / (1.0 + np.exp(-mean / scale)))

    def learn(self, context, features, arm, reward, offset=NOTHING):
        weights = (0, 1 + arm)
        z = sum(self.mean[w] for w in weights) + offset.mean
        s = sum(self.variance[w] for w in weights) + offset.variance
        p = 1.0 / (1.0 + np.exp(-z))
        h = p * (1.0 - p)
        before = (float(part[arm]) for part in self.belief(context))
        step = Step((reward - p) / (1.0 + h * s), h / (1.0 + h * s), *before)
        for w in weights:
            self.mean[w] += self.variance[w] * step.slope
            self.variance[w] -= self.variance[w] ** 2 * step.curvature
        return step

    def to_bytes(self):
        return np.array(self.mean + self.variance).tobytes()


class World(NamedTuple):
    """The chance of reward of every person and arm, and who comes when."""

    chances: np.ndarray
    segments: np.ndarray
    visits: np.ndarray
    draws: np.ndarray
    noise: np.ndarray


def world(seed, *, persons, arms, visits, segment=0.0, person=0.0, segments=4, level=-2.0):
    rng = np.random.default_rng(seed)
    of = rng.integers(segments, size=persons)
    logits = level + rng.normal(0.0, 0.5, size=arms)
    logits = logits + rng.normal(0.0, 1.0, size=(segments, arms))[of] * segment
    logits = logits + rng.normal(0.0, 1.0, size=(persons, arms)) * person
    return World(
        1.0 / (1.0 + np.exp(-logits)),
        of,
        rng.integers(persons, size=visits),
        rng.random((visits, arms)),
        rng.normal(size=(visits, arms)),
    )


def thompson(known: Belief, draw: np.ndarray, noise: np.ndarray, width: float = 1.0) -> int:
    return int(np.argmax(known.mean + width * np.sqrt(known.variance) * noise))


def narrow(known: Belief, draw: np.ndarray, noise: np.ndarray) -> int:
    """Thompson sampling with half the standard deviation: persons do not stay for ever."""
    return thompson(known, draw, noise, 0.5)


def epsilon_greedy(known: Belief, draw: np.ndarray, noise: np.ndarray) -> int:
    """A twentieth at random; the draws of rewards that are not used choose."""
    spread = (float(draw.sum()) * 1e6) % 1.0
    return int(spread * 20 * len(draw)) if spread < 0.05 else int(np.argmax(known.mean))


def regret(there: World, belief: Callable, learn: Callable, choose: Callable = thompson) -> float:
    """The mean regret of a policy with a model of persons."""
    lost = 0.0
    for who, draw, noise in zip(there.visits, there.draws, there.noise, strict=True):
        chances = there.chances[who]
        arm = choose(belief(int(who)), draw, noise)
        lost += chances.max() - chances[arm]
        learn(int(who), arm, float(draw[arm] < chances[arm]))
    return lost / len(there.visits)


def shared_only(there: World, make: Callable, choose: Callable = thompson) -> float:
    model = make()
    return regret(
        there, lambda _: model.belief({}), lambda _, a, y: model.learn({}, None, a, y), choose
    )


def person_only(there: World, make: Callable, choose: Callable = thompson) -> float:
    """A model each, that knows nothing of the others."""
    models = [make() for _ in there.chances]

    def learn(who, arm, reward):
        models[who].learn({}, None, arm, reward)

    return regret(there, lambda who: models[who].belief({}), learn, choose)


def of_one(there: World, one, choose: Callable = thompson) -> float:
    blocks = [b""] * len(there.chances)
    contexts = [{"region": f"r{segment}"} for segment in there.segments]

    def learn(who, arm, reward):
        blocks[who] = one.learn(contexts[who], None, arm, reward, person=blocks[who])

    return regret(there, lambda who: one.belief(contexts[who], None, blocks[who]), learn, choose)
