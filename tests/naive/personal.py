"""Plain-Python twin of the segment of one: dictionaries, each candidate's posterior by itself."""

import math

import numpy as np

from nextbest.learners.base import Offset

from .bayesian import moderated
from .learners import naive_sigmoid

ZERO, SHARE = 0.5, 1e-6


class NaiveLevel:
    """Evidence by key, and the weights of the candidates for the prior variance."""

    def __init__(self, variances):
        self.variances = list(variances)
        zeros = self.variances.count(0.0)
        rest = len(self.variances) - zeros
        if zeros and rest:
            self.first = [ZERO / zeros if t == 0.0 else (1 - ZERO) / rest for t in self.variances]
        else:
            self.first = [1.0 / len(self.variances)] * len(self.variances)
        self.weights = list(self.first)
        self.evidence = {}

    def posterior(self, key, t):
        """Mean and variance under one prior variance: precisions add."""
        if t == 0.0:
            return 0.0, 0.0
        information, precision = self.evidence.get(key, (0.0, 0.0))
        v = 1.0 / (1.0 / t + precision)
        return v * information, v

    def moments(self, key):
        found = [self.posterior(key, t) for t in self.variances]
        mean = sum(w * m for w, (m, _) in zip(self.weights, found, strict=True))
        square = sum(w * (v + m * m) for w, (m, v) in zip(self.weights, found, strict=True))
        return mean, square - mean * mean

    def learn(self, key, z, s, reward, slope, curvature, rounded):
        m, v = self.moments(key)
        found = [self.posterior(key, t) for t in self.variances]
        foretold = [moderated(z - m + own, max(s - v, 0.0) + more) for own, more in found]
        likelihood = [reward * p + (1 - reward) * (1 - p) for p in foretold]
        if len(self.variances) > 1:
            raw = [w * q for w, q in zip(self.weights, likelihood, strict=True)]
            self.weights = [
                (1 - SHARE) * w / sum(raw) + SHARE * f for w, f in zip(raw, self.first, strict=True)
            ]
        # The Gaussian belief after the step, divided by the one before it, is the evidence.
        information, precision = self.evidence.get(key, (0.0, 0.0))
        after_v = v - v * v * curvature
        if v > 1e-6:
            precision += 1 / after_v - 1 / v
            information += (m + v * slope) / after_v - m / v
        else:
            precision += curvature
            information += slope + curvature * m
        if rounded:
            information, precision = float(np.float32(information)), float(np.float32(precision))
        self.evidence[key] = information, precision


class NaiveSegmentOfOne:
    """Shared, segment and person; without a bound on arms, categories or anything else."""

    def __init__(self, model, segments, segment_variance, person_variance):
        self.model, self.segments = model, segments
        self.levels = {name: NaiveLevel(segment_variance) for name in segments}
        self.levels["person"] = NaiveLevel(person_variance)
        self.levels["person & arm"] = NaiveLevel(person_variance)

    def _keys(self, context, arm, who):
        keys = {name: (context.get(name), arm) for name in self.segments}
        if who is not None:
            keys |= {"person": who, "person & arm": (who, arm)}
        return keys

    def belief(self, context, who):
        shared = self.model.belief(context)
        means, variances, probabilities = [], [], []
        for arm in range(len(shared.mean)):
            keys = self._keys(context, arm, who)
            found = [self.levels[name].moments(key) for name, key in keys.items()]
            s = shared.variance[arm]
            p = shared.probability[arm]
            known = math.log(p / (1 - p)) * math.sqrt(1 + math.pi * s / 8)
            shift, more = sum(m for m, _ in found), sum(v for _, v in found)
            means.append(shared.mean[arm] + shift)
            variances.append(s + more)
            probabilities.append(
                naive_sigmoid((known + shift) / math.sqrt(1 + math.pi * (s + more) / 8))
            )
        return means, variances, probabilities

    def learn(self, context, arm, reward, who):
        keys = self._keys(context, arm, who)
        found = [self.levels[name].moments(key) for name, key in keys.items()]
        offset = Offset(sum(m for m, _ in found), sum(v for _, v in found))
        shared = self.model.belief(context)
        z, s = shared.mean[arm] + offset.mean, shared.variance[arm] + offset.variance
        step = self.model.learn(context, None, arm, reward, offset)
        for name, key in keys.items():
            self.levels[name].learn(key, z, s, reward, *step[:2], rounded=name.startswith("person"))
