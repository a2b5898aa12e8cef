"""Plain-Python twins of the learners' kernels: dictionaries, no arrays, formulas as published."""

import math
from collections.abc import Hashable, Mapping, Sequence

BIAS = object()


class NaiveADF:
    """Diagonal assumed-density filtering for logistic regression, one dictionary a quantity."""

    def __init__(
        self,
        prior_variance: float = 1.0,
        bias_variance: float = 1.0,
        forgetting: float = 0.0,
        max_weights: int = 1_000_000,
    ) -> None:
        self.prior_variance = prior_variance
        self.forgetting = forgetting
        self.max_weights = max_weights
        self.mean: dict[Hashable, float] = {BIAS: 0.0}
        self.variance: dict[Hashable, float] = {BIAS: bias_variance}
        self.prior: dict[Hashable, float] = {BIAS: bias_variance}

    def allocate(self, names: Sequence[Hashable], prior_variance: float) -> None:
        for name in names:
            self.mean[name] = 0.0
            self.variance[name] = self.prior[name] = prior_variance

    def _row(self, x: Mapping[Hashable, object]) -> dict[Hashable, float]:
        row: dict[Hashable, float] = {BIAS: 1.0}
        free = self.max_weights - len(self.mean)
        for name, value in x.items():
            if value is None:
                continue
            key, number = ((name, value), 1.0) if isinstance(value, str) else (name, value)
            if key not in self.mean:
                if free <= 0:
                    continue
                free -= 1
            row[key] = float(number)  # type: ignore[arg-type]
        return row

    def _moments(self, row: Mapping[Hashable, float]) -> tuple[float, float]:
        z = sum(self.mean.get(k, 0.0) * x for k, x in row.items())
        s = sum(self.variance.get(k, self.prior_variance) * x**2 for k, x in row.items())
        return z, s

    def predict(self, x: Mapping[Hashable, object]) -> float:
        z, s = self._moments(self._row(x))
        return naive_sigmoid(z / math.sqrt(1.0 + math.pi * s / 8.0))

    def learn(self, x: Mapping[Hashable, object], y: float) -> None:
        row = self._row(x)
        self.allocate([k for k in row if k not in self.mean], self.prior_variance)
        f = self.forgetting
        for k in row:
            if self.prior[k] > 0.0:
                v = self.variance[k]
                self.variance[k] = v / ((1.0 - f) + f * v / self.prior[k])
        z, s = self._moments(row)
        p = naive_sigmoid(z)
        h = p * (1.0 - p)
        d = (y - p) / (1.0 + h * s)
        e = h / (1.0 + h * s)
        for k, x_k in row.items():
            v = self.variance[k]
            self.mean[k] += v * x_k * d
            self.variance[k] -= v**2 * x_k**2 * e


def naive_sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z)) if z > -700.0 else math.exp(z)


def naive_squarecb(scores: Sequence[float], eligible: Sequence[bool], gamma: float) -> list[float]:
    arms = [a for a, ok in enumerate(eligible) if ok]
    best = max(arms, key=lambda a: scores[a])
    out = [0.0] * len(scores)
    for a in arms:
        if a != best:
            out[a] = 1.0 / (len(arms) + gamma * (scores[best] - scores[a]))
    out[best] = 1.0 - sum(out)
    return out


def naive_uniform(seed: int, counter: int) -> float:
    """SplitMix64 on unbounded integers, keyed by its own finaliser of the seed."""
    golden, full = 0x9E3779B97F4A7C15, 2**64 - 1

    def mix(z: int) -> int:
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & full
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & full
        return z ^ (z >> 31)

    key = mix((seed + golden) & full)
    return (mix((key + counter * golden) & full) >> 11) / 2**53
