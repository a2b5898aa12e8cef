"""Plain-Python twins of the linear learners' kernels: one dictionary a quantity."""

import math
from collections.abc import Hashable, Mapping

ALPHA, BETA = 0.05, 1.0


def rows_of(x: Mapping[Hashable, object]) -> dict[Hashable, float]:
    """A row as weights see it: numbers by name, categories by (name, category)."""
    row: dict[Hashable, float] = {}
    for name, value in x.items():
        if isinstance(value, str):
            row[(name, value)] = 1.0
        elif value is not None and value == value:
            row[name] = float(value)  # type: ignore[arg-type]
    return row


class NaiveScaler:
    """Mean and variance of all numbers of a feature so far, recomputed from them each time."""

    def __init__(self) -> None:
        self.seen: dict[Hashable, list[float]] = {}

    def learn(self, row: Mapping[Hashable, float]) -> None:
        for key, x in row.items():
            if not isinstance(key, tuple):
                self.seen.setdefault(key, []).append(x)

    def scale(self, row: Mapping[Hashable, float]) -> dict[Hashable, float]:
        out = {}
        for key, x in row.items():
            if isinstance(key, tuple):
                out[key] = x
                continue
            seen = self.seen.get(key, [])
            mean = math.fsum(seen) / len(seen) if seen else 0.0
            variance = math.fsum((s - mean) ** 2 for s in seen) / len(seen) if seen else 0.0
            out[key] = (x - mean) / math.sqrt(variance) if len(set(seen)) > 1 else 0.0
        return out


class NaiveLogistic:
    """Gradient steps on the log loss; `scaled` puts a `NaiveScaler` before them."""

    def __init__(
        self,
        optimizer: str = "sgd",
        lr: float = 0.01,
        l2: float = 0.0,
        l1: float = 0.0,
        intercept_lr: float = 0.01,
        scaled: bool = False,
    ) -> None:
        self.optimizer, self.lr, self.l2, self.l1 = optimizer, lr, l2, l1
        self.intercept, self.intercept_lr = 0.0, intercept_lr
        self.scaler = NaiveScaler() if scaled else None
        self.weight: dict[Hashable, float] = {}
        self.g2: dict[Hashable, float] = {}
        self.z: dict[Hashable, float] = {}
        self.n: dict[Hashable, float] = {}

    def _logit(self, row: Mapping[Hashable, float]) -> float:
        return self.intercept + sum(self.weight.get(k, 0.0) * x for k, x in row.items())

    def predict(self, x: Mapping[Hashable, object]) -> float:
        row = rows_of(x)
        if self.scaler:
            row = self.scaler.scale(row)
        return logistic(self._logit(row))

    def learn(self, x: Mapping[Hashable, object], y: float, w: float = 1.0) -> None:
        row = rows_of(x)
        if self.scaler:
            self.scaler.learn(row)
            row = self.scaler.scale(row)
        slope = (logistic(self._logit(row)) - y) * w
        self.intercept -= self.intercept_lr * slope
        for k, x_k in row.items():
            self.weight.setdefault(k, 0.0)
            if self.optimizer.startswith("ftrl"):
                self._ftrl(k, slope * x_k)
            else:
                g = slope * x_k + self.l2 * self.weight[k]
                rate = self.lr
                if self.optimizer == "adagrad":
                    self.g2[k] = self.g2.get(k, 0.0) + g**2
                    rate /= math.sqrt(self.g2[k] + 1e-8)
                self.weight[k] -= rate * g

    def _ftrl(self, k: Hashable, g: float) -> None:
        z, n = self.z.get(k, 0.0), self.n.get(k, 0.0)
        if self.optimizer == "ftrl" and abs(z) > self.l1:
            self.weight[k] = self._minimum(z, n)
        sigma = (math.sqrt(n + g**2) - math.sqrt(n)) / ALPHA
        self.z[k], self.n[k] = z + g - sigma * self.weight[k], n + g**2
        if self.optimizer == "ftrl-proximal":
            self.weight[k] = self._minimum(self.z[k], self.n[k])

    def _minimum(self, z: float, n: float) -> float:
        if abs(z) <= self.l1:
            return 0.0
        sign = 1.0 if z > 0.0 else -1.0
        return -(z - sign * self.l1) / ((BETA + math.sqrt(n)) / ALPHA + self.l2)


class NaiveAdPredictor:
    """Probit regression with a Gaussian belief about each weight."""

    def __init__(self, beta: float = 0.1, prior_probit: float = 0.0, epsilon: float = 0.05) -> None:
        self.beta, self.prior_probit, self.epsilon = beta, prior_probit, epsilon
        self.belief: dict[Hashable, tuple[float, float]] = {}

    def _row(self, x: Mapping[Hashable, object]) -> dict[Hashable, tuple[float, float]]:
        active = [k for k, value in rows_of(x).items() if value]
        start = self.prior_probit * math.sqrt(self.beta**2 + len(active))
        beliefs = {None: self.belief.get(None, (start, 1.0))}
        return beliefs | {k: self.belief.get(k, (0.0, 1.0)) for k in active}

    def predict(self, x: Mapping[Hashable, object]) -> float:
        beliefs = self._row(x).values()
        total = self.beta**2 + sum(v for _, v in beliefs)
        p = cdf(sum(m for m, _ in beliefs) / math.sqrt(total))
        return min(max(p, 1e-12), 1 - 1e-12)

    def learn(self, x: Mapping[Hashable, object], y: bool) -> None:
        row = self._row(x)
        total = self.beta**2 + sum(v for _, v in row.values())
        sign = 1.0 if y else -1.0
        t = sign * sum(m for m, _ in row.values()) / math.sqrt(total)
        t = min(max(t, -5.0), 5.0)
        v_t = math.exp(-(t**2) / 2) / math.sqrt(2 * math.pi) / cdf(t)
        w_t = v_t * (v_t + t)
        for k, (m, v) in row.items():
            m, v = m + sign * v / math.sqrt(total) * v_t, v * (1 - v / total * w_t)
            back = v / ((1 - self.epsilon) + self.epsilon * v)
            self.belief[k] = (back * (1 - self.epsilon) * m / v, back)


def cdf(t: float) -> float:
    return (1.0 + math.erf(t / math.sqrt(2.0))) / 2.0


def logistic(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(z, -500.0), 500.0)))
