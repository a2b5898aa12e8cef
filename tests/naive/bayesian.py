"""The Bayesian ranker in plain Python: dictionaries, covariances as lists of lists."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .learners import naive_sigmoid

Key = tuple[str, ...]
Matrix = list[list[float]]


class NaiveExpert:
    """One setting: a dense block for all arms and each arm, a weight a category and feature."""

    def __init__(self, v: float, f: float, bias: float, shared: float, features: float) -> None:
        self.f = f
        self.variances = {
            "shared": {"bias": shared * v, "number": shared * v, "category": shared * v},
            "arm": {"bias": bias * v, "number": v, "category": v},
            "feature": {"feature": features * v},
        }
        self.blocks: dict[str, tuple[list[float], Matrix]] = {}
        self.mean: dict[Key, float] = {}
        self.variance: dict[Key, float] = {}

    def dense_prior(self, arm: str, size: int) -> list[float]:
        known = self.variances["arm" if arm else "shared"]
        return [known["number" if i else "bias"] for i in range(size)]

    def block(self, arm: str, size: int) -> tuple[list[float], Matrix]:
        prior = self.dense_prior(arm, size)
        zero = [[prior[i] if i == j else 0.0 for j in range(size)] for i in range(size)]
        return self.blocks.get(arm, ([0.0] * size, zero))

    def prior(self, key: Key) -> float:
        level, kind = key[0], "feature" if key[0] == "feature" else "category"
        return self.variances[level][kind]

    def moments(self, arm: str, x: list[float], sparse: Mapping[Key, float]) -> tuple[float, float]:
        z = s = 0.0
        for owner in ("", arm):
            m, p = self.block(owner, len(x))
            z += dot(m, x)
            s += dot(times(p, x), x)
        for key, value in sparse.items():
            z += self.mean.get(key, 0.0) * value
            s += self.variance.get(key, self.prior(key)) * value**2
        return z, s

    def forget(self, arm: str, x: list[float], sparse: Mapping[Key, float]) -> None:
        f = self.f
        for owner in ("", arm):
            m, p = self.block(owner, len(x))
            prior = self.dense_prior(owner, len(x))
            u = times(p, x)
            s = dot(u, x)
            before = sum(v * value**2 for v, value in zip(prior, x, strict=True))
            if s > 0.0 and f > 0.0:
                beta = max(s / ((1.0 - f) + f * s / before) - s, 0.0) / s**2
                room = len(x) - sum(p[i][i] / prior[i] for i in range(len(x)))
                taken = sum(u[i] ** 2 / prior[i] for i in range(len(x)))
                beta = min(beta, max(room, 0.0) / taken)
                p = [[p[i][j] + beta * u[i] * u[j] for j in range(len(x))] for i in range(len(x))]
            self.blocks[owner] = m, p
        for key in sparse:
            v, v0 = self.variance.get(key, self.prior(key)), self.prior(key)
            self.variance[key] = v / ((1.0 - f) + f * v / v0) if v0 else 0.0

    def learn(
        self,
        arm: str,
        x: list[float],
        sparse: Mapping[Key, float],
        y: float,
        offset: Sequence[float],
    ) -> tuple[float, float, float]:
        """Learn, and return slope, curvature and the likelihood of y beforehand."""
        self.forget(arm, x, sparse)
        z, s = self.moments(arm, x, sparse)
        z, s = z + offset[0], s + offset[1]
        p = moderated(z, s)
        d, e = (
            (y - p) / math.sqrt(1.0 + math.pi * s / 8.0),
            p * (1.0 - p) / (1.0 + math.pi * s / 8.0),
        )
        for owner in ("", arm):
            m, cov = self.blocks[owner]
            u = times(cov, x)
            n = range(len(x))
            self.blocks[owner] = (
                [m[i] + u[i] * d for i in n],
                [[cov[i][j] - e * u[i] * u[j] for j in n] for i in n],
            )
        for key, value in sparse.items():
            v = self.variance[key]
            self.mean[key] = self.mean.get(key, 0.0) + v * value * d
            self.variance[key] = v - v**2 * value**2 * e
        return d, e, p**y * (1.0 - p) ** (1.0 - y)


class NaiveBayesian:
    """K arms and their experts."""

    def __init__(
        self,
        arms: Sequence[str],
        numbers: Sequence[str],
        contexts: Sequence[str],
        action_features: Sequence[str],
        experts: Sequence[tuple[float, float]],
        share: float = 1e-4,
        scales: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        self.arms, self.numbers, self.contexts = list(arms), list(numbers), list(contexts)
        self.features, self.share = list(action_features), share
        self.experts = [NaiveExpert(v, f, *scales) for v, f in experts]
        self.weights = [1.0 / len(experts)] * len(experts)

    def see(
        self, context: Mapping[str, Any], row: Sequence[float], arm: str
    ) -> tuple[list[float], dict[Key, float]]:
        x = [1.0] + [float(context.get(name) or 0.0) for name in self.numbers]
        sparse: dict[Key, float] = {}
        for name in self.contexts:
            category = "(missing)" if context.get(name) is None else context[name]
            sparse["shared", name, category] = sparse["arm", arm, name, category] = 1.0
        for name, value in zip(self.features, row, strict=True):
            if not math.isnan(value):
                sparse["feature", name] = value
        return x, sparse

    def belief(
        self, context: Mapping[str, Any], features: Sequence[Sequence[float]]
    ) -> list[tuple[float, float, float]]:
        out = []
        for arm, row in zip(self.arms, features, strict=True):
            moments = [e.moments(arm, *self.see(context, row, arm)) for e in self.experts]
            mean = dot(self.weights, [z for z, _ in moments])
            variance = dot(self.weights, [s + (z - mean) ** 2 for z, s in moments])
            out.append((mean, variance, dot(self.weights, [moderated(z, s) for z, s in moments])))
        return out

    def learn(
        self,
        context: Mapping[str, Any],
        row: Sequence[float],
        arm: str,
        y: float,
        offset: Sequence[float] = (0.0, 0.0),
    ) -> tuple[float, float]:
        x, sparse = self.see(context, row, arm)
        told = [expert.learn(arm, x, sparse, y, offset) for expert in self.experts]
        slope = dot(self.weights, [d for d, _, _ in told])
        curvature = dot(self.weights, [e for _, e, _ in told])
        if len(self.experts) > 1:
            after = [w * p for w, (_, _, p) in zip(self.weights, told, strict=True)]
            n = len(after)
            self.weights = [(1 - self.share) * w / sum(after) + self.share / n for w in after]
        return slope, curvature


def moderated(z: float, s: float) -> float:
    return naive_sigmoid(z / math.sqrt(1.0 + math.pi * s / 8.0))


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def times(matrix: Matrix, x: Sequence[float]) -> list[float]:
    return [dot(row, x) for row in matrix]
